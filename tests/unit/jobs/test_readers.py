"""Readers refuse what is not of the recipe they were given, and leave no half-made view."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.errors import BadInput
from pipeline.jobs.artifacts import grid_artifacts
from pipeline.jobs.readers import SHOWN, check_records, check_view, making
from pipeline.runs.recipe import Recipe, canonical, digest
from pipeline.seals import read_sealed, write_sealed
from tests.unit.jobs.finished_grid import RUN, params
from tests.unit.tiny_runs import METHODS

RESULTS = "results/tiny"
CARRIERS = {
    "build-tables": f"{RESULTS}/tables/spec.json",
    "plot-curves": f"{RESULTS}/figures/spec.json",
    "build-report": f"{RESULTS}/report.json",
    "log-tracking": f"{RESULTS}/tracking.json",
}
MAKERS = {
    "build-tables": "pipeline.tables.build.build_tables",
    "plot-curves": "pipeline.figures.draw.plot_curves",
    "build-report": "pipeline.report.page.build_report",
    "log-tracking": "pipeline.tracking.replay.log_tracking",
}


def recipe_of(carrier: str, root: Path) -> Recipe:
    every = grid_artifacts(params(), root)
    return next(a.recipe for a in every if a.files[-1] == Path(carrier))


def call(root: Path, command: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command in `root` with the recipe it should have; its exit status."""
    spec = canonical(recipe_of(CARRIERS[command], root))
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["pipeline", command, RESULTS, "--spec", spec])
    try:
        cli.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.fixture
def tables(root: Path) -> Recipe:
    return recipe_of(CARRIERS["build-tables"], root)


# --- records


def test_records_of_the_recipe_are_taken(root, tables):
    check_records(root / RESULTS, tables)


@pytest.mark.parametrize("name", [f"{RUN}/spec.json", f"{RESULTS}/profile/maml.json"])
@pytest.mark.parametrize("spoil", ["gone", "broken", "other"])
def test_other_records_are_refused(name, spoil, root, tables):
    file = root / name
    if spoil == "gone":
        file.unlink()
    elif spoil == "broken":
        file.write_text("{")
    else:
        held = read_sealed(file)
        recipe = held.get("spec", held)
        recipe["code"] = "old"
        write_sealed(file, held)
    with pytest.raises(BadInput) as refused:
        check_records(root / RESULTS, tables)
    assert str(file) in str(refused.value)
    assert "`snakemake" in str(refused.value)
    if spoil == "other":
        assert digest(recipe) in str(refused.value)


def test_of_many_faults_some_are_named(root, tables):
    shutil.rmtree(root / RESULTS / "runs")
    with pytest.raises(BadInput) as refused:
        check_records(root / RESULTS, tables)
    said = str(refused.value)
    assert said.count("spec.json") == SHOWN
    assert str(len(METHODS) * 2 * 2 - SHOWN) in said


# --- tables and figures


def test_a_view_of_the_recipe_is_taken(root, tables):
    check_view(root / CARRIERS["build-tables"], digest(tables), "build_tables")


def test_another_view_is_refused(root, tables):
    file = root / CARRIERS["build-tables"]
    write_sealed(file, tables | {"code": "old"})
    with pytest.raises(BadInput) as refused:
        check_view(file, digest(tables), "build_tables")
    for part in (str(file), digest(tables), digest(tables | {"code": "old"}), "build_tables"):
        assert part in str(refused.value)


# --- commands


@pytest.mark.parametrize(
    ("command", "spoilt"),
    [
        ("build-tables", f"{RUN}/spec.json"),
        ("plot-curves", CARRIERS["build-tables"]),
        ("build-report", CARRIERS["build-tables"]),
        ("build-report", CARRIERS["plot-curves"]),
        ("log-tracking", f"{RUN}/spec.json"),
        ("log-tracking", CARRIERS["build-tables"]),
        ("log-tracking", CARRIERS["plot-curves"]),
    ],
)
def test_a_command_refuses_what_it_should_not_read(command, spoilt, root, monkeypatch, capsys):
    before = (root / CARRIERS[command]).read_bytes()
    write_sealed(root / spoilt, read_sealed(root / spoilt) | {"code": "old"})
    assert call(root, command, monkeypatch) == 2
    said = capsys.readouterr().err
    assert spoilt in said
    assert "`snakemake" in said
    assert (root / CARRIERS[command]).read_bytes() == before


@pytest.mark.parametrize("command", CARRIERS)
def test_a_command_that_ends_half_way_leaves_no_carrier(command, root, monkeypatch):
    def half_way(*arguments: object, **options: object) -> None:
        assert not (root / CARRIERS[command]).exists()
        raise RuntimeError("half-way")

    monkeypatch.setattr(MAKERS[command], half_way)
    with pytest.raises(RuntimeError, match="half-way"):
        call(root, command, monkeypatch)
    assert not (root / CARRIERS[command]).exists()


def test_a_killed_process_leaves_no_carrier(tmp_path):
    carrier = tmp_path / "spec.json"
    write_sealed(carrier, {"old": True})
    pid = os.fork()
    if pid == 0:
        making(carrier, {"new": True}, lambda: os.kill(os.getpid(), signal.SIGKILL))
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "held"), [("spec.json", {"a": 1}), ("report.json", {"spec": {"a": 1}})]
)
def test_a_carrier_is_written_last(name, held, tmp_path):
    order = []
    making(tmp_path / name, {"a": 1}, lambda: order.append((tmp_path / name).exists()))
    assert order == [False]
    assert read_sealed(tmp_path / name) == held
