"""Every process of the tests computes on one thread, hands back what is free, and stays small."""

import ctypes
import gc
import os
import re
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

# the workers are as many as the cores: threads of their own would wait for one another
os.environ.setdefault("OMP_NUM_THREADS", "1")
# read when torch is loaded: the profiler's lines would stand in what commands print
os.environ.setdefault("KINETO_LOG_LEVEL", "99")

BOUND_MB = 1500  # the most that a process may ever have taken of the memory
_NOTEWORTHY_MB = 30  # growth after which a test's leavings are looked for
_STATUS = Path("/proc/self/status")  # where it is missing (macOS), nothing is bounded


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """What a test allocated goes back to the system.

    The profiler's records, hundreds of MB, are in reference cycles, which Python looks for only
    after so many new objects, and never in what the benchmarks froze. And once
    `keep_freed_memory` has been called in this process, as the commands do, the C library keeps
    what is freed.
    """
    before = _megabytes("VmRSS")
    outcome = yield
    if _megabytes("VmRSS") - before > _NOTEWORTHY_MB:
        gc.unfreeze()
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # glibc
            trim(0)
    return outcome


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    """The test in which the process passes the bound fails; those after it do not."""
    outcome = yield
    peak = _megabytes("VmHWM")
    if peak > BOUND_MB and not item.config.stash.get(_PASSED, False):
        item.config.stash[_PASSED] = True
        pytest.fail(
            f"{item.nodeid}: the process took {peak:.0f} MB at its worst, more than {BOUND_MB}; "
            f"{_megabytes('VmRSS'):.0f} are left",
            pytrace=False,
        )
    return outcome


_PASSED = pytest.StashKey[bool]()


def _megabytes(field: str) -> float:
    """A field of this process's status: VmRSS, the resident memory, or VmHWM, its peak."""
    if not sys.platform.startswith("linux"):
        return 0.0
    found = re.search(rf"^{field}:\s+(\d+) kB$", _STATUS.read_text(), re.M)
    return int(found[1]) / 1024 if found else 0.0
