"""How each job of a grid stands, by what lies on disk: recipes, and the logs of jobs.

A job runs while its process holds the lock on its log (jobs/process.py), which goes when the
process goes, however that ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.jobs.grid import Job
from pipeline.jobs.process import DONE, is_written
from pipeline.jobs.timing import Took, seconds_left
from pipeline.runs.progress import last_lines, read_line

STATES = ("done", "running", "failed", "stale", "waiting")
_FAULTS = ("error: ", "Traceback (most recent call last)")


@dataclass(frozen=True)
class Standing:
    """How a job stands.

    Attributes:
        state: one of `STATES`. `failed`: the last try ended with an error. `stale`: what it
            made was made by another recipe. `waiting` is all else that is left, a job that was
            killed too.
        told: how far it is, or was when it was killed.
        left: seconds, of one that runs and says so.
        took: seconds, of one that has ended well and says so.
        whole: seconds that one that runs is thought to take in all.
    """

    job: Job
    state: str
    told: str = ""
    left: float | None = None
    took: float | None = None
    whole: float | None = None


def standings(jobs: Sequence[Job], root: Path = Path()) -> list[Standing]:
    """How the jobs stand, in their order; nothing is written."""
    return [_standing(job, root / job.log) for job in jobs]


def time_left(found: Sequence[Standing], cores: int) -> float | None:
    """Seconds until all is done (pipeline/jobs/timing.py); None where that is not known.

    Args:
        cores: jobs that run at a time.
    """
    known = [
        Took(one.job, seconds) for one in found if (seconds := one.took or one.whole) is not None
    ]
    running = [(one.job, 0.0, one.left) for one in found if one.state == "running"]
    waiting = [one.job for one in found if one.state not in ("done", "running")]
    return seconds_left(waiting, running, known, cores)


def _standing(job: Job, log: Path) -> Standing:
    lines = last_lines(log)
    told = read_line(lines)
    if is_written(log):
        if told is None:
            return Standing(job, "running")
        rest = told.total - told.done
        whole = told.left * told.total / rest if rest else None
        return Standing(job, "running", told.text, told.left, whole=whole)
    ended = DONE.fullmatch(lines[-1]) if lines else None
    if job.done:
        return Standing(job, "done", took=float(ended[1]) if ended else None)
    if not ended and any(line.startswith(_FAULTS) for line in lines):
        return Standing(job, "failed", lines[-1])
    stopped = told.text if told and not ended else ""
    return Standing(job, "stale" if job.stale else "waiting", stopped)
