"""Work on what others made, which may crash, hang or swell: in a process of its own, with limits.

Readers of foreign formats are large libraries, and a damaged file finds their faults: one panics,
one asks for 16 GB. The work is done in a fork of this process, which has the libraries loaded and
hands back one value after the other. It ends with this process, however that ends.
"""

import ctypes
import faulthandler
import gc
import os
import re
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from pipeline.errors import BadInput

_PR_SET_PDEATHSIG = 1
_LONGEST = 160  # characters of a library's own message


class Ended(Exception):
    """The work came to no good end; the text says how, in a few words."""


def isolated(
    work: Callable[..., Iterator[Any]],
    *given: Any,
    seconds: float,
    memory: int | None = None,
    quiet: bool = True,
) -> Iterator[Any]:
    """The values that `work(*given)` yields.

    Args:
        seconds: that it may take in all.
        memory: bytes that it may ask for (Linux); None: any.
        quiet: what it writes to stderr is dropped, such as the traces of a crash.

    Raises:
        BadInput, OSError: those of the work. A library's own OSError, without a number, is none.
        Ended: any other exception of it; no end in time, too much memory, a crash.
    """
    ours, theirs = Pipe(duplex=False)
    parent, deadline = os.getpid(), time.monotonic() + seconds
    child = os.fork()
    if not child:
        ours.close()
        _be_child(theirs, parent, memory, quiet, work, given)
    theirs.close()
    try:
        while True:
            if not ours.poll(max(deadline - time.monotonic(), 0.0)):
                raise Ended(f"no end after {seconds:g} s")
            kind, found = ours.recv()
            if kind == "error":
                raise found
            if kind == "end":
                return
            yield found
    except EOFError:
        raise Ended(f"the reader crashed ({_how(child)})") from None
    finally:
        ours.close()
        _reap(child)


def _how(child: int) -> str:
    """How a process ended, which it leaves for `_reap` to see too."""
    found = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert found is not None
    killed = found.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
    return signal.Signals(found.si_status).name if killed else f"status {found.si_status}"


def _reap(child: int) -> None:
    os.kill(child, signal.SIGKILL)  # one that has ended stays until it is waited for
    os.waitpid(child, 0)


# In the process of its own.


def _be_child(
    out: Connection,
    parent: int,
    memory: int | None,
    quiet: bool,
    work: Callable[..., Iterator[Any]],
    given: tuple[Any, ...],
) -> NoReturn:
    """Do the work, send what it yields, and end, whatever happens."""
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the parent ends this
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _die_with(parent)
        gc.freeze()  # what is shared stays shared
        if quiet:
            faulthandler.disable()
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        if memory is not None:
            _bound(memory)
        try:
            for value in work(*given):
                out.send(("value", value))
            out.send(("end", None))
        except BaseException as error:  # a panic of Rust code is no Exception
            out.send(("error", _told(error, memory)))
    finally:
        os._exit(1)  # seen only by a parent that was sent no end


def _told(error: BaseException, memory: int | None) -> Exception:
    if isinstance(error, BadInput) or (isinstance(error, OSError) and error.errno is not None):
        return error
    if isinstance(error, MemoryError):
        return Ended(f"more than {(memory or 0) / 1e6:,.0f} MB of memory asked for")
    said = "".join(c if c.isprintable() else " " for c in str(error)[: 2 * _LONGEST])
    return Ended(f"{type(error).__name__}: {' '.join(said.split())}"[:_LONGEST])


def _die_with(parent: int) -> None:
    """As `pipeline.jobs.process.die_with_parent`, for a fork."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _bound(memory: int) -> None:
    """Let this process ask for so many bytes more than it has."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform != "linux":
        return
    has = re.search(r"^VmData:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.M)
    assert has is not None
    # of data, not of addresses: allocators and threads reserve more of those than they use
    most = int(has[1]) * 1024 + memory
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (min(most, hard) if hard >= 0 else most, hard))
