"""Which device a job runs on, and how it is named."""

import ctypes
import platform
import sys

import torch

from pipeline.errors import BadInput

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def choose_device(wanted: str) -> torch.device:
    """The device for `auto`, `cuda` or `cpu`.

    Raises:
        BadInput: for another name, or `cuda` where there is none.
    """
    if wanted not in ("auto", "cuda", "cpu"):
        raise BadInput(f"device: found {wanted!r}, allowed: auto, cuda, cpu")
    if wanted == "cpu":
        return torch.device("cpu")  # without asking for a GPU, which would touch it
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise BadInput(
            "device: found 'cuda', but torch sees no CUDA device here; set device: auto or cpu"
        )
    return torch.device("cuda" if there else "cpu")


def device_name(device: torch.device) -> str:
    """`cpu`, or the GPU's name."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def environment() -> dict[str, str]:
    """Versions that a number may depend on."""
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(terse=True),
        "machine": platform.machine(),
    }


# Keep freed memory for the next meta-update instead of handing it back to the system.
#
# A meta-update keeps megabytes of states and activations and frees them at its end. By default
# the C library returns them, and the next update pays for fresh pages: up to a fifth of its time.

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
