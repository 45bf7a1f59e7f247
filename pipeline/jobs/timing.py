"""How long the jobs that are left will take, from those that have ended or say how far they are.

A job is thought to take what jobs of its rule took that share most names with it (method,
setting, data set). Long rules of which none is known make the whole unknown; a short one of
which none is known counts `SHORT_S`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.jobs.grid import Job

LONG = ("meta_train", "profile_cost", "run_study")
SHORT_S = 3.0


@dataclass(frozen=True)
class Took:
    """Seconds that a job took, or is thought to take in all by how far it is."""

    job: Job
    seconds: float


def expected(job: Job, known: Sequence[Took]) -> float | None:
    """Seconds that a job will take; None where nothing is known of a long rule."""
    alike: dict[int, list[float]] = {}
    for one in known:
        if one.job.rule == job.rule:
            alike.setdefault(_in_common(job, one.job), []).append(one.seconds)
    if alike:
        nearest = alike[max(alike)]
        return sum(nearest) / len(nearest)
    return None if job.rule in LONG else SHORT_S


def seconds_left(
    waiting: Sequence[Job],
    running: Sequence[tuple[Job, float, float | None]],
    known: Sequence[Took],
    cores: int,
) -> float | None:
    """Wall seconds until all jobs have ended, on cores that do nothing else.

    Args:
        waiting: jobs that have not started.
        running: jobs that have, for how many seconds, and how many are left where they say so.
        known: jobs that have ended, or say how far they are.
        cores: jobs that run at a time.

    Returns:
        None where nothing is known of a rule that takes long.
    """
    rest: list[float] = []
    for job, since, left in running:
        whole = expected(job, known)
        if left is None and whole is None:
            return None
        rest.append(left if left is not None else max((whole or 0.0) - since, 0.0))
    longest = max(rest, default=0.0)
    for job in waiting:
        whole = expected(job, known)
        if whole is None:
            return None
        rest.append(whole)
    return max(sum(rest) / max(cores, 1), longest)


def _in_common(one: Job, other: Job) -> int:
    """How many names two jobs share; that of the method, which says most, counts twice."""
    pairs = ((one.label, other.label), (one.setting, other.setting), (one.dataset, other.dataset))
    weights = (2, 1, 1)
    return sum(w for w, (mine, its) in zip(weights, pairs, strict=True) if mine and mine == its)
