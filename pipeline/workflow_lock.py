"""Tell a lock that a killed Snakemake left behind from one that a living process holds.

Snakemake locks the folder with files below `.snakemake/locks/`, which outlive a `kill -9`.
Each Snakemake of this project also shares a kernel lock (`flock`) on a file beside them for as
long as it lives. Whoever can take that one alone knows that nobody else is alive.
"""

import fcntl
import os
import socket
from pathlib import Path
from typing import IO

_HELD: list[IO[str]] = []  # open until the process ends: the kernel lock goes with it


def join(root: Path = Path()) -> bool:
    """Share the kernel lock for the life of this process; first drop locks of the dead.

    Returns:
        True when a lock was left behind and has been removed.
    """
    place = root / ".snakemake" / "alive"
    place.parent.mkdir(exist_ok=True)
    handle = place.open("a+", encoding="utf-8")
    removed = _remove_if_alone(root, handle)
    fcntl.flock(handle, fcntl.LOCK_SH)
    _HELD.append(handle)
    return removed


def sign(root: Path = Path()) -> None:
    """Note which machine runs the workflow: the kernel lock may not reach another one."""
    (root / ".snakemake" / "alive").write_text(_machine(), encoding="utf-8")


def is_locked(root: Path = Path()) -> bool:
    """Whether a living Snakemake works here; locks of the dead are removed on the way."""
    place = root / ".snakemake" / "alive"
    if place.exists():
        with place.open("a+", encoding="utf-8") as handle:
            _remove_if_alone(root, handle)
    return any(_locks(root))


def _remove_if_alone(root: Path, handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody is alive, or the file system has no such locks
        return False
    handle.seek(0)
    if handle.read() != _machine():
        return False
    locks = _locks(root)
    for lock in locks:
        lock.unlink(missing_ok=True)
    return bool(locks)


def _locks(root: Path) -> list[Path]:
    return sorted((root / ".snakemake" / "locks").glob("*.lock"))


def _machine() -> str:
    return f"{socket.gethostname()} {os.getuid()}"
