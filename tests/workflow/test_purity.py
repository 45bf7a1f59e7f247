"""Reading the workflow writes nothing, and takes little time."""

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.workflow.project import ROOT, Project

# Processor time in that of importing Snakemake, 0.7 s on the machine on which 3 and 6 s are wanted:
# other work slows down both.
IMPORTS = {"quickstart": 4.3, "paper": 8.5}


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


@pytest.mark.parametrize("grid", IMPORTS)
def test_a_dry_run_writes_nothing(clone: Project, grid: str) -> None:
    assert left(clone) == set()
    clone.snakemake("--dry-run", "--quiet", "--config", f"grid={grid}")
    assert left(clone) == set()
    assert not [*Path(clone.root).rglob("__pycache__")]


@pytest.mark.parametrize("grid", ["quickstart", pytest.param("paper", marks=pytest.mark.slow)])
def test_a_dry_run_is_quick(clone: Project, grid: str) -> None:
    importing = (sys.executable, "-c", "import snakemake.cli, snakemake.workflow")
    dry_run = ("snakemake", "--cores", 1, "--dry-run", "--quiet", "--config", f"grid={grid}")
    for _ in range(3):
        wanted, found = seconds_of(clone, *importing), seconds_of(clone, *dry_run)
        if found <= IMPORTS[grid] * wanted:
            return  # what is slow once may be so by the other work of the machine
    pytest.fail(f"{found:.1f} s, importing Snakemake {wanted:.1f} s")


def seconds_of(project: Project, *command: Any) -> float:
    """Of processor time, of a command and its children."""
    before = os.times()
    project.run(*command)
    after = os.times()
    return sum(after[2:4]) - sum(before[2:4])


def test_the_code_is_that_of_the_checkout(fresh: Project) -> None:
    """Wherever `--directory` points to, and whatever the environment has installed."""
    module = fresh.path("pipeline/__init__.py")
    module.write_text(f"{module.read_text()}\nprint('code of', __file__)\n")
    elsewhere = fresh.path("elsewhere")
    elsewhere.mkdir()
    shutil.copy(fresh.path("params.yaml"), elsewhere)
    shutil.copytree(fresh.path("grids"), elsewhere / "grids")
    tasks = "data/tasks/cosmixture.parquet"
    fresh.snakemake("--directory", elsewhere, tasks)
    said = (elsewhere / "logs/build_tasks/cosmixture.log").read_text()
    assert f"code of {module.resolve()}" in said


def test_schemas_older_than_the_cards_are_named(fresh: Project) -> None:
    """A new method's card was added, and `make schema` forgotten."""
    schema = fresh.path("workflow/schemas/params.schema.json")
    schema.write_text(schema.read_text().replace('"imaml"', '"another"'))
    said = fresh.snakemake("--dry-run", rc=2)
    assert "make schema" in said
    assert "Traceback" not in said
