"""A clone that has evidence and no runs makes the tables without training."""

import shutil
from pathlib import Path

from tests.workflow.project import Project

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


def test_only_what_evidence_lacks_is_trained(project: Project) -> None:
    project.set(grids__ci__keep_evidence=True)
    project.run("python", "-m", "pipeline", "keep-evidence", RESULTS)
    project.set(grids__ci__methods=[*project.params()["grids"]["ci"]["methods"], "another"])
    project.set(methods__another={"method": "maml1"})
    _forget_runs(project)

    planned = project.planned()
    assert planned["meta_train_block_0"] == 2  # of `another`, one a setting
    assert planned["profile_cost"] == 1
    project.snakemake("train_all")
    kept = project.run(
        "python", "-c",
        "import pandas as pd; print(sorted(set(pd.read_parquet("
        f"'{RESULTS}/evidence/cosmixture-50shot-50val.parquet')['label'])))",
    )  # fmt: skip
    assert "another" in kept
    assert project.path(f"{RESULTS}/evidence/profile/another.json").is_file()


def _forget_runs(project: Project) -> None:
    for name in (f"{RESULTS}/runs", f"{RESULTS}/profile", "data", ".snakemake"):
        shutil.rmtree(project.path(name))
