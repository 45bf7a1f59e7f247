"""A look at what lies on disk, before any job: what is stale, and what evidence can give back.

Every start of Snakemake takes it. It reads and writes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.schema import Params
from pipeline.jobs.artifacts import Artifact, fault_of, grid_artifacts
from pipeline.runs.recipe import digest
from pipeline.seals import DAMAGED, NO_SEAL, seal_fault

RECORDS = ("reference", "run", "profile", "study")  # kinds that training and measuring make
SHOWN = 10  # of many damaged files
VIEWS = ("tables", "figures", "report", "tracking")  # and what is made of them, in this order


@dataclass(frozen=True)
class Look:
    """What was found, by the file that Snakemake asks for (`Artifact.output`).

    Attributes:
        artifacts: all that the grid makes, inputs first; of a block's file those of its seeds.
        faults: why some are not what they should be.
        stale: those with a fault whose file is there, which Snakemake alone would leave.
        lost: files of the artifacts that have a fault and that evidence does not give back.
        damaged: of those whose bytes are not those that were written, which file and why.
        restored: blocks of runs, profiles and studies that committed evidence gives back.
        broken: what is said of evidence that contradicts itself and so gives nothing back.
    """

    artifacts: Mapping[str, list[Artifact]]
    faults: Mapping[str, str]
    stale: frozenset[str]
    lost: frozenset[Path]
    damaged: Mapping[str, str]
    restored: tuple[str, ...]
    broken: tuple[str, ...] = ()


def look(params: Params, root: Path = Path()) -> Look:
    """Compare everything of the active grid with the recipe it should carry.

    Raises:
        BadInput: when evidence is unreadable.
    """
    artifacts: dict[str, list[Artifact]] = {}
    for artifact in grid_artifacts(params, root):
        artifacts.setdefault(artifact.output.as_posix(), []).append(artifact)
    found: dict[Path, str] = {}
    for group in artifacts.values():
        for artifact in group:
            if fault := fault_of(artifact, root):
                found[artifact.files[-1]] = fault
    faulty = [a for group in artifacts.values() for a in group if a.files[-1] in found]
    given_back: set[Path] = set()
    broken: tuple[str, ...] = ()
    if faulty and params.active.keep_evidence:
        from pipeline.jobs import restore  # loads what most looks do not need

        kept = restore.restorable(params, faulty, root)
        given_back, broken = set(kept.files), tuple(restore.broken_lines(kept.broken))
    faults: dict[str, str] = {}
    damaged: dict[str, str] = {}
    restored = []
    for output, group in artifacts.items():
        place = root / output
        why = {path: found[path] for a in group if (path := a.files[-1]) in found}
        lost = why.keys()
        if not place.exists():
            why = why or {Path(output): f"no {place.name}"}
        elif group[0].recipe["kind"] == "run" and (fault := seal_fault(place.read_bytes())):
            why = why | {Path(output): f"{place.name}: {fault}"}  # the block's, no carrier
        if not why:
            continue
        faults[output] = next(iter(why.values()))
        lines = [f"{file.parent.as_posix()}/{said}" for file, said in why.items()]
        if lines := [line for line in lines if line.endswith((DAMAGED, NO_SEAL))]:
            damaged[output] = "\n".join(lines)
        # a block without its own file, as after another `seeds_per_job`, lacks nothing else
        if group[0].recipe["kind"] in RECORDS and lost <= given_back:
            restored.append(output)
    # an archive is asked for again only where its ratings have to be read again
    for output in [o for o in faults if o.startswith("data/raw/")]:
        if output.replace("/raw/", "/ratings/").replace(".zip", ".parquet") not in faults:
            del faults[output]
            damaged.pop(output, None)
    stale = frozenset(output for output in faults if (root / output).exists())
    not_there = frozenset(found.keys() - given_back)
    return Look(artifacts, faults, stale, not_there, damaged, tuple(restored), broken)


def damage_lines(found: Look) -> list[str]:
    """What is damaged, a line each; of many the first."""
    lines = "\n".join(found.damaged.values()).splitlines()
    more = [f"... and {len(lines) - SHOWN} more files like these"] if len(lines) > SHOWN else []
    return lines[:SHOWN] + more


def by_stage(params: Params, root: Path = Path()) -> dict[str, dict[str, str]]:
    """Digest of each artifact's recipe by file, for the stages `data`, `records` and `views`."""
    found: dict[str, dict[str, str]] = {"data": {}, "records": {}, "views": {}}
    for artifact in grid_artifacts(params, root):
        kind = artifact.recipe["kind"]
        stage = "records" if kind in RECORDS else "views" if kind in VIEWS else "data"
        found[stage][artifact.files[-1].as_posix()] = digest(artifact.recipe)
    return found


def jobs_left(found: Look) -> set[str]:
    """Outputs that have to be made: records, what is made of those, and the data these need.

    Data that are not there, or of another recipe, are left alone as long as nothing needs them.
    Damaged ones are not: they would be found by whoever reads them next.
    """
    left = {o for o in found.faults if not o.startswith("data/") or o in found.damaged}
    left -= set(found.restored)
    made = left | set(found.restored)
    for output, group in found.artifacts.items():
        if group[0].recipe["kind"] in VIEWS and made & _inputs(group):
            left.add(output)
            made.add(output)
    needed = {path for output in left for path in _inputs(found.artifacts[output])}
    to_make = found.faults.keys() - set(found.restored)  # evidence needs no data
    for output, group in reversed(list(found.artifacts.items())):
        if output in needed & to_make:
            left.add(output)
            needed |= _inputs(group)
    return left - set(found.restored)


def _inputs(group: list[Artifact]) -> set[str]:
    return {path.as_posix() for artifact in group for path in artifact.inputs}
