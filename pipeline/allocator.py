"""Keep freed memory for the next meta-update instead of handing it back to the system.

A meta-update keeps megabytes of states and activations and frees them at its end. By default
the C library returns them, and the next update pays for fresh pages: up to a fifth of its time.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt, <malloc.h>
_NEVER_BELOW = 1 << 30  # bytes that may lie idle at the end of the heap
_ON_HEAP = 32 << 20  # the most that glibc allows: larger pieces are mapped one by one


def keep_freed_memory() -> bool:
    """Tell glibc; elsewhere (macOS, musl, Windows) nothing is done. Whether it was told."""
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    told = (mallopt(_TRIM_THRESHOLD, _NEVER_BELOW), mallopt(_MMAP_THRESHOLD, _ON_HEAP))
    return all(told)
