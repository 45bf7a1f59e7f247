"""The evidence behind a grid's tables: small files for git, one pair per setting.

In `results/{grid}/evidence/`:

    {setting}.parquet       per-test-task rows of every finished run, and of the references
    {setting}.sha256        the digests of both, as `sha256sum -c` reads them
    {setting}.runs.parquet  its runs: recipe, behaviour, metrics, and the training curve at the
                            updates that `training.csv` shows

`meta-train --evidence` adds each run as it finishes. `restore` makes run records of them again,
all but theta, where a clone has none: tables and figures then come out the same to the byte,
and nothing is trained again. Evidence is good for a recipe with the same parameters as long as
the code behaves as it did (pipeline/runs/probes.py): text may change, numbers may not. What
evidence does not hold of the records follows from what it does: pipeline/runs/metrics.py,
pipeline/runs/records.py.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.measures import MEASURES, NUMBERS, measure_in
from pipeline.config.predictors import ASKED_FOR
from pipeline.runs.agreement import reference_fault, run_fault, scales_fault
from pipeline.runs.behaviour import Behaviour, difference, of_predictors, of_reference
from pipeline.runs.evidence_files import (
    SHARED,
    Columns,
    Key,
    is_there,
    measure_in_rows,
    need_both,
    object_of,
    place_of,
    read_asked,
    read_columns,
    read_entries,
    read_files,
    rows_schema,
    runs_file,
    unreadable,
    write_files,
)
from pipeline.runs.metrics import derived_errors
from pipeline.runs.recipe import Recipe, parameters_of
from pipeline.runs.records import (
    REFERENCE_PARAMETERS,
    TEST_ROWS_SCHEMA,
    RunRecord,
    curve_schema,
    holds_run,
    kept_updates,
    measure_in_recipe,
    measure_of_curve,
    read_run,
    since_added,
    test_rows_schema,
    thinned,
    write_reference,
    write_run,
)
from pipeline.runs.turns import turn
from pipeline.seals import summed_bytes

OWN = "meta_init"
Ask = Callable[[Recipe], Behaviour]


@dataclass
class Restored:
    """What `restore` did, by the file that carries the recipe.

    Attributes:
        files: written.
        refused: why other evidence of the same parameters is not used: the code does another
            thing now.
        broken: where evidence contradicts itself, by its rows file, and so is not used.
    """

    files: list[Path] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)
    broken: dict[Path, list[str]] = field(default_factory=dict)


def evidence_file(results_dir: Path, setting: str) -> Path:
    """Where the rows of a setting lie."""
    return results_dir / "evidence" / f"{setting}.parquet"


def add_runs(rows_file: Path, run_dirs: Sequence[Path], behaviour_of: Ask) -> None:
    """Put the runs of one job in, in place of what there was of the same methods and seeds.

    Jobs of a setting may end at the same time: a lock makes them wait for one another. The
    bytes do not depend on the order in which runs come.

    Args:
        rows_file: `{setting}.parquet`.
        run_dirs: whole records of one setting; seeds trained together, whose curves are thinned
            alike. Their code is the code that runs now.
        behaviour_of: what the code of today does (pipeline/runs/probes.py).

    Raises:
        BadInput: when a record or the evidence is unreadable.
    """
    found = [read_run(folder) for folder in run_dirs]
    with turn(rows_file):
        runs, rows = read_files(rows_file)
        keep = kept_updates([run.curve for run in found])
        for run in found:
            key = _key(run)
            runs[key] = _run_entry(run, keep) | {
                "behaviour": json.dumps(behaviour_of(run.spec), sort_keys=True)
            }
            rows[key] = _kept_rows(run.test_rows)
        write_files(rows_file, runs, rows)


def add_reference(
    rows_file: Path, recipe: Recipe, reference: pd.DataFrame, behaviour_of: Ask
) -> None:
    """Put the reference of a seed in, in place of what there was.

    It is given back as long as a run of the same parameters is in evidence, too, whose behaviour
    is its own. Of predictors that its grid asks for, which no run has, the behaviour is kept with
    the rows.

    Raises:
        BadInput: when the evidence is unreadable.
    """
    with turn(rows_file):
        runs, rows = read_files(rows_file)
        for key in rows:
            if key[1] == recipe["seed"]:
                rows[key] = rows[key][rows[key]["predictor"] == OWN]
        rows[SHARED, recipe["seed"]] = _kept_rows(reference)
        asked = read_asked(rows_file) if rows_file.is_file() else {}
        names = recipe.get("predictors", ())
        asked[recipe["seed"]] = of_predictors(behaviour_of(recipe), names) if names else {}
        write_files(rows_file, runs, rows, asked)


def restore(rows_file: Path, wanted: Iterable[tuple[Path, Recipe]], behaviour_of: Ask) -> Restored:
    """Write the runs and references that are wanted and in the evidence.

    Args:
        wanted: recipe of each run or reference of the setting, and the file that carries it:
            `spec.json` in a run's folder, or the reference itself.
        behaviour_of: what the code of today does (pipeline/runs/probes.py).

    Raises:
        BadInput: when the evidence is unreadable.
    """
    done = Restored()
    missing = [
        (file, spec)
        for file, spec in wanted
        if spec["kind"] == "reference" or not holds_run(file.parent, spec)
    ]
    if not missing or not is_there(rows_file):
        return done
    entries = kept_entries(rows_file)
    held = Held(rows_file)
    runs, rows = held.files
    for file, spec in missing:
        kept = kept_for(entries, spec)
        if kept is None:
            continue
        if fault := held.fault(kept, spec):
            done.broken.setdefault(rows_file, []).append(fault)
            continue
        if fault := behaviour_fault(kept.spec, kept.behaviour, spec, behaviour_of):
            done.refused[file] = fault
            continue
        key = (kept.spec["label"], kept.spec["seed"])
        if spec["kind"] == "reference":
            found = _reference_rows(runs[key], rows, key)
            others = ASKED_FOR.keys() - {*spec.get("predictors", ())}
            write_reference(file, spec, found[~found["predictor"].isin(others)])
        else:
            run = _record(file.parent, runs[key], rows, key)
            write_run(
                file.parent,
                spec=spec,
                metrics=run.metrics,
                curve=run.curve,
                test_rows=run.test_rows,
                theta=None,
            )
        done.files.append(file)
    return done


class Held:
    """The numbers of a setting's evidence, read when they are first asked for.

    Raises:
        BadInput: then, when the evidence is unreadable.
    """

    def __init__(self, rows_file: Path) -> None:
        self.rows_file = rows_file

    @cached_property
    def columns(self) -> tuple[dict[Key, dict[str, Any]], dict[Key, Columns]]:
        return read_entries(self.rows_file), read_columns(self.rows_file)

    @cached_property
    def files(self) -> tuple[dict[Key, dict[str, Any]], dict[Key, pd.DataFrame]]:
        return read_files(self.rows_file)

    def fault(self, kept: "Kept", wanted: Recipe) -> str | None:
        """Why what is kept for a recipe is not what a run left; None where its parts agree."""
        key = (kept.spec["label"], kept.spec["seed"])
        return _fault(*self.columns, key, wanted["kind"])


def _fault(
    runs: dict[Key, dict[str, Any]], rows: dict[Key, Columns], key: Key, kind: str
) -> str | None:
    entry = runs[key]
    metrics = object_of(entry, "metrics")
    try:
        if kind == "reference":
            own, others = _parted(rows.get(key, NO_ROWS))
            if not len(others["task"]):
                others = rows.get((SHARED, key[1]), NO_ROWS)
            found = reference_fault(metrics, others, own)
        else:
            spec = object_of(entry, "spec")
            own, _ = _parted(rows.get(key, NO_ROWS))
            found = scales_fault(metrics) or _curve_fault(entry)
            if not found and measure_in_recipe(spec) is NUMBERS:
                own = own | {"nrmse": own["rmse"] / metrics["target_std"]}
            found = found or run_fault(spec, metrics, own)
    except (ValueError, TypeError) as error:
        found = f"numbers that cannot be read ({error})"
    return found and f"{found} ({key[0]} seed {key[1]})"


NO_ROWS: Columns = {name: np.empty(0) for one in MEASURES for name in rows_schema(one).names[2:]}


def _parted(rows: Columns) -> tuple[Columns, Columns]:
    """A run's own rows, and those of the untrained start and the predictors."""
    own = rows["predictor"] == OWN
    return (
        {name: values[own] for name, values in rows.items()},
        {name: values[~own] for name, values in rows.items()},
    )


def _curve_fault(entry: dict[str, Any]) -> str | None:
    optional = {f"curve_{name}" for measure in MEASURES for name in since_added(measure)}
    columns = [
        values
        for name, values in entry.items()
        if name.startswith("curve_") and not (name in optional and values is None)
    ]
    lengths = {None if column is None else len(column) for column in columns}
    return None if len(lengths) == 1 and None not in lengths else "a training curve with holes"


def same_parameters(kept: Mapping[str, Any], wanted: Recipe) -> bool:
    """Whether two recipes differ in the text of the code at most."""
    return parameters_of(dict(kept)) == parameters_of(wanted)


def behaviour_fault(
    kept: Mapping[str, Any], behaviour: Behaviour, wanted: Recipe, behaviour_of: Ask
) -> str | None:
    """Which number the code of today gives otherwise; None where it behaves as it did."""
    if dict(kept) == wanted:  # the very code
        return None
    return difference(behaviour, behaviour_of(wanted))


class Kept(NamedTuple):
    """Of a run in evidence: its recipe, and what its code did."""

    spec: Recipe
    behaviour: Behaviour


def kept_entries(rows_file: Path) -> dict[Key, Kept]:
    """The runs of a setting by label and seed, without their numbers.

    Under `SHARED` the behaviour of predictors that the reference of a seed has.

    Raises:
        BadInput: when the evidence is unreadable.
    """
    need_both(rows_file)
    names = ["label", "seed", "spec", "behaviour"]
    try:
        data = pa.BufferReader(summed_bytes(runs_file(rows_file)))
        entries = pq.read_table(data, columns=names).to_pylist()
        found = {
            (entry["label"], entry["seed"]): Kept(
                object_of(entry, "spec"), object_of(entry, "behaviour")
            )
            for entry in entries
        }
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(rows_file, error) from error
    asked = read_asked(rows_file)
    return found | {(SHARED, seed): Kept({}, behaviour) for seed, behaviour in asked.items()}


def kept_for(entries: Mapping[Key, Kept], wanted: Recipe) -> Kept | None:
    """The run in evidence that a run's or reference's recipe can be given back from.

    Of a reference it is the first run of the seed with the same data and meta-test: its reference
    rows are those that tables show. Its behaviour is that of the reference alone.
    """
    if wanted["kind"] == "run":
        kept = entries.get((wanted["label"], wanted["seed"]))
        return kept if kept and same_parameters(kept.spec, wanted) else None
    for key in sorted(entries, key=place_of):
        kept = entries[key]
        if all(kept.spec.get(name) == wanted.get(name) for name in REFERENCE_PARAMETERS):
            found = of_reference(kept.behaviour)
            shared = entries.get((SHARED, wanted["seed"]), Kept({}, {})).behaviour
            for name in wanted.get("predictors", ()):
                asked = of_predictors(shared, [name])
                if not asked:  # the grid asks for it since
                    return None
                found |= asked
            return Kept(kept.spec, found)
    return None


def kept_runs(rows_file: Path) -> dict[Key, RunRecord]:
    """The runs of a setting by label and seed, as `restore` would write them; {} without a file.

    Raises:
        BadInput: when the evidence is unreadable, or contradicts itself.
    """
    runs, rows = read_files(rows_file)
    columns = read_columns(rows_file) if runs else {}
    for key in runs:
        if fault := _fault(runs, columns, key, "run"):
            raise unreadable(rows_file, fault)
    return {key: _record(rows_file, entry, rows, key) for key, entry in runs.items()}


def kept_references(rows_file: Path, seeds: Iterable[int]) -> dict[int, pd.DataFrame]:
    """Reference rows by seed, those of the first run of each.

    Raises:
        BadInput: when the evidence is unreadable.
    """
    runs, rows = read_files(rows_file)
    first = {seed: min((key for key in runs if key[1] == seed), key=place_of) for seed in seeds}
    columns = read_columns(rows_file) if runs else {}
    for key in first.values():
        if fault := _fault(runs, columns, key, "reference"):
            raise unreadable(rows_file, fault)
    return {seed: _reference_rows(runs[key], rows, key) for seed, key in first.items()}


def _record(
    place: Path, entry: dict[str, Any], rows: dict[Key, pd.DataFrame], key: Key
) -> RunRecord:
    metrics = json.loads(entry["metrics"]) | {"restored": True}
    spec = json.loads(entry["spec"])
    names = curve_schema(measure_in_recipe(spec)).names
    columns = {name: entry.get(f"curve_{name}") for name in names}
    curve = {name: values for name, values in columns.items() if values is not None}
    return RunRecord(
        place,
        spec,
        metrics,
        pd.DataFrame(curve, columns=names),
        _whole(rows[key][rows[key]["predictor"] == OWN], metrics),
        None,
    )


def _reference_rows(entry: dict[str, Any], rows: dict[Key, pd.DataFrame], key: Key) -> pd.DataFrame:
    return _whole(_reference_kept(rows, key), json.loads(entry["metrics"]))


def _reference_kept(rows: dict[Key, pd.DataFrame], key: Key) -> pd.DataFrame:
    """Those that were kept with a run itself, as runs once had them, or those of its seed."""
    own = rows[key][rows[key]["predictor"] != OWN]
    return own if len(own) else rows.get((SHARED, key[1]), own)


def _key(run: RunRecord) -> Key:
    return str(run.metrics["label"]), int(run.metrics["seed"])


def _run_entry(run: RunRecord, keep: list[int]) -> dict[str, Any]:
    curve = thinned(run.curve, keep)
    label, seed = _key(run)
    metrics = {name: value for name, value in run.metrics.items() if name != "restored"}
    return {
        "label": label,
        "seed": seed,
        "spec": json.dumps(run.spec, sort_keys=True),
        "metrics": json.dumps(metrics, sort_keys=True),
        **{
            f"curve_{name}": curve[name].to_numpy()
            for name in curve
            if name not in since_added(measure_of_curve(curve)) or curve[name].notna().any()
        },
    }


def _kept_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Test rows as they are kept, in an order of their own."""
    order = ["predictor", "step", "task"]
    names = rows_schema(measure_in(map(str, rows))).names[2:]
    return rows[names].sort_values(order, ignore_index=True)


def _whole(rows: pd.DataFrame, metrics: dict[str, Any]) -> pd.DataFrame:
    """Test rows as the record had them."""
    measure = measure_in_rows(map(str, rows))
    if measure is not NUMBERS:
        return rows[test_rows_schema(measure).names]
    scale = {name: metrics[name] for name in ("target_std", "target_range")}
    return rows.assign(**derived_errors({str(name): rows[name] for name in rows}, **scale))[
        TEST_ROWS_SCHEMA.names
    ]
