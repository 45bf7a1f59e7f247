"""What the processes of a workflow know of one another and of their machine.

Tell a lock that a killed Snakemake left behind from one that a living process holds.

Snakemake locks the folder with files below `.snakemake/locks/`, which outlive a `kill -9`.
Each Snakemake of this project also shares a kernel lock (`flock`) on a file beside them for as
long as it lives. Whoever can take that one alone knows that nobody else is alive.
"""

import ctypes
import fcntl
import os
import shutil
import signal
import socket
import sys
import threading
import time
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


# A job ends when the workflow that started it is killed: no orphan keeps training.

VARIABLE = "PIPELINE_PARENT_DEATH"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """End this process when its parent ends, if the environment asks for it.

    The workflow sets `PIPELINE_PARENT_DEATH=1` and starts its jobs with `exec`, so that their
    parent is Snakemake itself and no shell in between. Commands that people start (with
    `nohup` or `&`, say) are left alone. Linux has this in the kernel; elsewhere a thread looks
    every second.
    """
    if os.environ.get(VARIABLE) != "1":
        return
    parent = os.getppid()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
        if os.getppid() != parent:  # it died between the two calls
            os.kill(os.getpid(), signal.SIGKILL)
        return
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


# What this machine offers, found out without importing torch (which takes a second).


def gpu_here() -> bool:
    """Whether there is an NVIDIA GPU that jobs may see."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    under_windows = Path("/dev/dxg").exists() and shutil.which("nvidia-smi") is not None
    return under_windows or any(Path("/dev").glob("nvidia[0-9]*"))
