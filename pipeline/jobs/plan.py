"""How many jobs a grid has, how many are left, and the time that these are projected to take."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.config.schema import SYNTHETIC_DATASETS, Params
from pipeline.config.titles import label_order, setting_order
from pipeline.jobs.blocks import seed_blocks
from pipeline.jobs.costs import Costs, Seconds, job_seconds, shape
from pipeline.jobs.reconcile import Artifact, fault_of, grid_artifacts
from pipeline.jobs.restore import restorable
from pipeline.runs.progress import track
from pipeline.runs.recipe import Recipe

# The jobs of a grid, and which of them are left: read from what lies on disk, changing nothing.

RULES = (
    *("download", "build_ratings", "build_tasks", "freeze_episodes", "meta_train"),
    *("profile_cost", "run_study", "build_tables", "plot_curves", "build_report", "log_tracking"),
)
RULE_OF = {  # a recipe's kind
    "ratings": "build_ratings",
    "tasks": "build_tasks",
    "episodes": "freeze_episodes",
    "profile": "profile_cost",
    "study": "run_study",
}


@dataclass(frozen=True)
class Job:
    """One job that Snakemake has for a grid.

    Attributes:
        rule: its rule; `meta_train` also where blocks of seeds are trained together.
        recipes: of what it still has to make (the seeds of a block that have no record yet);
            empty when it is done, and for jobs whose artifacts carry no recipe.
    """

    rule: str
    done: bool
    recipes: tuple[Recipe, ...] = ()
    label: str = ""
    dataset: str = ""
    setting: str = ""


def grid_jobs(params: Params, root: Path = Path()) -> list[Job]:
    """All jobs of the active grid, in the order of the workflow.

    An artifact is done when it carries the recipe that it would be made from, whatever
    modification times say (`python -m pipeline reconcile` puts those right), or when committed
    evidence holds it, from which Snakemake restores it. Data that are not
    there count as done as long as nothing that is left needs them. Tables, figures and the
    tracking store carry no recipe: they are done when nothing is left before them, their files
    are there, and none is older than what it is made from.
    """
    results = f"results/{params.grid}"
    artifacts = list(grid_artifacts(params, results))
    faulty = {artifact.files[-1] for artifact in artifacts if fault_of(artifact, root)}
    faulty -= restorable(params, root)
    targets = [a.files[-1] for a in artifacts if a.recipe["kind"] in ("run", "profile", "study")]
    views = _views(root, Path(results), targets, faulty)
    left: set[Path] = set()
    needed = set(targets)
    if not views[1].done:  # the figures show instances of each synthetic family
        tasks = [a for a in artifacts if a.recipe["kind"] == "tasks"]
        needed |= {a.files[-1] for a in tasks if a.recipe["dataset"] in SYNTHETIC_DATASETS}
    for artifact in reversed(artifacts):
        if artifact.files[-1] in faulty & needed:
            left.add(artifact.files[-1])
            needed |= set(artifact.inputs)
    return [
        *_downloads(artifacts, left, root),
        *_single(artifacts, left),
        *_training(params, artifacts, left),
        *views,
    ]


def grid_runs(params: Params, root: Path = Path()) -> list[tuple[Recipe, Path]]:
    """Recipe and folder of every run that the active grid has, made or not."""
    return [
        (artifact.recipe, (root / artifact.files[-1]).parent)
        for artifact in grid_artifacts(params, f"results/{params.grid}")
        if artifact.recipe["kind"] == "run"
    ]


def _downloads(artifacts: Iterable[Artifact], left: set[Path], root: Path) -> Iterator[Job]:
    """Archives; the simulated one is made anew with its ratings when these are there but stale."""
    for artifact in artifacts:
        if artifact.recipe["kind"] != "ratings":
            continue
        dataset = artifact.recipe["dataset"]
        ratings, archive = artifact.files[0], artifact.inputs[0]
        stale = dataset == "simulated" and (root / ratings).exists()
        kept = (root / archive).exists() and not stale
        yield Job("download", kept or ratings not in left, dataset=dataset)


def _single(artifacts: Iterable[Artifact], left: set[Path]) -> Iterator[Job]:
    """Jobs that make one artifact."""
    for artifact in artifacts:
        recipe = artifact.recipe
        if recipe["kind"] != "run":
            done = artifact.files[-1] not in left
            job = Job(RULE_OF[recipe["kind"]], done, () if done else (recipe,))
            yield replace(job, label=recipe.get("label", ""), dataset=recipe.get("dataset", ""))


def _training(params: Params, artifacts: Iterable[Artifact], left: set[Path]) -> Iterator[Job]:
    """Jobs of method x setting x block of seeds."""
    active = params.active
    blocks = seed_blocks(active.seeds, active.seeds_per_job)
    block_of = {seed: block for block, seeds in blocks.items() for seed in seeds}
    jobs: dict[tuple[str, str, int], list[Artifact]] = {}
    for artifact in artifacts:
        recipe = artifact.recipe
        if recipe["kind"] == "run":
            key = (recipe["label"], recipe["setting"], block_of[recipe["seed"]])
            jobs.setdefault(key, []).append(artifact)
    for (label, setting, _), runs in jobs.items():
        recipes = [run.recipe for run in runs if run.files[-1] in left]
        recipes.sort(key=lambda recipe: recipe["seed"])
        dataset = params.settings[setting].dataset
        yield Job("meta_train", not recipes, tuple(recipes), label, dataset, setting)


def _views(root: Path, results: Path, targets: list[Path], faulty: set[Path]) -> list[Job]:
    """Tables, figures, the report, and the tracking store, from what stands before each."""
    tables, figures = results / "tables/summary.json", results / "figures/curves.svg"
    made = {
        "build_tables": (tables, targets),
        "plot_curves": (figures, [tables]),
        "build_report": (results / "report.html", [tables, figures]),
        "log_tracking": (Path("mlflow.db"), [*targets, tables, figures]),
    }
    stale = set(faulty.intersection(targets))
    jobs = []
    for rule, (file, inputs) in made.items():
        whole = stale.isdisjoint(inputs) and _is_fresh(root / file, [root / p for p in inputs])
        jobs.append(Job(rule, whole))
        if not whole:
            stale.add(file)
    return jobs


def _is_fresh(file: Path, inputs: list[Path]) -> bool:
    """Whether a file is there and no older than its inputs.

    Records that evidence will restore are not there yet; restored, they are newer than `file`.
    """
    if not all(path.is_file() for path in (file, *inputs)):
        return False
    return file.stat().st_mtime_ns >= max(path.stat().st_mtime_ns for path in inputs)


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
