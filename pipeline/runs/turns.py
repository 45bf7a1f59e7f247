"""Jobs that write one file take turns."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock


@contextmanager
def turn(file: Path) -> Iterator[None]:
    """Hold the right to write `file`.

    By a kernel lock, which goes with its process; on a file system that has none, by a file that
    names its process, and that the next one deletes when this one is gone.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.lock")
    lock: BaseFileLock = FileLock(beside)
    try:
        lock.acquire()
    except (OSError, NotImplementedError):
        lock = SoftFileLock(beside.with_suffix(".held"))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
