"""Recipes as jobs are handed them: in the command, or in a file that it names (`@FILE`).

Linux takes 128 KiB of one argument, and Snakemake hands a job's whole command to the shell as one.
A long recipe is written when the first job starts, under its digest: the job makes what Snakemake
has planned, whatever `params.yaml` says by then.
"""

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipeline.files import write_text
from pipeline.runs.recipe import canonical

FOLDER = Path(".snakemake/recipes")
LONGEST = 24_000  # bytes; quoting for the shell may make more of them


def handed(recipe: Any) -> str:
    """What stands behind `--spec`: a recipe, or a list of them."""
    text = canonical(recipe)
    return f"@{_place(text)}" if _is_long(text) else text


def write_handed(recipes: Iterable[Any], root: Path = Path()) -> None:
    """Write those that are too long for a command, in place of all that was written before."""
    shutil.rmtree(root / FOLDER, ignore_errors=True)
    for text in map(canonical, recipes):
        if _is_long(text):
            write_text(root / _place(text), text)


def _is_long(text: str) -> bool:
    return len(text.encode()) > LONGEST


def _place(text: str) -> Path:
    return FOLDER / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
