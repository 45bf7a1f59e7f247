"""A clone that has evidence and no runs makes the tables without training."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline.jobs.artifacts import seed_blocks
from pipeline.runs.evidence_files import read_files, write_files
from pipeline.seals import read_sealed
from tests.workflow.project import Project

RESULTS = "results/ci"
VIEWS = ("plot_curves", "build_report", "log_tracking")


def test_tables_come_from_evidence(project: Project, tmp_path: Path) -> None:
    project.set(grids__ci__keep_evidence=True)
    project.run("python", "-m", "pipeline", "keep-evidence", RESULTS)
    tables = {path.name: path.read_bytes() for path in project.path(f"{RESULTS}/tables").iterdir()}
    _forget_runs(project)

    planned = project.planned()
    assert set(planned) == {
        "restore_runs",
        "build_tasks",
        "build_tables",
        *VIEWS,
    }  # a figure needs tasks
    project.snakemake()
    found = {path.name: path.read_bytes() for path in project.path(f"{RESULTS}/tables").iterdir()}
    assert found == tables
    assert project.planned() == {}


@pytest.mark.slow  # starts a job for every restored run
def test_only_what_evidence_lacks_is_trained(project: Project) -> None:
    project.set(grids__ci__keep_evidence=True)
    project.run("python", "-m", "pipeline", "keep-evidence", RESULTS)
    project.set(grids__ci__methods=[*project.config()["grids"]["ci"]["methods"], "another"])
    project.set(methods__another={"method": "maml1"})
    _forget_runs(project)

    project.snakemake("train_all")
    runs = project.path(f"{RESULTS}/runs")
    told = {path.parent: read_sealed(path) for path in runs.glob("*/*/*/metrics.json")}
    # a job that starts for a restored run, because its episodes were frozen again, leaves it
    assert {folder.parts[-3] for folder, said in told.items() if "restored" not in said} == {
        "another"
    }
    rows = pd.read_parquet(project.path(f"{RESULTS}/evidence/cosmixture-50shot-50val.parquet"))
    assert "another" in set(rows["label"])
    assert project.path(f"{RESULTS}/evidence/profile/another.json").is_file()


@pytest.mark.slow  # trains; what holds and what does not is asked in tests/unit/runs
def test_a_changed_formula_is_refused_and_then_trained(project: Project) -> None:
    """Of the methods in evidence only Reptile does another thing now."""
    project.set(grids__ci__keep_evidence=True, grids__ci__methods=["fomaml", "reptile"])
    project.run("python", "-m", "pipeline", "keep-evidence", RESULTS)
    _forget_runs(project)
    file = project.path("pipeline/core/methods/first_order.py")
    code = file.read_text()
    assert "problem.start - psi" in code
    file.write_text(code.replace("problem.start - psi", "1.01 * (problem.start - psi)"))

    said = project.snakemake("train_all", rc=1)
    refusals = [line for line in said.splitlines() if "found evidence made by code" in line]
    assert all("with this code" in line and "fomaml" not in line for line in refusals)
    runs = [line for line in refusals if f"{RESULTS}/runs/reptile/" in line]
    assert runs
    assert all(re.search(r"(curve|theta|test)\.[\w.]+ is ", line) for line in runs)
    assert project.planned()["meta_train"] == _blocks(project)
    project.snakemake("train_all")
    for told in project.path(f"{RESULTS}/runs").glob("*/*/*/metrics.json"):
        assert ("restored" in read_sealed(told)) is (told.parts[-4] == "fomaml"), told
    assert project.planned("train_all") == {}


@pytest.mark.slow  # the same way as above, for another cause
def test_rows_that_are_not_the_runs_are_said_and_trained(project: Project) -> None:
    """By the same command: all else is restored, and evidence is whole again."""
    project.set(grids__ci__keep_evidence=True, grids__ci__methods=["fomaml", "reptile"])
    project.run("python", "-m", "pipeline", "keep-evidence", RESULTS)
    rows_file = next(project.path(f"{RESULTS}/evidence").glob("cosmixture*.runs.parquet"))
    rows_file = rows_file.with_name(rows_file.name.replace(".runs", ""))
    runs, rows = read_files(rows_file)
    mine = ("fomaml", min(seed for _, seed in runs))
    write_files(rows_file, runs, rows | {mine: rows[mine].head(len(rows[mine]) // 2)})
    _forget_runs(project)

    said = project.snakemake("train_all")
    name = rows_file.relative_to(project.root).as_posix()
    assert f"{name}: found" in said
    for told in project.path(f"{RESULTS}/runs").glob("*/*/*/metrics.json"):
        trained = told.parts[-4:-1] == ("fomaml", rows_file.stem, str(mine[1]))
        assert ("restored" in read_sealed(told)) is not trained, told
    assert len(read_files(rows_file)[1][mine]) == len(rows[mine])
    assert f"{name}: found" not in project.snakemake("train_all", "--dry-run")
    assert project.planned("train_all") == {}


def _blocks(project: Project) -> int:
    params = project.params()
    blocks = seed_blocks(params.active.seeds, params.active.seeds_per_job)
    return len(blocks) * len(params.active.settings)


def _forget_runs(project: Project) -> None:
    made = ("runs", "reference", "profile")
    for name in (*(f"{RESULTS}/{folder}" for folder in made), "data", ".snakemake"):
        shutil.rmtree(project.path(name))
