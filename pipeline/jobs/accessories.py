"""What a job does beside its work: evidence for git, the view of the runs in MLflow.

Where that fails, the work is done all the same. A job of a workflow then says what failed and ends
well, so that Snakemake keeps what was made; the next command tries again, and Snakemake's closing
lines say so until it succeeds.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pipeline.errors import BadInput, of_system
from pipeline.jobs.process import is_job
from pipeline.seals import read_sealed, write_sealed

UNKEPT = ".unkept"  # in a grid's results, while some of its records are to be put into evidence
TRACKING = "tracking.json"


def keep(evidence: Path, add: Callable[[], None]) -> bool:
    """Put what a job made into evidence; whether that could be done.

    Args:
        evidence: a file or folder in `results/{grid}/evidence`, or that folder.

    Raises:
        Exception: whatever `add` raises, in a command that a person gave.
    """
    try:
        add()
    except Exception as error:
        if not is_job():
            raise
        with suppress(OSError, StopIteration):  # a folder that cannot be written either
            of = (evidence, *evidence.parents)
            next(p for p in of if p.name == "evidence").with_name(UNKEPT).touch()
        print(
            f"error: {evidence}: not written. {_said(error)} What this job made is whole; the "
            "next `snakemake` puts it into evidence.",
            file=sys.stderr,
        )
        return False
    return True


def forget_unkept(results_dir: Path) -> None:
    """All of the grid is in evidence."""
    (results_dir / UNKEPT).unlink(missing_ok=True)


def note_unlogged(results_dir: Path, error: BadInput) -> None:
    """Say that the store cannot be used, in a file without a recipe, which the next run remakes.

    Raises:
        BadInput: `error` itself, in a command that a person gave.
    """
    if not is_job():
        raise error
    write_sealed(results_dir / TRACKING, {"not_logged": str(error)})
    print(f"error: {error} All else is made; the next `snakemake` logs it.", file=sys.stderr)


def left_undone(results_dir: Path) -> list[str]:
    """Lines for the end of a run: what could not be done beside the work."""
    lines = []
    if (results_dir / UNKEPT).exists():
        lines.append(
            f"{results_dir}/evidence: some records could not be put into evidence (logs/ say "
            "why); the next `snakemake` tries again."
        )
    with suppress(OSError, ValueError, KeyError, TypeError):
        found = read_sealed(results_dir / TRACKING)["not_logged"]
        lines.append(f"MLflow has not been told: {found} The next `snakemake` tries again.")
    return lines


def _said(error: Exception) -> str:
    if isinstance(error, OSError):
        error = of_system(error)
    return str(error) if isinstance(error, BadInput) else f"{type(error).__name__}: {error}."
