"""What the processes of a workflow know of one another and of their machine.

One Snakemake at a time works in a folder: from its first job on it holds a kernel lock (`flock`)
on `.snakemake/alive`, which goes when its process goes, however that ends. The file names the
machine, because a kernel lock may not reach another one that shares the folder.
"""

import ctypes
import fcntl
import io
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from pipeline.errors import BadInput

BESIDE_S = 15.0  # for what works beside the jobs to end
_BESIDE: list[subprocess.Popen[bytes]] = []
_HELD: list[IO[str]] = []  # open until the process ends: the kernel lock goes with it


def hold(root: Path = Path()) -> None:
    """Hold the folder's lock for the life of this process.

    Raises:
        BadInput: when another Snakemake works here, or one of another machine may.
    """
    place = root / ".snakemake" / "alive"
    place.parent.mkdir(exist_ok=True)
    handle = place.open("a+", encoding="utf-8")
    if not _locked_by_us(handle):
        raise BadInput(
            f"{place}: found the lock of another Snakemake that works in this folder; needed to "
            "be alone. Wait for it to end, or stop it with Ctrl-C."
        )
    handle.seek(0)
    machine = handle.read().strip()
    if machine not in ("", _machine()):
        raise BadInput(
            f"{place}: found the lock of a Snakemake on '{machine}', which did not end in an "
            "orderly way or still runs; needed to be alone. If it is gone, delete this file."
        )
    handle.seek(0)
    handle.truncate()
    handle.write(_machine())
    handle.flush()
    _HELD.append(handle)


def start_beside(command: Sequence[str], log: Path) -> None:
    """Start a process that works beside the jobs until `release`; its words go to `log`.

    It has to end by itself when this process is killed: it is none of its process group.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as said:
        _BESIDE.append(
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        )


def release() -> None:
    """Give the lock back at an orderly end, after what works beside the jobs has ended."""
    while _BESIDE:
        process = _BESIDE.pop()
        process.terminate()
        try:
            process.wait(BESIDE_S)
        except subprocess.TimeoutExpired:
            process.kill()
    while _HELD:
        with _HELD.pop() as handle:
            handle.truncate(0)


def is_locked(root: Path = Path()) -> bool:
    """Whether a living Snakemake works here, or one of another machine may."""
    place = root / ".snakemake" / "alive"
    if not place.exists():
        return False
    with place.open("r", encoding="utf-8") as handle:
        return not _locked_by_us(handle) or handle.read().strip() not in ("", _machine())


def forget_marks(folder: Path, own: Path) -> None:
    """Delete marks (workflow/rules/common.smk) that a killed Snakemake left behind."""
    for mark in folder.glob("*"):
        if mark != own:
            mark.unlink(missing_ok=True)


def date_back(files: Iterable[Path]) -> None:
    """Give files of the future the present as their time.

    After a clock was set back Snakemake takes each new file for older than its inputs and stops.
    Files of another owner, as in a shared cache that links lead to, are left as they are.
    """
    now = time.time()
    for file in files:
        if file.exists() and file.stat().st_mtime > now:
            with suppress(PermissionError):
                os.utime(file, (now, now))


def _locked_by_us(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without such locks
        return True
    return True


def _machine() -> str:
    return f"{socket.gethostname()} {os.getuid()}"


# A job ends when the workflow that started it is killed: no orphan keeps training.

VARIABLE = "PIPELINE_PARENT_DEATH"
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """End this process when the workflow that started it ends, or has ended already.

    The workflow sets `PIPELINE_PARENT_DEATH` to the number of its own process, and starts its jobs
    with `exec`, so that it is their parent and no shell in between. It has to be asked before
    anything slow is imported. Commands that people start (with `nohup` or `&`, say) are left
    alone. Linux has this in the kernel; elsewhere a thread looks every second.
    """
    said = os.environ.get(VARIABLE, "")
    if not said.isdecimal():
        return
    parent = int(said)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:  # it died before it could be watched
        os.kill(os.getpid(), signal.SIGKILL)


# That torch's profiler says nothing; read when torch is loaded.
SILENT = ("KINETO_LOG_LEVEL", "99")
DONE = re.compile(r"done in ([\d.]+) s")  # the last line of the log of a job that ended well


def tell_done(seconds: float) -> None:
    """Write the last line of a job's log."""
    print(f"done in {seconds:.1f} s", file=sys.stderr)


def escape_what_encoding_lacks() -> None:
    """Let stdout escape what an ASCII-only environment cannot write, as stderr does."""
    # once: a fork of the worker has another file under it, which cannot be asked where it stands
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors != "backslashreplace":
        sys.stdout.reconfigure(errors="backslashreplace")


def is_job() -> bool:
    """Whether a workflow started this process, as a job."""
    return bool(os.environ.get(VARIABLE))


def hold_log() -> None:
    """Hold a kernel lock on the job's log for the life of this process: `is_written` sees it."""
    with suppress(OSError):  # a file system without such locks
        if stat.S_ISREG(os.fstat(2).st_mode):
            fcntl.flock(2, fcntl.LOCK_EX)


def is_written(log: Path) -> bool:
    """Whether the job whose log this is runs."""
    try:
        with log.open("rb") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no file, or a file system without such locks
        return False
    return False


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


# Commands that load torch, and what they need of address space: where OpenBLAS gets none while it
# is loaded, it asks again for ever.
LOAD_TORCH = (
    *("meta-train", "build-reference", "fit-offsets", "profile-cost", "keep-evidence"),
    *("restore-runs", "promote", "adapt"),
)
LEAST_BYTES = 1_500_000_000


def torch_fits() -> bool:
    """Whether the limit of address space leaves room to load torch."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return limit == resource.RLIM_INFINITY or limit >= LEAST_BYTES


def check_memory_limit(command: str) -> None:
    """Refuse to load torch under a limit of address space that it does not fit in.

    Raises:
        BadInput: naming the limit.
    """
    loads = command in LOAD_TORCH or command.startswith("study-")
    if loads and not torch_fits():
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        raise BadInput(
            f"limit of address space (`ulimit -v`): found {limit / 1e6:.0f} MB, needed "
            f"{LEAST_BYTES / 1e6:.0f} MB and more to load torch. Lift it: `ulimit -v unlimited`."
        )


# What this machine offers, found out without importing torch (which takes a second).


def gpu_here() -> bool:
    """Whether there is an NVIDIA GPU that jobs may see."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    under_windows = Path("/dev/dxg").exists() and shutil.which("nvidia-smi") is not None
    return under_windows or any(Path("/dev").glob("nvidia[0-9]*"))
