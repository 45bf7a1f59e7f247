"""Checkpoints of a meta-training job, named by the recipe, or recipes, they belong to."""

import pickle
import sys
from pathlib import Path
from typing import Any

import torch

from pipeline.files import replacing

_BROKEN = (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError)


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
        if not isinstance(stored, dict):
            raise TypeError(f"holds a {type(stored).__name__}")
        recipe: str = stored["recipe"]
        state: dict[str, Any] = stored["state"]
    # what a broken pickle raises depends on where it is broken
    except (*_BROKEN, pickle.UnpicklingError) as error:
        first = str(error).split("\n")[0]
        print(f"{path}: unreadable checkpoint ({first}); starting anew", file=sys.stderr)
        return None
    if recipe != recipe_digest:
        print(f"{path}: checkpoint of another recipe; starting anew", file=sys.stderr)
        return None
    return state
