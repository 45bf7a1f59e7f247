"""The evidence behind a grid's tables: small files for git, one pair per setting.

In `results/{grid}/evidence/`:

    {setting}.parquet       per-test-task rows of every finished run
    {setting}.runs.parquet  its runs: recipe, behaviour, metrics, and the training curve at the
                            updates that `training.csv` shows

`meta-train --evidence` adds each run as it finishes. `restore` makes run records of them again,
all but theta, where a clone has none: tables and figures then come out the same to the byte,
and nothing is trained again. Evidence is good for a recipe with the same parameters as long as
the code behaves as it did (pipeline/runs/behaviour.py): text may change, numbers may not. What
evidence does not hold of the records follows from what it does: pipeline/metrics.py,
pipeline/thin_curves.py.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock

from pipeline.evidence_files import ROWS_SCHEMA, SHARED, Key, read_files, write_files
from pipeline.metrics import derived_errors
from pipeline.records import (
    CURVE_SCHEMA,
    TEST_ROWS_SCHEMA,
    RunRecord,
    holds_run,
    read_run,
    write_run,
)
from pipeline.runs.behaviour import behaviour_of, difference
from pipeline.specs import Recipe, parameters_of
from pipeline.thin_curves import kept_updates, thinned

OWN = "meta_init"


@dataclass
class Restored:
    """What `restore` did: folders written, and why other evidence of the same parameters is not
    used, by folder.
    """

    folders: list[Path] = field(default_factory=list)
    refused: dict[Path, str] = field(default_factory=dict)


def evidence_file(results_dir: Path, setting: str) -> Path:
    """Where the rows of a setting lie."""
    return results_dir / "evidence" / f"{setting}.parquet"


def add_runs(rows_file: Path, run_dirs: Sequence[Path], cache: Path | None = None) -> None:
    """Put the runs of one job in, in place of what there was of the same methods and seeds.

    Jobs of a setting may end at the same time: a lock makes them wait for one another. The
    bytes do not depend on the order in which runs come.

    Args:
        rows_file: `{setting}.parquet`.
        run_dirs: whole records of one setting; seeds trained together, whose curves are thinned
            alike. Their code is the code that runs now.
        cache: folder of `behaviour_of`.

    Raises:
        BadInput: when a record or the evidence is unreadable.
    """
    found = [read_run(folder) for folder in run_dirs]
    rows_file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(rows_file.with_name(f".{rows_file.name}.lock")):
        runs, rows = read_files(rows_file)
        keep = kept_updates([run.curve for run in found])
        for run in found:
            key = _key(run)
            runs[key] = _run_entry(run, keep) | {
                "behaviour": json.dumps(behaviour_of(run.spec, cache), sort_keys=True)
            }
            rows[key] = _rows_of(run, rows, key)
        write_files(rows_file, runs, rows)


def restore(
    rows_file: Path, wanted: Iterable[tuple[Path, Recipe]], cache: Path | None = None
) -> Restored:
    """Write the records that are wanted, not there, and in the evidence.

    Args:
        wanted: folder and recipe of each run of the setting.
        cache: folder of `behaviour_of`.

    Raises:
        BadInput: when the evidence is unreadable.
    """
    done = Restored()
    missing = [(folder, spec) for folder, spec in wanted if not holds_run(folder, spec)]
    if not missing or not rows_file.is_file():
        return done
    runs, rows = read_files(rows_file)
    for folder, spec in missing:
        key = (spec["label"], spec["seed"])
        entry = runs.get(key)
        if entry is None or not same_parameters(json.loads(entry["spec"]), spec):
            continue
        if fault := behaviour_fault(json.loads(entry["spec"]), entry["behaviour"], spec, cache):
            done.refused[folder] = fault
            continue
        run = _record(folder, entry, rows, key)
        write_run(
            folder,
            spec=spec,
            metrics=run.metrics,
            curve=run.curve,
            test_rows=run.test_rows,
            theta=None,
        )
        done.folders.append(folder)
    return done


def same_parameters(kept: Mapping[str, Any], wanted: Recipe) -> bool:
    """Whether two recipes differ in the text of the code at most."""
    return parameters_of(dict(kept)) == parameters_of(wanted)


def behaviour_fault(
    kept: Mapping[str, Any], behaviour: str, wanted: Recipe, cache: Path | None
) -> str | None:
    """Which number the code of today gives otherwise; None where it behaves as it did."""
    if dict(kept) == wanted:  # the very code
        return None
    return difference(json.loads(behaviour), behaviour_of(wanted, cache))


def kept_recipes(rows_file: Path) -> dict[Key, Recipe]:
    """Recipes of the runs by label and seed; {} without a file.

    Raises:
        BadInput: when the evidence is unreadable.
    """
    return {key: json.loads(entry["spec"]) for key, entry in read_files(rows_file)[0].items()}


def kept_runs(rows_file: Path) -> dict[Key, RunRecord]:
    """The runs of a setting by label and seed, as `restore` would write them; {} without a file.

    Raises:
        BadInput: when the evidence is unreadable.
    """
    runs, rows = read_files(rows_file)
    return {key: _record(rows_file, entry, rows, key) for key, entry in runs.items()}


def _record(
    place: Path, entry: dict[str, Any], rows: dict[Key, pd.DataFrame], key: Key
) -> RunRecord:
    metrics = json.loads(entry["metrics"]) | {"restored": True}
    curve = {field.name: entry[f"curve_{field.name}"] for field in CURVE_SCHEMA}
    return RunRecord(
        place,
        json.loads(entry["spec"]),
        metrics,
        pd.DataFrame(curve, columns=CURVE_SCHEMA.names),
        _whole(pd.concat([rows[key], rows[SHARED, key[1]]]), rows[key], metrics),
        None,
    )


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
        **{f"curve_{name}": curve[name].to_numpy() for name in CURVE_SCHEMA.names},
    }


def _rows_of(run: RunRecord, rows: dict[Key, pd.DataFrame], key: Key) -> pd.DataFrame:
    """The run's rows to keep under its own name; those that all methods share go to `SHARED`."""
    order = ["predictor", "step", "task"]
    names = ROWS_SCHEMA.names[2:]
    own = run.test_rows[names].sort_values(order, ignore_index=True)
    common = own[own["predictor"] != OWN].reset_index(drop=True)
    shared = rows.setdefault((SHARED, key[1]), common)
    # a machine that rounds otherwise gives other rows of the untrained start: kept beside
    if common.equals(shared[names]):
        return own[own["predictor"] == OWN]
    return own


def _whole(rows: pd.DataFrame, own: pd.DataFrame, metrics: dict[str, Any]) -> pd.DataFrame:
    """Test rows as the record had them."""
    if (own["predictor"] != OWN).any():
        rows = own
    scale = {name: metrics[name] for name in ("target_std", "target_range")}
    return rows.assign(**derived_errors({str(name): rows[name] for name in rows}, **scale))[
        TEST_ROWS_SCHEMA.names
    ]
