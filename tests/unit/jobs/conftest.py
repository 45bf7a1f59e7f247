"""A finished grid, and a copy of the package whose code recipes digest."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.jobs import code
from tests.unit.jobs.finished_grid import finish
from tests.unit.tiny_runs import ROOT


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Do not change it: copy it (`root`)."""
    return finish(tmp_path_factory.mktemp("grid"))


@pytest.fixture
def root(made: Path, tmp_path: Path) -> Path:
    """A copy with the same modification times."""
    return Path(shutil.copytree(made, tmp_path / "grid"))


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package that recipes digest instead of the real one."""
    package = tmp_path / "pipeline"
    shutil.copytree(ROOT / "pipeline", package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(code, "PACKAGE", package)
    code.forget()
    yield package
    code.forget()
