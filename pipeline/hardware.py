"""What this machine offers, found out without importing torch (which takes a second)."""

import os
import shutil
from pathlib import Path


def gpu_here() -> bool:
    """Whether there is an NVIDIA GPU that jobs may see."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return False
    under_windows = Path("/dev/dxg").exists() and shutil.which("nvidia-smi") is not None
    return under_windows or any(Path("/dev").glob("nvidia[0-9]*"))
