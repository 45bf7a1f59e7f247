"""Run records and profiles to committed evidence, and back where a clone lacks them.

Only for grids with `keep_evidence`. Imports nothing heavy unless there is something to do, because
every start of Snakemake calls `restore_evidence`.
"""

import shutil
from pathlib import Path

from pipeline import specs
from pipeline.config import Params
from pipeline.files import read_json, replacing


def restore_evidence(params: Params, root: Path = Path()) -> list[Path]:
    """Restore what the active grid wants and evidence has with the same recipe.

    Returns:
        The run folders and profiles written, below `root`.

    Raises:
        BadInput: when evidence is unreadable.
    """
    active = params.active
    results = root / "results" / params.grid
    if not active.keep_evidence or not (results / "evidence").is_dir():
        return []
    restored: list[Path] = []
    for setting in active.settings:
        rows_file = results / "evidence" / f"{setting}.parquet"
        wanted = [
            (results / "runs" / method / setting / str(seed), (method, setting, seed))
            for method in active.methods
            for seed in active.seeds
        ]
        missing = [(folder, of) for folder, of in wanted if not (folder / "spec.json").is_file()]
        if missing and rows_file.is_file():
            from pipeline.evidence import restore

            _draw_family(params, setting, root)
            recipes = [(folder, specs.run_recipe(params, *of)) for folder, of in missing]
            restored += restore(rows_file, recipes)
    for kept, profile in _missing_profiles(params, results):
        with replacing(profile) as beside:
            shutil.copyfile(kept, beside)
        restored.append(profile)
    return restored


def restorable(params: Params, root: Path = Path()) -> set[Path]:
    """What the next start of Snakemake restores: `spec.json` of runs and profiles, below `root`.

    Raises:
        BadInput: when evidence is unreadable.
    """
    active = params.active
    results = Path("results") / params.grid
    kept = root / results / "evidence"
    found: set[Path] = set()
    if not active.keep_evidence or not kept.is_dir():
        return found
    for setting in active.settings:
        if not (kept / f"{setting}.parquet").is_file():
            continue
        from pipeline.evidence import kept_recipes

        recipes = kept_recipes(kept / f"{setting}.parquet")
        for method in active.methods:
            for seed in active.seeds:
                spec = results / "runs" / method / setting / str(seed) / "spec.json"
                recipe = specs.run_recipe(params, method, setting, seed)
                if recipes.get((method, seed)) == specs.digest(recipe):
                    found.add(spec)
    missing = {path for path in found if not (root / path).is_file()}
    profiles = (profile for _, profile in _missing_profiles(params, root / results))
    return missing | {profile.relative_to(root) for profile in profiles}


def _draw_family(params: Params, setting: str, root: Path) -> None:
    """The task set of a synthetic setting, where there is none: figures show an instance of it.

    Drawn before its runs are restored, and so older: as a job of its own it would be newer, and
    everything that was ever made from it would be made again.
    """
    given = params.settings[setting]
    tasks = root / "data" / "tasks" / f"{given.dataset}.parquet"
    if given.is_synthetic and not tasks.is_file():
        from pipeline.data.task_sets import build_synthetic_tasks

        recipe = specs.tasks_recipe(params, given.dataset)
        numbers = {name: recipe[name] for name in ("n_train", "n_test", "points")}
        build_synthetic_tasks(
            given.dataset,
            tasks,
            seeds=list(range(recipe["seeds"])),
            **numbers,
            metadata={"spec": specs.canonical(recipe)},
        )


def keep_finished(
    results_dir: Path, *, methods: list[str], settings: list[str], seeds: list[int]
) -> int:
    """Put every finished run and profile below `results_dir` into evidence.

    Returns:
        The number of runs.

    Raises:
        BadInput: when a record or the evidence is unreadable.
    """
    from pipeline.evidence import add_runs, evidence_file

    count = 0
    for setting in settings:
        for method in methods:
            folders = [results_dir / "runs" / method / setting / str(seed) for seed in seeds]
            whole = [folder for folder in folders if (folder / "spec.json").is_file()]
            if whole:
                add_runs(evidence_file(results_dir, setting), whole)
            count += len(whole)
    for method in methods:
        keep_profile(results_dir / "profile" / f"{method}.json")
    return count


def keep_profile(profile: Path) -> None:
    """Copy a profile, if there is one, to where evidence keeps it."""
    kept = profile.parents[1] / "evidence" / "profile" / profile.name
    if profile.is_file():
        with replacing(kept) as beside:
            shutil.copyfile(profile, beside)


def _missing_profiles(params: Params, results: Path) -> list[tuple[Path, Path]]:
    """Kept profiles of the same recipe, and where they belong and are not."""
    pairs = [
        (results / "evidence" / "profile" / f"{m}.json", results / "profile" / f"{m}.json", m)
        for m in params.active.methods
    ]
    return [
        (kept, profile)
        for kept, profile, method in pairs
        if kept.is_file() and not profile.is_file() and _made_from(kept, params, method)
    ]


def _made_from(kept: Path, params: Params, method: str) -> bool:
    try:
        return bool(read_json(kept)["spec"] == specs.profile_recipe(params, method))
    except (OSError, ValueError, KeyError, TypeError):
        return False
