"""The two files of a setting's evidence (pipeline/evidence.py): columns, reading, writing."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import BadInput
from pipeline.files import replacing
from pipeline.labels import label_order
from pipeline.records import CURVE_SCHEMA, TEST_ROWS_SCHEMA

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
    if not rows_file.is_file():
        return {}, {}
    try:
        entries = pq.read_table(_runs_file(rows_file), schema=RUNS_SCHEMA).to_pylist()
        frame = pq.read_table(rows_file, schema=ROWS_SCHEMA).to_pandas()
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise BadInput(
            f"{rows_file}: unreadable evidence ({error}); needed the two files that `meta-train` "
            "wrote. Get them back with `git checkout`, or delete both: runs that are on disk are "
            "added again by `python -m pipeline keep-evidence`."
        ) from error
    empty = frame.iloc[:0]
    names = ROWS_SCHEMA.names[2:]
    rows = {
        (str(label), int(seed)): part[names].reset_index(drop=True)
        for (label, seed), part in frame.groupby(["label", "seed"])
    }
    runs = {(entry["label"], entry["seed"]): entry for entry in entries}
    return runs, dict.fromkeys(runs, empty[names]) | rows


def write_files(
    rows_file: Path, runs: dict[Key, dict[str, Any]], rows: dict[Key, pd.DataFrame]
) -> None:
    """Write both, in the order of labels and seeds."""

    def place(key: Key) -> tuple[Any, int]:
        return label_order(key[0]), key[1]

    parts = [
        rows[key].assign(label=key[0], seed=key[1])
        for key in sorted(rows, key=place)
        if len(rows[key])
    ]
    frame = pd.concat(parts, ignore_index=True)
    table = pa.Table.from_pandas(frame, schema=ROWS_SCHEMA, preserve_index=False)
    floats = ["rmse", "mae", "support_rmse"]
    entries = [
        {name: _listed(value) for name, value in runs[key].items()}
        for key in sorted(runs, key=place)
    ]
    # the runs last: a rows file without their entries is replaced by the next job
    with replacing(rows_file) as beside:
        pq.write_table(
            table.replace_schema_metadata(None),
            beside,
            compression="zstd",
            compression_level=19,
            use_dictionary=[name for name in ROWS_SCHEMA.names if name not in floats],
            use_byte_stream_split=floats,
        )
    with replacing(_runs_file(rows_file)) as beside:
        pq.write_table(
            pa.Table.from_pylist(entries, schema=RUNS_SCHEMA),
            beside,
            compression="zstd",
            compression_level=19,
        )


def _listed(value: Any) -> Any:
    return [_none_if_nan(x) for x in value.tolist()] if isinstance(value, np.ndarray) else value


def _none_if_nan(value: Any) -> Any:
    return None if isinstance(value, float) and np.isnan(value) else value


def _runs_file(rows_file: Path) -> Path:
    return rows_file.with_name(f"{rows_file.stem}.runs.parquet")
