"""Records of runs, profiles and studies to committed evidence, and back where a clone lacks them.

Only for grids with `keep_evidence`. Imports nothing heavy unless there is something to do, because
every start of Snakemake calls `restore_evidence`.
"""

import json
from collections.abc import Callable
from pathlib import Path

from pipeline.config.schema import Params
from pipeline.files import read_json, write_json
from pipeline.jobs import recipes as specs
from pipeline.jobs.recipes import study_recipe
from pipeline.runs.recipe import Recipe, canonical


def restore_evidence(
    params: Params, root: Path = Path(), say: Callable[[str], None] = lambda line: None
) -> list[Path]:
    """Restore what the active grid wants and evidence can give.

    Args:
        say: gets a line for each kind of evidence that the code of today contradicts.

    Returns:
        The run folders, profiles and studies written, below `root`.

    Raises:
        BadInput: when evidence is unreadable.
    """
    active = params.active
    results = root / "results" / params.grid
    if not active.keep_evidence or not (results / "evidence").is_dir():
        return []
    restored: list[Path] = []
    refused: dict[Path, str] = {}
    for setting in active.settings:
        rows_file = results / "evidence" / f"{setting}.parquet"
        missing = [
            (results / "runs" / method / setting / str(seed), (method, setting, seed))
            for method in active.methods
            for seed in active.seeds
        ]
        missing = [(folder, of) for folder, of in missing if not (folder / "spec.json").is_file()]
        if missing and rows_file.is_file():
            from pipeline.runs.evidence import restore
            from pipeline.runs.probes import behaviours

            _draw_family(params, setting, root)
            recipes = [(folder, specs.run_recipe(params, *of)) for folder, of in missing]
            done = restore(rows_file, recipes, behaviours(root))
            restored += done.folders
            refused |= done.refused
    for kept, record, recipe in _missing_records(params, results):
        if fault := restore_record(kept, record, recipe, root):
            refused[record] = fault
        else:
            restored.append(record)
    for line in refusals(refused):
        say(line)
    return restored


def refusals(refused: dict[Path, str]) -> list[str]:
    """One line for each reason, with the records that it holds for."""
    by_reason: dict[str, list[str]] = {}
    for place, reason in refused.items():
        by_reason.setdefault(reason, []).append(place.as_posix())
    return [
        f"evidence not used for {places[0]}"
        + (f" and {len(places) - 1} more" if len(places) > 1 else "")
        + f": {reason}; it is made again"
        for reason, places in by_reason.items()
    ]


def restorable(params: Params, root: Path = Path()) -> set[Path]:
    """What evidence has with the same parameters and is not there, below `root`: `spec.json` of
    runs, profiles and studies. Whether the code still behaves as it did shows when they are
    restored.

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
        from pipeline.runs.evidence import kept_recipes, same_parameters

        recipes = kept_recipes(kept / f"{setting}.parquet")
        for method in active.methods:
            for seed in active.seeds:
                spec = results / "runs" / method / setting / str(seed) / "spec.json"
                recipe = specs.run_recipe(params, method, setting, seed)
                if same_parameters(recipes.get((method, seed), {}), recipe):
                    found.add(spec)
    missing = {path for path in found if not (root / path).is_file()}
    records = (record for _, record, _ in _missing_records(params, root / results))
    return missing | {record.relative_to(root) for record in records}


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
            metadata={"spec": canonical(recipe)},
        )


def keep_finished(
    results_dir: Path, *, methods: list[str], settings: list[str], seeds: list[int]
) -> int:
    """Put every finished run, profile and study below `results_dir` into evidence.

    Returns:
        The number of runs.

    Raises:
        BadInput: when a record or the evidence is unreadable.
    """
    from pipeline.runs.evidence import add_runs, evidence_file
    from pipeline.runs.probes import behaviours

    count = 0
    for setting in settings:
        for method in methods:
            folders = [results_dir / "runs" / method / setting / str(seed) for seed in seeds]
            whole = [folder for folder in folders if (folder / "spec.json").is_file()]
            if whole:
                add_runs(evidence_file(results_dir, setting), whole, behaviours())
            count += len(whole)
    for record in sorted(
        (*results_dir.glob("profile/*.json"), *results_dir.glob("studies/*.json"))
    ):
        keep_record(record)
    return count


def kept_record(record: Path) -> Path:
    """Where evidence keeps `results/{grid}/profile/{method}.json` or `studies/{study}.json`."""
    return record.parents[1] / "evidence" / record.parent.name / record.name


def keep_record(record: Path, kept: Path | None = None, root: Path = Path()) -> None:
    """Put a profile or study, if there is one, into evidence, with what its code does.

    Args:
        kept: where; None: where `restore_evidence` looks for it.
    """
    if not record.is_file():
        return
    from pipeline.runs.probes import behaviours

    found = read_json(record)
    behaviour = behaviours(root)(found["spec"])
    write_json(kept or kept_record(record), found | {"behaviour": behaviour})


def restore_record(kept: Path, record: Path, recipe: Recipe, root: Path) -> str | None:
    """Write a profile or study from evidence of the same parameters.

    Returns:
        Which number the code gives otherwise, and nothing is written; None when it is done.
    """
    from pipeline.runs.evidence import behaviour_fault
    from pipeline.runs.probes import behaviours

    found = read_json(kept)
    behaviour = json.dumps(found.pop("behaviour"))
    fault = behaviour_fault(found["spec"], behaviour, recipe, behaviours(root))
    if fault is None:
        write_json(record, found | {"spec": recipe})
    return fault


def _missing_records(params: Params, results: Path) -> list[tuple[Path, Path, Recipe]]:
    """Profiles and studies that evidence has with the same parameters and that are not there:
    the kept file, the record, and its recipe.
    """
    active = params.active
    records = {
        results / "profile" / f"{method}.json": specs.profile_recipe(params, method)
        for method in active.methods
    } | {
        results / "studies" / f"{study}.json": study_recipe(params, study)
        for study in active.studies.names
    }
    return [
        (kept, record, recipe)
        for record, recipe in records.items()
        if (kept := kept_record(record)).is_file()
        and not record.is_file()
        and _made_from(kept, recipe)
    ]


def _made_from(kept: Path, recipe: Recipe) -> bool:
    from pipeline.runs.evidence import same_parameters

    try:
        found = read_json(kept)
        return "behaviour" in found and same_parameters(found["spec"], recipe)
    except (OSError, ValueError, KeyError, TypeError):
        return False
