"""A clone that has evidence and no runs makes the tables without training."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from pipeline.files import read_json
from tests.workflow.project import Project

pytestmark = pytest.mark.slow  # minutes of the real engines

RESULTS = "results/ci"


def test_tables_come_from_evidence(project: Project, tmp_path: Path) -> None:
    project.set(grids__ci__keep_evidence=True)
    project.run("python", "-m", "pipeline", "keep-evidence", RESULTS)
    tables = {path.name: path.read_bytes() for path in project.path(f"{RESULTS}/tables").iterdir()}
    _forget_runs(project)

    planned = project.planned()
    assert not {name for name in planned if name.startswith(("meta_train", "profile", "download"))}
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
    told = {path.parent: read_json(path) for path in runs.glob("*/*/*/metrics.json")}
    # a job that starts for a restored run, because its episodes were frozen again, leaves it
    assert {folder.parts[-3] for folder, said in told.items() if "restored" not in said} == {
        "another"
    }
    rows = pd.read_parquet(project.path(f"{RESULTS}/evidence/cosmixture-50shot-50val.parquet"))
    assert "another" in set(rows["label"])
    assert project.path(f"{RESULTS}/evidence/profile/another.json").is_file()


def _forget_runs(project: Project) -> None:
    for name in (f"{RESULTS}/runs", f"{RESULTS}/profile", "data", ".snakemake"):
        shutil.rmtree(project.path(name))
