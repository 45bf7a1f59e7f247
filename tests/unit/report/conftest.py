"""One small grid with tables and figures, shared by the tests of the page; copy it to change it."""

import shutil
from pathlib import Path

import pytest

from tests import run_records, table_files

SETTINGS = ["cosmixture-50shot-50val", table_files.SETTING]
METHODS = ["fomaml", "amaml", "maml"]
DRAWING = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'


def make(root: Path, *, seeds: tuple[int, ...] = (0, 1), reverse: bool = False) -> Path:
    """Runs, their tables and two drawings; `reverse` makes everything in the other order."""
    turn = -1 if reverse else 1
    given = {
        "methods": METHODS[::turn],
        "settings": SETTINGS[::turn],
        "seeds": list(seeds)[::turn],
    }
    failed = [("maml", SETTINGS[0], 1)]
    steps = (0, 1, 50)
    run_records.write_grid(root, **given, failed=failed, steps=steps, n_tasks=5, updates=8)
    table_files.build(root, **given)
    (root / "figures").mkdir()
    for name in ("curves", "memory"):
        (root / "figures" / f"{name}.svg").write_bytes(DRAWING)
    return root


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("report") / "results" / "test")


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "results" / "test")
