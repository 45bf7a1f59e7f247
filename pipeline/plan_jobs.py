"""The jobs of a grid, and which of them are left: read from what lies on disk, changing nothing."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.config import SYNTHETIC_DATASETS, Params
from pipeline.reconcile import Artifact, fault_of, grid_artifacts
from pipeline.restore_evidence import restorable
from pipeline.seed_blocks import seed_blocks
from pipeline.specs import Recipe

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
