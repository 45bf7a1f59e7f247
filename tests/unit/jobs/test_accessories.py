"""What a job does beside its work may fail: the work stays, it is said, and is tried again."""

import errno
import json
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.jobs import accessories, process
from pipeline.jobs.artifacts import carried_recipe

FAILURES = [BadInput("unreadable."), OSError(errno.ENOSPC, "No space left", "x"), ValueError("int")]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    (tmp_path / "results/ci/evidence").mkdir(parents=True)
    return tmp_path / "results/ci"


@pytest.fixture
def in_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(process.VARIABLE, "1")


def failing(error: Exception):
    def add() -> None:
        raise error

    return add


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("file", ["one.parquet", "profile/maml.json"])
def test_a_job_whose_evidence_cannot_be_written_ends_well(
    results: Path, in_a_job: None, error: Exception, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not accessories.keep(results / "evidence" / file, failing(error))
    assert str(error.args[-1]) in capsys.readouterr().err
    assert "evidence" in "".join(accessories.left_undone(results))
    accessories.forget_unkept(results)
    assert accessories.left_undone(results) == []


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: type(error).__name__)
def test_a_person_s_command_fails(
    results: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(process.VARIABLE, raising=False)
    with pytest.raises(type(error)):
        accessories.keep(results / "evidence/one.parquet", failing(error))
    with pytest.raises(BadInput, match="away"):
        accessories.note_unlogged(results, BadInput("the store is away."))
    assert accessories.left_undone(results) == []


def test_what_was_not_logged_carries_no_recipe_and_so_is_logged_next_time(
    results: Path, in_a_job: None
) -> None:
    accessories.note_unlogged(results, BadInput("the store is away."))
    assert carried_recipe(results / "tracking.json") is None
    assert "the store is away" in "".join(accessories.left_undone(results))
    (results / "tracking.json").write_text(json.dumps({"spec": {}}))
    assert accessories.left_undone(results) == []
