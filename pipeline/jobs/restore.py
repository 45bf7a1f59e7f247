"""Records of runs, profiles and studies to committed evidence, and back where a clone lacks them.

Evidence is good for a recipe with the same parameters as long as the code behaves as it did
(pipeline/runs/probes.py). `restorable` looks, and knows of behaviour only what was measured
before; `restore_records` measures, writes what holds and names what does not.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.config.schema import Params
from pipeline.errors import BadInput
from pipeline.files import read_json, write_json
from pipeline.jobs.artifacts import Artifact, carried_recipe, fault_of, grid_artifacts
from pipeline.runs.recipe import Recipe

REMEDY = (
    "All else was restored. Give the same command again to make these records anew (`python -m "
    "pipeline plan` says how long that takes), or take the change of the code back."
)
CACHE = Path("results/.behaviour")  # answers of probes; git-ignored


def restorable(params: Params, faulty: Iterable[Artifact], root: Path = Path()) -> set[Path]:
    """Which of the faulty records evidence gives back: their files that carry the recipe.

    Where the code has changed since, and was not asked yet how it behaves, evidence is thought
    to hold: that shows when it is restored.

    Raises:
        BadInput: when evidence is unreadable.
    """
    kept = root / "results" / params.grid / "evidence"
    if not params.active.keep_evidence or not kept.is_dir():
        return set()
    found = set()
    by_setting: dict[str, list[Artifact]] = {}
    for artifact in faulty:
        if artifact.recipe["kind"] in ("run", "reference"):
            by_setting.setdefault(artifact.recipe["setting"], []).append(artifact)
        elif artifact.recipe["kind"] in ("profile", "study"):
            evidence = kept_record(root / artifact.files[-1])
            if _kept(evidence, artifact.recipe) and _not_refused(evidence, artifact.recipe, root):
                found.add(artifact.files[-1])
    for setting, runs in by_setting.items():
        found |= _restorable_runs(kept / f"{setting}.parquet", runs, root)
    return found


def _restorable_runs(rows_file: Path, runs: list[Artifact], root: Path) -> set[Path]:
    if not rows_file.is_file():
        return set()
    from pipeline.runs.evidence import kept_entries, kept_for
    from pipeline.runs.probes import known_fault

    entries = kept_entries(rows_file)
    found = set()
    for run in runs:
        entry = kept_for(entries, run.recipe)
        if entry and not known_fault(entry.spec, entry.behaviour, run.recipe, root / CACHE):
            found.add(run.files[-1])
    return found


def restore_records(params: Params, root: Path = Path()) -> list[Path]:
    """Write what the active grid wants, is not there and evidence can give.

    Returns:
        The files that carry the recipes of what was written: references, runs, profiles, studies.

    Raises:
        BadInput: when evidence is unreadable, or, after all else is written, for records that the
            code of today would make otherwise; it names the number.
    """
    from pipeline.runs.probes import behaviours

    kept = root / "results" / params.grid / "evidence"
    faulty = [a for a in grid_artifacts(params, root) if fault_of(a, root)]
    thought = restorable(params, faulty, root)  # what is known to be refused was said before
    artifacts = [a for a in faulty if a.files[-1] in thought]
    restored: list[Path] = []
    refused: dict[Path, str] = {}
    ask = behaviours(root / CACHE)
    by_setting: dict[str, list[Artifact]] = {}
    for artifact in artifacts:
        kind = artifact.recipe["kind"]
        if kind in ("run", "reference"):
            by_setting.setdefault(artifact.recipe["setting"], []).append(artifact)
        elif kind in ("profile", "study"):
            record = root / artifact.files[-1]
            if fault := restore_record(kept_record(record), record, artifact.recipe, root):
                refused[artifact.files[-1]] = fault
            else:
                restored.append(record)
    for setting, runs in by_setting.items():
        from pipeline.runs.evidence import restore

        wanted = [(root / run.files[-1], run.recipe) for run in runs]
        done = restore(kept / f"{setting}.parquet", wanted, ask)
        restored += done.files
        refused |= done.refused
    _write_blocks(params, root)
    if refused:
        raise BadInput("\n".join([*_refusals(refused), REMEDY]))
    return restored


def restore_runs(rows_file: Path, wanted: Sequence[tuple[Path, Recipe]]) -> list[str]:
    """Write those runs of one job that are not there and that evidence gives back.

    Returns:
        Why others of the same parameters are not used: a line for each number that differs.
    """
    from pipeline.runs.evidence import restore
    from pipeline.runs.probes import behaviours

    return _refusals(restore(rows_file, wanted, behaviours(CACHE)).refused)


def _write_blocks(params: Params, root: Path) -> None:
    """The file of each block whose records are whole, where it is missing."""
    blocks: dict[Path, list[Artifact]] = {}
    for artifact in grid_artifacts(params, root):
        if artifact.recipe["kind"] == "run":
            blocks.setdefault(root / artifact.output, []).append(artifact)
    for file, runs in blocks.items():
        if not file.exists() and not any(fault_of(run, root) for run in runs):
            write_block(file, [run.recipe for run in runs])


def write_block(file: Path, recipes: Iterable[Recipe]) -> None:
    """What a training job leaves when the records of all its seeds are whole."""
    write_json(file, {"seeds": sorted(recipe["seed"] for recipe in recipes)})


def _refusals(refused: dict[Path, str]) -> list[str]:
    """One line for each number that differs, with the records that it stands for."""
    by_reason: dict[str, list[str]] = {}
    for place, reason in refused.items():
        by_reason.setdefault(reason, []).append(place.as_posix())
    lines = []
    for reason, places in by_reason.items():
        more = f" and {len(places) - 1} more" if len(places) > 1 else ""
        lines.append(f"{places[0]}{more}: found evidence made by code that does another thing: "
                     f"{reason}")  # fmt: skip
    return lines


def keep_finished(
    results_dir: Path, *, methods: list[str], settings: list[str], seeds: list[int]
) -> int:
    """Put every finished run, profile and study below `results_dir` into evidence.

    Returns:
        The number of runs.

    Raises:
        BadInput: when a record or the evidence is unreadable.
    """
    from pipeline.runs.evidence import add_reference, add_runs, evidence_file
    from pipeline.runs.probes import behaviours
    from pipeline.runs.records import read_reference

    count = 0
    ask = behaviours(results_dir.parents[1] / CACHE)
    for setting in settings:
        for method in methods:
            folders = [results_dir / "runs" / method / setting / str(seed) for seed in seeds]
            whole = [folder for folder in folders if (folder / "spec.json").is_file()]
            if whole:
                add_runs(evidence_file(results_dir, setting), whole, ask)
            count += len(whole)
        for file in sorted(results_dir.glob(f"reference/{setting}/*.parquet")):
            if (recipe := carried_recipe(file)) and recipe["seed"] in seeds:
                add_reference(evidence_file(results_dir, setting), recipe, read_reference(file))
    for folder in ("profile", "studies"):
        for record in sorted(results_dir.glob(f"{folder}/*.json")):
            keep_record(record)
    return count


def kept_record(record: Path) -> Path:
    """Where evidence keeps `results/{grid}/profile/{method}.json` or `studies/{study}.json`."""
    return record.parents[1] / "evidence" / record.parent.name / record.name


def keep_record(record: Path, kept: Path | None = None) -> None:
    """Put a profile or study, if there is one, into evidence, with what its code does.

    Args:
        kept: where; None: where `restore_records` looks for it.
    """
    if not record.is_file():
        return
    from pipeline.runs.probes import behaviour_of

    found = read_json(record)
    write_json(kept or kept_record(record), found | {"behaviour": behaviour_of(found["spec"])})


def restore_record(kept: Path, record: Path, recipe: Recipe, root: Path) -> str | None:
    """Write a profile or study from evidence of the same parameters.

    Returns:
        Which number the code gives otherwise, and nothing is written; None when it is done.
    """
    from pipeline.runs.evidence import behaviour_fault
    from pipeline.runs.probes import behaviours

    found = read_json(kept)
    behaviour = found.pop("behaviour")
    fault = behaviour_fault(found["spec"], behaviour, recipe, behaviours(root / CACHE))
    if fault is None:
        write_json(record, found | {"spec": recipe})
    return fault


def _kept(kept: Path, recipe: Recipe) -> bool:
    """Whether evidence has a profile or study of the same parameters."""
    from pipeline.runs.evidence import same_parameters

    try:
        found = read_json(kept)
        return "behaviour" in found and same_parameters(found["spec"], recipe)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _not_refused(kept: Path, recipe: Recipe, root: Path) -> bool:
    from pipeline.runs.probes import known_fault

    found = read_json(kept)
    return not known_fault(found["spec"], found["behaviour"], recipe, root / CACHE)
