"""Reading the workflow writes nothing, and takes little time."""

import os
from pathlib import Path

import pytest

from tests.workflow.project import ROOT, Project

# of processor time, which other work on the machine changes little
SECONDS = {"quickstart": 3.0, "paper": 6.0}


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A fresh clone of this repository, with its committed evidence."""
    to = tmp_path_factory.mktemp("purity") / "clone"
    here = Project(ROOT)
    if not here.path(".git").exists():
        pytest.skip("needs the git repository")
    here.run("git", "clone", "--quiet", "--no-hardlinks", ROOT, to)
    return Project(to)


def left(project: Project) -> set[str]:
    """What git sees that is not committed, ignored files too; Snakemake's own folder left out."""
    said = project.run("git", "status", "--ignored", "--porcelain", "--untracked-files=all")
    return {line for line in said.splitlines() if ".snakemake/" not in line}


@pytest.mark.parametrize("grid", SECONDS)
def test_a_dry_run_writes_nothing(clone: Project, grid: str) -> None:
    assert left(clone) == set()
    clone.snakemake("--dry-run", "--quiet", "--config", f"grid={grid}")
    assert left(clone) == set()
    assert not [*Path(clone.root).rglob("__pycache__")]


@pytest.mark.parametrize("grid", SECONDS)
def test_a_dry_run_is_quick(clone: Project, grid: str) -> None:
    before = os.times()
    clone.snakemake("--dry-run", "--quiet", "--config", f"grid={grid}")
    after = os.times()
    seconds = sum(after[2:4]) - sum(before[2:4])  # of children
    assert seconds <= SECONDS[grid], f"{seconds:.1f} s of processor time"
