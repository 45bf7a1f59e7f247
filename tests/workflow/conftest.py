"""One finished `ci` run for all workers, made by `dvc repro` (and so by Snakemake)."""

from pathlib import Path

import pytest
from filelock import FileLock

from tests.workflow.project import Project, new_project

HERE = Path(__file__).parent
FIRST = HERE / "test_report.py"  # makes the finished run while the other worker has unit tests
METHODS = ["maml", "fomaml", "reptile", "imaml", "amaml"]  # what differs by rule or in the tests


def pytest_itemcollected(item: pytest.Item) -> None:
    """Whoever is the first to need the finished run has to wait for it."""
    if HERE in item.path.parents and "finished" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.timeout(1800))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path != FIRST)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """This worker's copy of the finished run. Do not change it: copy it (`project`)."""
    own = tmp_path_factory.getbasetemp()
    shared = own if worker_id == "master" else own.parent
    made = shared / "finished project"
    with FileLock(shared / "finished.lock"):
        if not (shared / "finished.done").exists():
            project = new_project(made)
            project.set(grids__ci__methods=METHODS, grids__ci__studies__fidelity__methods=METHODS)
            project.commit()
            project.dvc("repro")
            project.commit()
            (shared / "finished.done").touch()
        return Project(made).copy(tmp_path_factory.mktemp("workflow") / "finished project")


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished run."""
    return finished.copy(tmp_path / "project")


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """A project in which nothing has run."""
    return new_project(tmp_path / "project")
