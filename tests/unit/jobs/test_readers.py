"""Readers refuse records and views of another recipe, and leave none half-made."""

from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.files import read_json, write_json
from pipeline.jobs.readers import check_records, check_view, making
from pipeline.runs.recipe import digest

RUN = {"kind": "run", "label": "maml", "setting": "s", "seed": 0}
PROFILE = {"kind": "profile", "label": "maml"}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    write_json(tmp_path / "ci/runs/maml/s/0/spec.json", RUN)
    write_json(tmp_path / "ci/profile/maml.json", {"spec": PROFILE})
    return tmp_path / "ci"


def wanted(run: dict = RUN, profile: dict = PROFILE) -> dict:
    runs = {"s": {"maml": {"0": digest(run)}}}
    return {"grid": "ci", "runs": runs, "profiles": {"maml": digest(profile)}, "studies": {}}


def test_records_of_the_recipe_are_read(results: Path) -> None:
    check_records(results, wanted())


@pytest.mark.parametrize(
    ("recipe", "file"),
    [
        (wanted(run=RUN | {"seed": 1}), "runs/maml/s/0/spec.json"),
        (wanted(profile=PROFILE | {"repeats": 2}), "profile/maml.json"),
    ],
)
def test_others_are_named_with_the_command(results: Path, recipe: dict, file: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_records(results, recipe)
    assert file in str(refused.value)
    assert "snakemake --config grid=ci" in str(refused.value)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda file: file.write_text("{")])
def test_a_lost_and_a_broken_record_are_refused(results: Path, spoil) -> None:
    spoil(results / "runs/maml/s/0/spec.json")
    with pytest.raises(BadInput, match=r"spec\.json: found no"):
        check_records(results, wanted())


def test_a_view_carries_its_recipe_when_it_is_whole(tmp_path: Path) -> None:
    carrier, recipe = tmp_path / "ci/tables/spec.json", {"kind": "tables"}
    making(carrier, recipe, lambda: None)
    assert read_json(carrier) == recipe
    check_view(carrier, digest(recipe), "tables")
    with pytest.raises(BadInput, match="snakemake --config grid=ci"):
        check_view(carrier, "0" * 16, "tables")


def test_a_view_that_fails_half_way_carries_none(tmp_path: Path) -> None:
    carrier = tmp_path / "ci/tables/spec.json"
    making(carrier, {"kind": "tables"}, lambda: None)

    def fail() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        making(carrier, {"kind": "tables"}, fail)
    assert not carrier.exists()
