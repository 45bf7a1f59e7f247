"""A job of several seeds: it survives stops, leaves finished seeds alone, and refuses misfits."""

import os
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import MetaTrainer, TaskBatch
from pipeline.errors import BadInput
from pipeline.runs.checks import check_same_inputs
from pipeline.runs.job import run_seeds
from pipeline.runs.recipe import Recipe, canonical
from pipeline.runs.records import FILES, RunRecord, read_run
from tests.unit.cli.test_cli import call, refused
from tests.unit.seed_runs import (
    SEEDS,
    Paths,
    all_equal,
    divergent_recipes,
    make,
    recipes,
    together,
)
from tests.unit.tiny_runs import METHODS, SYNTHETIC, recipe, tiny_config, write_config


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return make(tmp_path_factory.mktemp("synthetic"), SYNTHETIC)


@pytest.fixture(scope="module")
def divergent(files: Paths, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Recipe], int]:
    return divergent_recipes(files, tmp_path_factory.mktemp("limit"))


@pytest.fixture(scope="module")
def uninterrupted(
    files: Paths, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[int, RunRecord]]:
    """Records of a method's job that nothing stopped."""

    @cache
    def of(method: str) -> dict[int, RunRecord]:
        return together(recipes(method), files, tmp_path_factory.mktemp("whole"))

    return of


# --- through any stop


class Killed(BaseException):
    """Stands for SIGKILL in this process."""


def stop_at(monkeypatch: pytest.MonkeyPatch, update: int, *, how: str) -> None:
    step = MetaTrainer.step

    def stopping(self: MetaTrainer, batch: TaskBatch) -> Any:
        progresses = step(self, batch)
        if progresses[0].update == update:
            if how == "kill":
                raise Killed
            os.kill(os.getpid(), signal.SIGTERM)
        return progresses

    monkeypatch.setattr(MetaTrainer, "step", stopping)


def cut_short(given: list[Recipe], files: Paths, root: Path, update: int, how: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, update, how=how)
        with pytest.raises((SystemExit, Killed)):
            together(given, files, root, checkpoint_every=2)
    left = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    files = ["0/checkpoint.pt", *(f"{own['seed']}/progress.jsonl" for own in given)]
    assert sorted(left) == sorted(files)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_stopped_job_goes_on_bit_for_bit(method, how, uninterrupted, files, tmp_path, capsys):
    given = recipes(method)
    whole = uninterrupted(method)
    cut_short(given, files, tmp_path / "cut", 3, how)
    said = capsys.readouterr().err
    if how == "terminate":
        assert "seeds 0, 1, 2: stopped after 3 meta-updates, checkpoint written" in said
    again = together(given, files, tmp_path / "cut")
    done = 3 if how == "terminate" else 2
    assert f"going on from meta-update {done}" in capsys.readouterr().err
    all_equal(again, whole, rtol=0)
    for record in again.values():
        assert sorted(path.name for path in record.directory.iterdir()) == sorted(FILES)


def test_a_seed_that_ended_before_the_stop_is_not_lost(divergent, files, tmp_path, capsys):
    given, lost = divergent
    whole = together(given, files, tmp_path / "whole")
    assert whole[lost].metrics["meta_updates"] < 10
    cut_short(given, files, tmp_path / "cut", 11, "kill")
    again = together(given, files, tmp_path / "cut")
    assert "going on from meta-update 10" in capsys.readouterr().err
    all_equal(again, whole, rtol=0)
    assert again[lost].metrics["message"] == whole[lost].metrics["message"]
    for record in again.values():
        assert (record.curve["seconds"].diff().dropna() > 0).all()


def test_a_checkpoint_of_other_seeds_is_left_out(files, tmp_path, capsys):
    given = recipes("imaml")
    cut_short(given, files, tmp_path / "run", 3, "terminate")
    found = together(given[:2], files, tmp_path / "run")
    assert "checkpoint of another recipe; starting anew" in capsys.readouterr().err
    all_equal(found, together(given[:2], files, tmp_path / "fresh"), rtol=0)


# --- what need not be trained


def test_finished_seeds_are_left_as_they_are(files, tmp_path):
    given = recipes("imaml")
    whole = together(given, files, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    (tmp_path / "1/curve.parquet").unlink()
    again = together(given, files, tmp_path, keep_finished=True)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*")}
    assert after.keys() == before.keys()
    assert {path.parent.name for path in after if after[path] != before[path]} == {"1"}
    all_equal(again, whole)
    assert again[1].metrics["seeds_in_job"] == 1


@pytest.mark.parametrize("spoil", ["recipe", "json"])
def test_a_record_of_another_recipe_is_not_finished(spoil, files, tmp_path):
    given = recipes("imaml")
    together(given, files, tmp_path)
    spec = tmp_path / "2/spec.json"
    spec.write_text("{" if spoil == "json" else canonical(given[2] | {"code": "0" * 16}))
    assert together(given, files, tmp_path, keep_finished=True)[2].spec == given[2]


def test_finished_seeds_need_no_files(files, tmp_path):
    given = recipes("imaml")
    whole = together(given, files, tmp_path / "run")
    folders = [tmp_path / "run" / str(seed) for seed in SEEDS]
    nowhere = [tmp_path / "none"] * 3
    found = run_seeds(given, nowhere[0], nowhere, folders, device="cpu", keep_finished=True)
    assert found == [whole[seed].metrics for seed in SEEDS]


# --- what is refused


def test_recipes_that_differ_in_more_than_the_seed(files, tmp_path):
    given = recipes()
    given[2] = recipe("imaml", seed=2)
    with pytest.raises(
        BadInput, match="found seed 2 with another code, dtype, label, method, sett"
    ):
        together(given, files, tmp_path / "run")
    given[2] = recipes(outer_lr=0.5)[2]
    with pytest.raises(BadInput, match="found seed 2 with another training than seed 0; needed"):
        together(given, files, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_seed_that_stands_there_twice(files, tmp_path):
    given = recipes()
    with pytest.raises(BadInput, match=r"found the seeds \[0, 0\], each may stand there once"):
        together([given[0], given[0]], files, tmp_path / "run")


def test_episodes_of_another_seed(files, tmp_path):
    with pytest.raises(BadInput, match="episodes: found seed 1, but the recipe says 0"):
        run_seeds(
            recipes(), files[0], files[1][::-1][1:] + files[1][:1], [tmp_path / "run"] * 3
        )  # fmt: skip


def test_tasks_of_other_widths():
    check_same_inputs({"a": 2, "b": 2})
    with pytest.raises(BadInput) as caught:
        check_same_inputs({"a": 20, "b": 20, "c": 19})
    assert "c: found tasks with 19 input features, but a has 20" in str(caught.value)
    assert "seeds_per_job: 1" in str(caught.value)


# --- by command


def test_a_list_of_recipes_by_command(files, tmp_path, capsys):
    given = recipes()
    template = str(files[1][0]).replace("-0.parquet", "-{seed}.parquet")
    arguments = ["meta-train", files[0], template, tmp_path / "run/{seed}", "--device=cpu"]
    assert call(*arguments, "--spec", canonical(given)) == 0
    assert capsys.readouterr().out.count("nRMSE") == 3
    assert call(*arguments, "--spec", canonical(given), "--keep-finished") == 0
    assert capsys.readouterr().out == ""
    found = {seed: read_run(tmp_path / "run" / str(seed)) for seed in SEEDS}
    all_equal(found, together(given, files, tmp_path / "by hand"), rtol=0)


def test_seeds_by_command(files, tmp_path, capsys):
    params = write_config(tmp_path, tiny_config())
    template = str(files[1][0]).replace("-0.parquet", "-{seed}.parquet")
    arguments = ["meta-train", files[0], template, tmp_path / "run/{seed}", "--params", params]
    arguments += ["--method=imaml", f"--setting={SYNTHETIC}", "--device=cpu"]
    assert call(*arguments, "--seed=0", "--seed=2") == 0
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == ["0", "2"]
    assert read_run(tmp_path / "run/2").spec == recipe("imaml", seed=2)
    one = ["meta-train", files[0], files[1][1], tmp_path / "one", *arguments[4:], "--seed=1"]
    assert call(*one) == 0
    assert read_run(tmp_path / "one").spec == recipe("imaml", seed=1)


def test_paths_without_a_seed_are_refused(tmp_path, capsys):
    spec = ["--spec", canonical(recipes()), "--device=cpu"]
    said = refused(capsys, "meta-train", "t", "data/e.parquet", "r", *spec)
    assert said.startswith("EPISODES: found 'data/e.parquet', needed `{seed}` in it")
    assert "for example, 'data/{seed}.parquet'" in said
    said = refused(capsys, "meta-train", "t", "{seed}", "runs/r", *spec)
    assert said.startswith("RUN_DIR: found 'runs/r', needed `{seed}` in it")
