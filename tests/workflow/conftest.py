"""One finished `ci` run per session, made by `dvc repro` (and so by Snakemake); tests copy it."""

from pathlib import Path

import pytest

from tests.workflow.project import Project, new_project

HERE = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)  # before xdist asks for groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder in one worker, so that they share the finished run."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.xdist_group("workflow"))
            if "finished" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Do not change it: copy it (`project`)."""
    project = new_project(tmp_path_factory.mktemp("workflow") / "finished project")
    project.dvc("repro")
    project.commit()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished run."""
    return finished.copy(tmp_path / "project")


@pytest.fixture
def fresh(tmp_path: Path) -> Project:
    """A project in which nothing has run."""
    return new_project(tmp_path / "project")
