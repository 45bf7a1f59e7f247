"""The two files of a setting's evidence (pipeline/runs/evidence.py): columns, reading, writing."""

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.measures import MEASURES, NUMBERS, Measure
from pipeline.config.titles import label_order
from pipeline.config.variants import told
from pipeline.errors import BadInput
from pipeline.files import parse_json, replacing
from pipeline.runs.records import curve_schema, since_added, test_rows_schema
from pipeline.seals import Damaged, summed_bytes, summing, sums_file

OBJECTS = ("spec", "behaviour", "metrics")  # columns of JSON objects

Key = tuple[str, int]  # label, seed
SHARED = ""  # the label of rows that are alike in all methods: untrained, trivial predictors

Asked = dict[str, float | None]  # numbers of a behaviour (pipeline/runs/behaviour.py)
_ASKED = b"predictors"  # in the metadata of the rows' file

FLOATS = {NUMBERS.name: ("rmse", "mae", "support_rmse")}  # all others follow from these


def rows_schema(measure: Measure) -> pa.Schema:
    """Columns of the rows' file."""
    of_task = ("predictor", "step", "task", "n_query", *measure.measured)
    schema = test_rows_schema(measure)
    return pa.schema(
        [
            pa.field("label", pa.string()),
            pa.field("seed", pa.int32()),
            *(schema.field(name) for name in (*of_task, *floats_of(measure))),
        ]
    )


def floats_of(measure: Measure) -> tuple[str, ...]:
    """The errors that are kept."""
    return FLOATS.get(measure.name, (*measure.metrics, measure.support))


def runs_schema(measure: Measure) -> pa.Schema:
    """Columns of the runs' file."""
    return pa.schema(
        [
            pa.field("label", pa.string()),
            pa.field("seed", pa.int32()),
            pa.field("spec", pa.string()),  # JSON: the recipe
            pa.field("behaviour", pa.string()),  # JSON: what its code did (runs/behaviour.py)
            pa.field("metrics", pa.string()),  # JSON
            *(
                pa.field(f"curve_{field.name}", pa.list_(field.type))
                for field in curve_schema(measure)
            ),
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
        schema = _schema_of(rows_file)
        frame = pq.read_table(_opened(rows_file), schema=schema).to_pandas()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(rows_file, error) from error
    places = frame.groupby(["label", "seed"]).indices
    frame = frame[schema.names[2:]]
    rows = {
        (str(label), int(seed)): frame.take(place).reset_index(drop=True)
        for (label, seed), place in places.items()
    }
    return runs, dict.fromkeys(runs, frame.iloc[:0]) | rows


def read_entries(rows_file: Path) -> dict[Key, dict[str, Any]]:
    """What is kept of the runs beside their rows."""
    try:
        file = runs_file(rows_file)
        data = _opened(file)
        measure = _measure_of_curves(pq.read_schema(data).names)
        entries = pq.read_table(data, schema=runs_schema(measure)).to_pylist()
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
        schema = _schema_of(rows_file)
        table = pq.read_table(_opened(rows_file), schema=schema)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise unreadable(rows_file, error) from error
    columns = {
        name: table[name].combine_chunks().to_numpy(zero_copy_only=False) for name in schema.names
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


def _schema_of(rows_file: Path) -> pa.Schema:
    return rows_schema(measure_in_rows(pq.read_schema(_opened(rows_file)).names))


def _opened(file: Path) -> pa.BufferReader:
    """Verified bytes of either file."""
    return pa.BufferReader(summed_bytes(file))


def measure_in_rows(names: Iterable[str]) -> Measure:
    """By the errors that are kept."""
    found = set(names)
    return next((one for one in MEASURES if set(floats_of(one)) <= found), NUMBERS)


def _measure_of_curves(names: Iterable[str]) -> Measure:
    found = set(names)
    return next((one for one in MEASURES if f"curve_{one.validation}" in found), NUMBERS)


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
    said = error.fault if isinstance(error, Damaged) else error
    return BadInput(
        f"{rows_file}: unreadable evidence ({said}); needed the two files that `meta-train` "
        "wrote. Get them back with `git checkout`, or delete both: runs that are on disk are "
        "added again by `python -m pipeline keep-evidence`."
    )


def read_asked(rows_file: Path) -> dict[int, Asked]:
    """What predictors that a grid asks for gave in the reference of each seed that has some.

    Raises:
        BadInput: when the file is unreadable.
    """
    try:
        about = (pq.read_schema(_opened(rows_file)).metadata or {}).get(_ASKED)
        found = {
            int(seed): of for seed, of in parse_json(about.decode() if about else "{}").items()
        }
        for behaviour in found.values():
            check_behaviour(behaviour)
    except (OSError, ValueError, AttributeError, pa.ArrowException) as error:
        raise unreadable(rows_file, error) from error
    return found


def write_files(
    rows_file: Path,
    runs: dict[Key, dict[str, Any]],
    rows: dict[Key, pd.DataFrame],
    asked: Mapping[int, Asked] | None = None,
) -> None:
    """Write both, in the order of labels and seeds; a label that varies a method follows it.

    Args:
        asked: what `read_asked` is to give; None: what it gives now.
    """
    if asked is None:
        asked = read_asked(rows_file) if rows_file.is_file() else {}
    told_of = {str(seed): asked[seed] for seed in sorted(asked) if asked[seed]}
    methods = {label: json.loads(run["spec"])["method"] for (label, _), run in runs.items()}
    with told({label: {"base": of} for label, of in methods.items() if of != label}):
        rows = {key: rows[key] for key in sorted(rows, key=place_of)}
        runs = {key: runs[key] for key in sorted(runs, key=place_of)}
    entries = [{name: _listed(value) for name, value in run.items()} for run in runs.values()]
    measure = measure_in_rows(map(str, next(iter(rows.values()), ())))  # runs may come later
    schema = rows_schema(measure)
    none = schema.empty_table().to_pandas()
    parts = [part.assign(label=label, seed=seed) for (label, seed), part in rows.items()]
    frame = pd.concat([part for part in parts if len(part)] or [none], ignore_index=True)
    table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
    floats = list(floats_of(measure))
    # renamed together; what a kill between the two leaves is seen by `_fault`
    runs_name = runs_file(rows_file).name
    with (
        summing(sums_file(rows_file)) as tell,
        replacing(runs_file(rows_file)) as runs_beside,
        replacing(rows_file) as beside,
    ):
        pq.write_table(
            table.replace_schema_metadata(
                {_ASKED: json.dumps(told_of, sort_keys=True)} if told_of else None
            ),
            beside,
            compression="zstd",
            compression_level=19,
            use_dictionary=[name for name in schema.names if name not in floats],
            use_byte_stream_split=floats,
        )
        pq.write_table(
            pa.Table.from_pylist(entries, schema=_used(runs_schema(measure), measure, entries)),
            runs_beside,
            compression="zstd",
            compression_level=19,
        )
        tell({rows_file.name: beside, runs_name: runs_beside})


def _used(schema: pa.Schema, measure: Measure, entries: list[dict[str, Any]]) -> pa.Schema:
    """Without the columns that no run has: evidence of before stays as it is."""
    optional = {f"curve_{name}" for name in since_added(measure)}
    return pa.schema(
        field
        for field in schema
        if field.name not in optional or any(entry.get(field.name) is not None for entry in entries)
    )


def place_of(key: Key) -> tuple[Any, int]:
    return label_order(key[0]), key[1]


def _listed(value: Any) -> Any:
    return [_none_if_nan(x) for x in value.tolist()] if isinstance(value, np.ndarray) else value


def _none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


def runs_file(rows_file: Path) -> Path:
    return rows_file.with_name(f"{rows_file.stem}.runs.parquet")
