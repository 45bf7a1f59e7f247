"""How many jobs a grid has, how many are left, and the time that these are projected to take."""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.schema import Params
from pipeline.config.titles import label_order, setting_order
from pipeline.jobs.artifacts import grid_artifacts
from pipeline.jobs.costs import Costs, Seconds, job_seconds, shape
from pipeline.jobs.grid import RULES, Job
from pipeline.runs.progress import track
from pipeline.runs.recipe import Recipe


def grid_runs(params: Params, root: Path = Path()) -> list[tuple[Recipe, Path]]:
    """Recipe and folder of every run that the active grid has, made or not."""
    return [
        (artifact.recipe, (root / artifact.files[-1]).parent)
        for artifact in grid_artifacts(params, root)
        if artifact.recipe["kind"] == "run"
    ]


HOUR = 3600.0
PROCESSES_OF_PROFILE = 2  # its own, and the one that it forks the measured ones from


@dataclass(frozen=True)
class _Timed:
    job: Job
    seconds: float = 0.0
    update: float | None = None  # seconds of a meta-update


def make_plan(
    grid: str,
    jobs: Iterable[Job],
    *,
    costs: Costs | None = None,
    cores: int = 2,
    one_at_a_time: bool = False,
) -> dict[str, Any]:
    """Count jobs and project the time of those that are left.

    Args:
        jobs: all of the grid, in any order.
        costs: where seconds come from; None: only counts.
        cores: jobs that run at a time.
        one_at_a_time: jobs share one GPU, whatever `cores` is.

    Returns:
        `rules`, `methods` and `datasets` (these two of meta-training jobs), each with `jobs`,
        `done` and `core_hours`; a method also with `update_seconds`, the least and the most
        that a meta-update of all seeds of a job takes. `total` has the same, `wall_hours` with
        the longest jobs started first, and `longest_job`. Times are None without `costs`.
    """
    timed = _time(sorted(jobs, key=_order), costs)
    training = [one for one in timed if one.job.rule == "meta_train"]
    known = costs is not None

    def by(name: str, of: Callable[[Job], str], among: Sequence[_Timed]) -> list[dict[str, Any]]:
        values = dict.fromkeys(of(one.job) for one in among)
        return [
            {name: value} | _row([one for one in among if of(one.job) == value], known)
            for value in values
        ]

    methods = by("method", lambda job: job.label, training)
    for row in methods:
        updates = [
            t.update for t in training if t.update is not None and t.job.label == row["method"]
        ]
        row["update_seconds"] = [min(updates), max(updates)] if updates else None
    datasets = by("dataset", lambda job: job.dataset, training)
    return {
        "grid": grid,
        "cores": cores,
        "rules": by("rule", lambda job: job.rule, timed),
        "methods": methods,
        "datasets": sorted(datasets, key=lambda row: setting_order(row["dataset"], "")),
        "total": _row(timed, known)
        | {
            "wall_hours": _wall(timed, 1 if one_at_a_time else cores) / HOUR if known else None,
            "longest_job": _longest(timed) if known else None,
        },
    }


def _time(jobs: Sequence[Job], costs: Costs | None) -> list[_Timed]:
    """Seconds of every job, each shape asked for once."""
    if costs is None:
        return [_Timed(job) for job in jobs]
    left = [job for job in jobs if not job.done]
    start = costs.start() if left else 0.0
    wanted = {_key(job): job for job in left if job.recipes}
    asked = list(wanted.items())
    runs: dict[Any, Seconds] = {}
    profiles: dict[Any, float] = {}
    for number in track("measuring shapes", 0, len(asked)):
        key, job = asked[number]
        if job.rule == "meta_train":
            runs[key] = costs.run(job.recipes[0], len(job.recipes))
        elif job.rule == "profile_cost":
            profiles[key] = PROCESSES_OF_PROFILE * start + costs.profile(job.recipes[0])
    timed = []
    for job in jobs:
        key = _key(job)
        if job.done:
            timed.append(_Timed(job))
        elif job.rule == "meta_train":
            cost = runs[key]
            timed.append(_Timed(job, start + job_seconds(job.recipes, cost), cost.update))
        else:
            timed.append(_Timed(job, profiles.get(key, start)))
    return timed


def _key(job: Job) -> tuple[str, str, int]:
    """Jobs of the same key take the same time."""
    return job.rule, shape(job.recipes[0]) if job.recipes else "", len(job.recipes)


def _row(timed: Sequence[_Timed], known: bool) -> dict[str, Any]:
    return {
        "jobs": len(timed),
        "done": sum(one.job.done for one in timed),
        "core_hours": sum(one.seconds for one in timed) / HOUR if known else None,
    }


def _wall(timed: Sequence[_Timed], cores: int) -> float:
    """Seconds until all jobs have ended, the longest started first."""
    ends = [0.0] * cores
    for seconds in sorted((one.seconds for one in timed), reverse=True):
        heapq.heapreplace(ends, ends[0] + seconds)
    return max(ends)


def _longest(timed: Sequence[_Timed]) -> dict[str, Any] | None:
    """The job that sets a bound on wall time, whatever the number of cores."""
    left = [one for one in timed if not one.job.done]
    if not left:
        return None
    one = max(left, key=lambda one: one.seconds)
    names = [one.job.rule, one.job.label, one.job.setting or one.job.dataset]
    return {"job": " ".join(name for name in names if name), "hours": one.seconds / HOUR}


def _order(job: Job) -> tuple[Any, ...]:
    """The workflow's order of rules, then that of tables."""
    seeds = [recipe.get("seed", 0) for recipe in job.recipes]
    place = setting_order(job.dataset, job.setting)
    return RULES.index(job.rule), label_order(job.label), place, seeds
