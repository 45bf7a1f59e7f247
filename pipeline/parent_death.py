"""A job ends when the workflow that started it is killed: no orphan keeps training."""

import ctypes
import os
import signal
import sys
import threading
import time

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
