"""Which device a job runs on, and how it is named."""

import platform

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
    there = torch.cuda.is_available()
    if wanted == "cuda" and not there:
        raise BadInput(
            "device: found 'cuda', but torch sees no CUDA device here; set device: auto or cpu"
        )
    return torch.device("cuda" if there and wanted != "cpu" else "cpu")


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
