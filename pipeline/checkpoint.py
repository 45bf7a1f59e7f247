"""Checkpoints of a meta-training run, named by the recipe they belong to."""

import pickle
import sys
from pathlib import Path
from typing import Any

import torch

from pipeline.files import replacing


def save_checkpoint(path: Path, recipe_digest: str, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all."""
    with replacing(path) as beside:
        torch.save({"recipe": recipe_digest, "state": state}, beside)


def load_checkpoint(path: Path, recipe_digest: str) -> dict[str, Any] | None:
    """The state of this recipe's checkpoint; None where there is none, or another's.

    A file that cannot be read is said so on stderr and left out: the run starts anew.
    """
    if not path.is_file():
        return None
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        print(f"{path}: unreadable checkpoint ({error}); starting anew", file=sys.stderr)
        return None
    if stored["recipe"] != recipe_digest:
        print(f"{path}: checkpoint of another recipe; starting anew", file=sys.stderr)
        return None
    state: dict[str, Any] = stored["state"]
    return state
