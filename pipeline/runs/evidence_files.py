"""The two files of a setting's evidence (pipeline/runs/evidence.py): columns, reading, writing."""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.titles import label_order
from pipeline.config.variants import told
from pipeline.errors import BadInput
from pipeline.files import parse_json, replacing
from pipeline.runs.records import CURVE_SCHEMA, TEST_ROWS_SCHEMA

OBJECTS = ("spec", "behaviour", "metrics")  # columns of JSON objects

Key = tuple[str, int]  # label, seed
SHARED = ""  # the label of rows that are alike in all methods: untrained, trivial predictors

ROWS_SCHEMA = pa.schema(
    [
        pa.field("label", pa.string()),
        pa.field("seed", pa.int32()),
        *(
            TEST_ROWS_SCHEMA.field(name)
            for name in ("predictor", "step", "task", "n_query", "target_norm", "query_std")
        ),
        *(TEST_ROWS_SCHEMA.field(name) for name in ("rmse", "mae", "support_rmse")),
    ]
)
RUNS_SCHEMA = pa.schema(
    [
        pa.field("label", pa.string()),
        pa.field("seed", pa.int32()),
        pa.field("spec", pa.string()),  # JSON: the recipe
        pa.field("behaviour", pa.string()),  # JSON: what its code did (runs/behaviour.py)
        pa.field("metrics", pa.string()),  # JSON
        *(pa.field(f"curve_{field.name}", pa.list_(field.type)) for field in CURVE_SCHEMA),
    ]
)


def read_files(rows_file: Path) -> tuple[dict[Key, dict[str, Any]], dict[Key, pd.DataFrame]]:
    """Runs and rows by label and seed; rows also by `SHARED` and seed.

    Raises:
        BadInput: when the files are unreadable.
    """
    if not is_there(rows_file):
        return {}, {}
    need_both(rows_file)
    runs = read_entries(rows_file)
    try:
        frame = pq.read_table(rows_file, schema=ROWS_SCHEMA).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(rows_file, error) from error
    places = frame.groupby(["label", "seed"]).indices
    frame = frame[ROWS_SCHEMA.names[2:]]
    rows = {
        (str(label), int(seed)): frame.take(place).reset_index(drop=True)
        for (label, seed), place in places.items()
    }
    return runs, dict.fromkeys(runs, frame.iloc[:0]) | rows


def read_entries(rows_file: Path) -> dict[Key, dict[str, Any]]:
    """What is kept of the runs beside their rows."""
    try:
        entries = pq.read_table(runs_file(rows_file), schema=RUNS_SCHEMA).to_pylist()
        for entry in entries:
            for name in OBJECTS:
                object_of(entry, name)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise unreadable(rows_file, error) from error
    return {(entry["label"], entry["seed"]): entry for entry in entries}


Columns = dict[str, np.ndarray]


def read_columns(rows_file: Path) -> dict[Key, Columns]:
    """The rows by label and seed, without frames: every start of Snakemake looks at them all.

    Raises:
        BadInput: when the file is unreadable.
    """
    try:
        table = pq.read_table(rows_file, schema=ROWS_SCHEMA)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(rows_file, error) from error
    columns = {
        name: table[name].combine_chunks().to_numpy(zero_copy_only=False)
        for name in ROWS_SCHEMA.names
    }
    label, seed = pd.factorize(columns.pop("label"))[0], columns.pop("seed")
    edges = np.flatnonzero((np.diff(label) != 0) | (np.diff(seed) != 0)) + 1
    names = table["label"].to_pylist()
    found: dict[Key, list[slice]] = {}
    for first, last in pairwise([0, *edges.tolist(), len(label)]):
        if last > first:
            found.setdefault((names[first], int(seed[first])), []).append(slice(first, last))
    return {
        key: {
            name: np.concatenate([values[part] for part in parts])
            for name, values in columns.items()
        }
        for key, parts in found.items()
    }


def is_there(rows_file: Path) -> bool:
    """Whether a setting has evidence: either file, so that the lack of the other is said."""
    return rows_file.is_file() or runs_file(rows_file).is_file()


def need_both(rows_file: Path) -> None:
    for file in (rows_file, runs_file(rows_file)):
        if not file.is_file():
            raise unreadable(rows_file, f"no {file.name} beside the other")


def object_of(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a column of `OBJECTS` holds.

    Raises:
        ValueError: when it is no JSON object.
    """
    run = f"{entry['label']} seed {entry['seed']}"
    try:
        found = parse_json(entry[name] or "null")
    except ValueError as error:
        raise ValueError(f"{name} of {run}: {error}") from None
    if not isinstance(found, dict) or None in (entry["label"], entry["seed"]):
        raise ValueError(f"{name} of {run}: no JSON object")
    if name == "behaviour":
        check_behaviour(found)
    if name == "spec" and not {"method", "label", "seed"} <= found.keys():
        raise ValueError(f"spec of {run}: no recipe of a run")
    return found


def check_behaviour(found: Mapping[str, Any]) -> None:
    """Refuse what is no `Behaviour`.

    Raises:
        ValueError: naming what is no number.
    """
    for name, value in found.items():
        if not isinstance(value, int | float | None):
            raise ValueError(f"behaviour: {name} is {value!r}, no number")


def unreadable(rows_file: Path, error: object) -> BadInput:
    return BadInput(
        f"{rows_file}: unreadable evidence ({error}); needed the two files that `meta-train` "
        "wrote. Get them back with `git checkout`, or delete both: runs that are on disk are "
        "added again by `python -m pipeline keep-evidence`."
    )


def write_files(
    rows_file: Path, runs: dict[Key, dict[str, Any]], rows: dict[Key, pd.DataFrame]
) -> None:
    """Write both, in the order of labels and seeds; a label that varies a method follows it."""
    methods = {label: json.loads(run["spec"])["method"] for (label, _), run in runs.items()}
    with told({label: {"base": of} for label, of in methods.items() if of != label}):
        rows = {key: rows[key] for key in sorted(rows, key=place_of)}
        runs = {key: runs[key] for key in sorted(runs, key=place_of)}
    none = ROWS_SCHEMA.empty_table().to_pandas()
    parts = [part.assign(label=label, seed=seed) for (label, seed), part in rows.items()]
    frame = pd.concat([part for part in parts if len(part)] or [none], ignore_index=True)
    table = pa.Table.from_pandas(frame, schema=ROWS_SCHEMA, preserve_index=False)
    floats = ["rmse", "mae", "support_rmse"]
    entries = [{name: _listed(value) for name, value in run.items()} for run in runs.values()]
    # renamed together; what a kill between the two leaves is seen by `_fault`
    with replacing(runs_file(rows_file)) as runs_beside, replacing(rows_file) as beside:
        pq.write_table(
            table.replace_schema_metadata(None),
            beside,
            compression="zstd",
            compression_level=19,
            use_dictionary=[name for name in ROWS_SCHEMA.names if name not in floats],
            use_byte_stream_split=floats,
        )
        pq.write_table(
            pa.Table.from_pylist(entries, schema=RUNS_SCHEMA),
            runs_beside,
            compression="zstd",
            compression_level=19,
        )


def place_of(key: Key) -> tuple[Any, int]:
    return label_order(key[0]), key[1]


def _listed(value: Any) -> Any:
    return [_none_if_nan(x) for x in value.tolist()] if isinstance(value, np.ndarray) else value


def _none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


def runs_file(rows_file: Path) -> Path:
    return rows_file.with_name(f"{rows_file.stem}.runs.parquet")
