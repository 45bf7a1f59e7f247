"""Records to committed evidence, and back from it where a clone lacks them.

Records are those of references, runs, profiles and studies.

Evidence is good for a recipe with the same parameters as long as the code behaves as it did
(pipeline/runs/probes.py). `restorable` looks, and knows of behaviour only what was measured
before; `restore_records` measures, writes what holds and names what does not.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.config.schema import Params
from pipeline.errors import BadInput
from pipeline.files import json_text, parse_json, replacing
from pipeline.jobs.artifacts import Artifact, carried_recipe, fault_of, grid_artifacts
from pipeline.runs.evidence import (
    Held,
    Kept,
    Restored,
    add_reference,
    add_runs,
    behaviour_fault,
    evidence_file,
    kept_entries,
    kept_for,
    restore,
    same_parameters,
)
from pipeline.runs.evidence_files import Key, check_behaviour, is_there
from pipeline.runs.probes import behaviour_of, behaviours, known_fault
from pipeline.runs.recipe import Recipe
from pipeline.runs.records import read_reference
from pipeline.seals import is_whole, read_sealed, summed_bytes, summing, sums_file, write_sealed

IN_ROWS = ("run", "reference")  # kinds that evidence keeps in the two files of a setting
IN_JSON = ("profile", "study")  # and those it keeps as they are

REMEDY = (
    "All else was restored. Give the same command again to make these records anew (`python -m "
    "pipeline plan` says how long that takes), or take the change of the code back."
)
CACHE = Path("results/.behaviour")  # answers of probes; git-ignored


def restorable(params: Params, faulty: Iterable[Artifact], root: Path = Path()) -> Restored:
    """Which of the faulty records evidence gives back, and where it contradicts itself.

    Where the code has changed since, and was not asked yet how it behaves, evidence is thought
    to hold: that shows when it is restored.

    Raises:
        BadInput: when evidence is unreadable.
    """
    if not params.active.keep_evidence:
        return Restored()
    results = root / "results" / params.grid
    entries: dict[Path, dict[Key, Kept]] = {}
    held: dict[Path, Held] = {}
    found = Restored()
    for artifact in faulty:
        recipe, kept = artifact.recipe, None
        if recipe["kind"] in IN_ROWS:
            file = evidence_file(results, recipe["setting"])
            if file not in entries:
                entries[file] = kept_entries(file) if is_there(file) else {}
                held[file] = Held(file)
            kept = kept_for(entries[file], recipe)
        elif recipe["kind"] in IN_JSON:
            kept = _kept_for(root / artifact.files[-1], recipe)
        if not kept or known_fault(kept.spec, kept.behaviour, recipe, root / CACHE):
            continue
        if recipe["kind"] in IN_ROWS and (fault := held[file].fault(kept, recipe)):
            found.broken.setdefault(file, []).append(fault)
            continue
        found.files.append(artifact.files[-1])
    return found


def restore_records(params: Params, root: Path = Path()) -> Restored:
    """Write what the active grid wants, is not there and evidence can give.

    Returns:
        What was written: references, runs, profiles, studies; and what evidence is not used.

    Raises:
        BadInput: when evidence is unreadable, or, after all else is written, for records that the
            code of today would make otherwise; it names the number.
    """
    results = root / "results" / params.grid
    ask = behaviours(root / CACHE)
    by_setting: dict[str, list[tuple[Path, Recipe]]] = {}
    artifacts = grid_artifacts(params, root)
    faulty = [artifact for artifact in artifacts if fault_of(artifact, root)]
    thought = restorable(params, faulty, root)  # what is known to be refused was said before
    done = Restored(broken=thought.broken)
    for artifact in faulty:
        recipe, file = artifact.recipe, root / artifact.files[-1]
        if artifact.files[-1] not in thought.files:
            continue
        if recipe["kind"] in IN_ROWS:
            by_setting.setdefault(recipe["setting"], []).append((file, recipe))
        elif recipe["kind"] in IN_JSON and (kept := _kept_for(file, recipe)):
            if fault := behaviour_fault(kept.spec, kept.behaviour, recipe, ask):
                done.refused[file] = fault
                continue
            record = parse_json(summed_bytes(kept_record(file)).decode())
            del record["behaviour"]
            write_sealed(file, record | {"spec": recipe})
            done.files.append(file)
    for setting, wanted in by_setting.items():
        of_setting = restore(evidence_file(results, setting), wanted, ask)
        done.files += of_setting.files
        done.refused |= of_setting.refused
    _write_blocks(artifacts, root)
    if done.refused:
        lines = [*broken_lines(done.broken), *_refusals(done.refused)]
        raise BadInput("\n".join([*lines, REMEDY]))
    return done


def restore_runs(rows_file: Path, wanted: Sequence[tuple[Path, Recipe]]) -> list[str]:
    """Write those runs of one job that are not there and that evidence gives back.

    Returns:
        Why others of the same parameters are not used: a line for each number that differs.
    """
    done = restore(rows_file, wanted, behaviours(CACHE))
    return [*broken_lines(done.broken), *_refusals(done.refused)]


def broken_lines(broken: Mapping[Path, Sequence[str]]) -> list[str]:
    """One line for each rows file of evidence that contradicts what lies beside it."""
    return [
        f"{file}: found {faults[0]}"
        + (f", and {len(faults) - 1} more records like it" if len(faults) > 1 else "")
        + "; needed this file and the .runs.parquet beside it as one job left them. What does not "
        "agree is not used but made anew. `git checkout` of both files gives back the committed."
        for file, faults in broken.items()
    ]


def _write_blocks(artifacts: Iterable[Artifact], root: Path) -> None:
    """The file of each block whose records are whole, where it is missing or damaged."""
    blocks: dict[Path, list[Artifact]] = {}
    for artifact in artifacts:
        if artifact.recipe["kind"] == "run":
            blocks.setdefault(root / artifact.output, []).append(artifact)
    for file, runs in blocks.items():
        if not is_whole(file) and not any(fault_of(run, root) for run in runs):
            write_block(file, [run.recipe for run in runs])


def write_block(file: Path, recipes: Iterable[Recipe]) -> None:
    """What a training job leaves when the records of all its seeds are whole."""
    write_sealed(file, {"seeds": sorted(recipe["seed"] for recipe in recipes)})


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
    """Put every finished run, reference, profile and study below `results_dir` into evidence.

    Returns:
        The number of runs.

    Raises:
        BadInput: when a record or the evidence is unreadable.
    """
    count = 0
    ask = behaviours(results_dir.parent / CACHE.name)
    for setting in settings:
        for method in methods:
            folders = [results_dir / "runs" / method / setting / str(seed) for seed in seeds]
            whole = [folder for folder in folders if (folder / "spec.json").is_file()]
            if whole:
                add_runs(evidence_file(results_dir, setting), whole, ask)
            count += len(whole)
        for file in sorted(results_dir.glob(f"reference/{setting}/*.parquet")):
            if (recipe := carried_recipe(file)) and recipe["seed"] in seeds:
                rows = read_reference(file)
                add_reference(evidence_file(results_dir, setting), recipe, rows, ask)
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
    found = read_sealed(record)
    place = kept or kept_record(record)
    text = json_text(found | {"behaviour": behaviour_of(found["spec"])})
    with summing(sums_file(place)) as tell, replacing(place) as beside:
        beside.write_text(text, encoding="utf-8")
        tell({place.name: beside})


def _kept_for(record: Path, recipe: Recipe) -> Kept | None:
    """Of a profile or study in evidence; None where it has none of the same parameters."""
    file = kept_record(record)
    if not file.is_file():
        return None
    try:
        found = parse_json(summed_bytes(file).decode())
        kept = Kept(dict(found["spec"]), dict(found["behaviour"]))
        check_behaviour(kept.behaviour)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{file}: unreadable evidence ({error!r}); needed the file that `keep-evidence` wrote. "
            "Get it back with `git checkout`, or delete it: the record is made anew."
        ) from error
    return kept if same_parameters(kept.spec, recipe) else None
