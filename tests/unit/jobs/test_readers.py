"""Readers refuse what is not of the recipe they were given, and leave no half-made view."""

import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from pipeline import cli
from pipeline.errors import BadInput
from pipeline.files import file_digest
from pipeline.jobs.artifacts import Artifact, fault_of, grid_artifacts
from pipeline.jobs.readers import (
    SHOWN,
    check_champions,
    check_records,
    check_tasks,
    check_view,
    making,
)
from pipeline.runs.recipe import Recipe, canonical, digest
from pipeline.seals import read_sealed, write_sealed
from tests.unit.jobs.finished_grid import RUN, params
from tests.unit.tiny_runs import METHODS, SYNTHETIC

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


def test_what_carries_no_seal_is_listed(tmp_path):
    folder = tmp_path / "results/tiny/tables"

    def make() -> None:
        folder.mkdir(parents=True)
        (folder / "main.csv").write_text("a,b\n1,2\n")

    making(folder / "spec.json", {"a": 1}, make)
    check_view(folder / "spec.json", digest({"a": 1}), "tables")
    (folder / "main.csv").write_text("a,b\n1,3\n")
    with pytest.raises(BadInput, match=r"main\.csv: damaged.*config grid=tiny"):
        check_view(folder / "spec.json", digest({"a": 1}), "tables")
    (folder / "main.csv").unlink()
    with pytest.raises(BadInput, match=r"no main\.csv.*config grid=tiny"):
        check_view(folder / "spec.json", digest({"a": 1}), "tables")


def test_the_page_is_listed(tmp_path):
    page = tmp_path / "report.html"
    making(tmp_path / "report.json", {}, lambda: page.write_text("page"), beside=[page.name])
    artifact = Artifact({}, (page, tmp_path / "report.json"), page)
    assert fault_of(artifact) is None
    page.write_text("pagf")
    assert "report.html: damaged" in (fault_of(artifact) or "")


def test_files_of_the_store_that_are_gone_are_noticed(tmp_path):
    (tmp_path / "a").write_text("abc")
    making(tmp_path / "tracking.json", {}, lambda: {"a": 3})
    artifact = Artifact({}, (Path("tracking.json"),), Path("tracking.json"))
    assert fault_of(artifact, tmp_path) is None
    (tmp_path / "a").write_text("ab")
    assert fault_of(artifact, tmp_path) == "a has 2 bytes, not 3"
    (tmp_path / "a").unlink()
    assert fault_of(artifact, tmp_path) == "no a"


@pytest.mark.parametrize("spoil", ["gone", "other", "flipped"])
def test_other_task_sets_are_refused(spoil, root):
    figures = recipe_of(CARRIERS["plot-curves"], root)
    check_tasks(root / "data/tasks", figures)
    file = root / "data/tasks/cosmixture.parquet"
    if spoil == "gone":
        file.unlink()
    elif spoil == "other":
        shutil.copy(root / f"data/episodes/{SYNTHETIC}/0.parquet", file)
    else:
        file.write_bytes(file.read_bytes()[:-1] + b"2")
    with pytest.raises(BadInput, match=r"cosmixture\.parquet: .*config grid=tiny"):
        check_tasks(root / "data/tasks", figures)


def test_other_champions_are_refused(tmp_path):
    file = tmp_path / "champions/a.safetensors"
    file.parent.mkdir()
    file.write_text("one")
    page = {"grid": "tiny", "champions": {"a": file_digest(file)}}
    check_champions(tmp_path, page)
    file.write_text("two")
    with pytest.raises(BadInput, match=r"another a\.safetensors.*config grid=tiny"):
        check_champions(tmp_path, page)
