"""Drop artifacts that do not match their recipe; put the times of the rest in order.

Snakemake's own memory (`.snakemake/`) says nothing about files that `dvc pull` or `git checkout`
brought: here each artifact is judged by the recipe it carries (pipeline/jobs/recipes.py), which
holds the digest of its input's recipe. What does not match, or left the grid, is deleted. What
stays is given a modification time no older than its input's, so that `snakemake --rerun-triggers
mtime` makes exactly what is missing.
"""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.config.schema import Params
from pipeline.data.schemas import read_metadata
from pipeline.data.sources import SOURCES
from pipeline.errors import BadInput
from pipeline.files import read_json
from pipeline.jobs import process, recipes
from pipeline.jobs.recipes import study_recipe
from pipeline.jobs.restore import restore_evidence
from pipeline.runs import records
from pipeline.runs.recipe import Recipe

MADE = ("runs", "profile", "studies")  # below results/{grid}
DATA = ("data/raw", "data/ratings", "data/tasks", "data/episodes")


@dataclass(frozen=True)
class Artifact:
    """What one job makes: its files (the last one carries the recipe) and its inputs."""

    recipe: Recipe
    files: tuple[Path, ...]
    inputs: tuple[Path, ...] = ()


def reconcile(params: Params, *, grid: str | None = None, root: Path = Path()) -> dict[str, Any]:
    """Make the files of a grid agree with the parameters; those of other grids are left alone.

    Args:
        grid: the grid to look at; None: the one that `params` names.
        root: the project's folder.

    Returns:
        Numbers of artifacts `kept`, `missing`, `removed` and `restored` (from evidence, counted
        with the kept), and `reasons`: what was removed and why.

    Raises:
        BadInput: when the grid is unknown, or a running Snakemake works in `root`.
    """
    params = on_grid(params, grid)
    if process.is_locked(root):
        raise BadInput(
            f"{root / '.snakemake/locks'}: found the lock of a running Snakemake; needed none. "
            "Wait for it to end, or, if none runs on any machine, `snakemake --unlock`."
        )
    results = f"results/{params.grid}"
    for folder in (*DATA, *(f"{results}/{made}" for made in MADE)):
        (root / folder).mkdir(parents=True, exist_ok=True)
    artifacts = list(grid_artifacts(params, results))
    reasons = _remove_others(root / results, {root / a.files[-1] for a in artifacts})
    restored = restore_evidence(params, root)
    kept = 0
    for artifact in artifacts:
        fault = fault_of(artifact, root)
        if fault is None:
            kept += 1
            _lift_times(artifact, root)
        elif sum(_remove(root / path) for path in artifact.files):
            reasons[artifact.files[-1].as_posix()] = fault
            if artifact.recipe["kind"] == "ratings" and artifact.recipe["dataset"] == "simulated":
                _remove(root / "data/raw/simulated.zip")  # made here, and carries no recipe
    return {
        "grid": params.grid,
        "kept": kept,
        "missing": len(artifacts) - kept,
        "removed": len(reasons),
        "restored": len(restored),
        "reasons": reasons,
    }


def on_grid(params: Params, grid: str | None) -> Params:
    """The parameters with another grid active; None: as they are.

    Raises:
        BadInput: when the grid is unknown.
    """
    if grid is None:
        return params
    if grid not in params.grids:
        raise BadInput(f"--grid: found '{grid}', allowed: {', '.join(params.grids)}")
    return params.model_copy(update={"grid": grid})


def carried_recipe(path: Path) -> Recipe | None:
    """The recipe that a file carries; None when it has none or is broken."""
    try:
        if path.suffix == ".parquet":
            recipe = json.loads(read_metadata(path)["spec"])
        else:
            recipe = read_json(path)
            recipe = recipe if path.name == "spec.json" else recipe["spec"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return recipe if isinstance(recipe, dict) else None


def grid_artifacts(params: Params, results: str) -> Iterator[Artifact]:
    """Everything of the active grid that carries a recipe, inputs before what is made of them."""
    active = params.active
    for dataset in sorted({params.settings[setting].dataset for setting in active.settings}):
        tasks = Path(f"data/tasks/{dataset}.parquet")
        ratings = Path(f"data/ratings/{dataset}.parquet")
        if dataset in SOURCES:
            raw = Path(f"data/raw/{dataset}.zip")
            yield Artifact(recipes.ratings_recipe(params, dataset), (ratings,), (raw,))
        inputs = (ratings,) if dataset in SOURCES else ()
        yield Artifact(recipes.tasks_recipe(params, dataset), (tasks,), inputs)
    for setting in active.settings:
        tasks = Path(f"data/tasks/{params.settings[setting].dataset}.parquet")
        for seed in active.seeds:
            episodes = Path(f"data/episodes/{setting}/{seed}.parquet")
            yield Artifact(recipes.episodes_recipe(params, setting, seed), (episodes,), (tasks,))
            for method in active.methods:
                folder = Path(f"{results}/runs/{method}/{setting}/{seed}")
                files = tuple(folder / name for name in records.FILES)
                recipe = recipes.run_recipe(params, method, setting, seed)
                yield Artifact(recipe, files, (tasks, episodes))
    for method in active.methods:
        profile = Path(f"{results}/profile/{method}.json")
        yield Artifact(recipes.profile_recipe(params, method), (profile,))
    for name in active.studies.names:
        yield Artifact(study_recipe(params, name), (Path(f"{results}/studies/{name}.json"),))


def fault_of(artifact: Artifact, root: Path) -> str | None:
    """Why an artifact cannot stay; None when it can."""
    missing = [path.name for path in artifact.files if not (root / path).is_file()]
    if missing:
        return f"no {', '.join(missing)}"
    found = carried_recipe(root / artifact.files[-1])
    if found is None:
        return "carries no readable recipe"
    keys = sorted(found.keys() | artifact.recipe.keys())
    differing = [key for key in keys if found.get(key) != artifact.recipe.get(key)]
    return f"made with another {', '.join(differing)}" if differing else None


def _lift_times(artifact: Artifact, root: Path) -> None:
    """Make an artifact's files no older than its inputs."""
    times = [(root / path).stat().st_mtime_ns for path in artifact.inputs if (root / path).exists()]
    newest = max(times, default=0)
    for path in artifact.files:
        if (root / path).stat().st_mtime_ns < newest:
            os.utime(root / path, ns=(newest, newest))


def _remove_others(results: Path, expected: set[Path]) -> dict[str, str]:
    """Delete runs, profiles and studies that are not of the grid, and folders left empty."""
    reasons = {}
    for folder in sorted(results.glob("runs/*/*/*")):
        if folder / "spec.json" not in expected and folder.is_dir():
            shutil.rmtree(folder)
            reasons[folder.as_posix()] = "not in the grid"
    for record in sorted((*results.glob("profile/*.json"), *results.glob("studies/*.json"))):
        if record not in expected:
            record.unlink()
            reasons[record.as_posix()] = "not in the grid"
    for folder in sorted((*results.glob("runs/*/*"), *results.glob("runs/*")), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return reasons


def _remove(path: Path) -> bool:
    found = path.exists()
    path.unlink(missing_ok=True)
    return found
