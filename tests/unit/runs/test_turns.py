"""Jobs that write one file take turns, on any file system."""

import errno
import fcntl
import threading
from pathlib import Path
from typing import Any

import pytest

from pipeline.runs.turns import turn


@pytest.fixture(params=[None, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernel locks as they are, and as mounts that have none answer."""

    def refuse(*_: Any) -> None:
        raise OSError(request.param, "no locks here")

    if request.param:
        monkeypatch.setattr(fcntl, "flock", refuse)


def test_one_at_a_time(locks: None, tmp_path: Path) -> None:
    file, told = tmp_path / "evidence/one.parquet", []

    def other() -> None:
        with turn(file):
            told.append("other")

    waiting = threading.Thread(target=other)
    with turn(file):
        waiting.start()
        waiting.join(0.3)
        told.append("first")
    waiting.join(10)
    assert told == ["first", "other"]
