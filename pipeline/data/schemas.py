"""The Parquet files of the data layer: their columns, and how they are written and read.

Every file carries a JSON object under the schema-metadata key `pipeline`, and a seal
(pipeline/seals.py). The same rows and the same object give the same bytes.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import BadInput
from pipeline.files import parse_json
from pipeline.seals import BLANK, KEY, sealed_bytes, sealing

METADATA_KEY = b"pipeline"
GROUP = 1 << 20  # rows that are written at a time


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in columns.items()])


RATINGS = _schema(user=pa.int32(), item=pa.int32(), rating=pa.float32())
RATING_TASKS = _schema(task=pa.int32(), item=pa.int16(), y=pa.float32())
SYNTHETIC_TASKS = _schema(
    seed=pa.int32(),
    task=pa.int32(),
    split=pa.string(),  # train | test
    x0=pa.float64(),
    x1=pa.float64(),
    y=pa.float64(),
)


def table_tasks(inputs: int, *, split: bool, is_array: bool = False) -> pa.Schema:
    """Of an own table with this many inputs; `split`: it says which tasks are for what.

    Inputs are a column each, or as one array in one column.
    """
    kinds: dict[str, pa.DataType] = {"task": pa.int32()}
    if split:
        kinds["split"] = pa.string()
    if is_array:
        return _schema(**kinds, x=pa.list_(pa.float64(), inputs), y=pa.float64())
    kinds |= {f"x{place}": pa.float64() for place in range(inputs)}
    return _schema(**kinds, y=pa.float64())


def item_models(items: int) -> pa.Schema:
    """Gaussian models of so many items (pipeline/runs/offsets.py): a row each of every model."""
    return _schema(
        model=pa.int32(),  # 0: of all users; 1, ...: of all but those of a fold
        item=pa.int32(),
        mean=pa.float64(),
        covariance=pa.list_(pa.float64(), items),
    )


EPISODES = _schema(
    task=pa.int32(),
    role=pa.string(),  # train | validation | test
    part=pa.string(),  # pool | support | query
    row=pa.int32(),  # position in the task-set file; -1 where part is pool
)


def write_rows(
    path: Path, columns: Mapping[str, Any], schema: pa.Schema, metadata: Mapping[str, Any]
) -> None:
    """Write columns (arrays of one length, keyed as in `schema`), whole or not at all.

    A column of lists is an array of two axes.
    """
    encoded = json.dumps(metadata, sort_keys=True, allow_nan=False).encode("utf-8")
    described = schema.with_metadata({METADATA_KEY: encoded})
    length = len(columns[schema.names[0]])
    with sealed_parquet(path, described, compression="zstd") as writer:
        for start in range(0, max(length, 1), GROUP):
            part = slice(start, start + GROUP)
            arrays = [_to_arrow(columns[field.name][part], field.type) for field in schema]
            writer.write_table(pa.Table.from_arrays(arrays, schema=described))


@contextmanager
def sealed_parquet(path: Path, schema: pa.Schema, **options: Any) -> Iterator[pq.ParquetWriter]:
    """A writer of a sealed file, which is there, whole, when the block has ended."""
    with sealing(path) as beside, pq.ParquetWriter(beside, schema, **options) as writer:
        writer.add_key_value_metadata({KEY: BLANK})
        yield writer


def read_rows(path: Path, schema: pa.Schema) -> dict[str, np.ndarray]:
    """Read all columns of a file as arrays of one length.

    Raises:
        BadInput: no such file, damaged, not Parquet, or other columns than those of `schema`.
    """
    return rows_in(path, file_bytes(path), schema)


def rows_in(path: Path, data: bytes, schema: pa.Schema) -> dict[str, np.ndarray]:
    """The same of bytes that `file_bytes` has read."""
    try:
        table = pq.read_table(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise _not_ours(path, f"no readable Parquet ({str(error)[:120]})", schema) from error
    if not table.schema.equals(schema, check_metadata=False):
        raise _not_ours(path, _described(table.schema), schema)
    return {name: _to_numpy(table.column(name)) for name in schema.names}


def _to_arrow(values: Any, kind: pa.DataType) -> pa.Array:
    if not pa.types.is_fixed_size_list(kind):
        if isinstance(values, np.ndarray) and values.dtype == bool:
            values = values.astype(np.float64)
        return pa.array(values, type=kind)
    flat = pa.array(np.asarray(values).reshape(-1), type=kind.value_type)
    return pa.FixedSizeListArray.from_arrays(flat, type=kind)


def _to_numpy(column: pa.ChunkedArray) -> np.ndarray:
    if not pa.types.is_fixed_size_list(column.type):
        return column.to_numpy()
    return column.combine_chunks().flatten().to_numpy().reshape(len(column), -1)


def names_in(path: Path, data: bytes) -> list[str]:
    """Names of the columns of what `file_bytes` has read.

    Raises:
        BadInput: not Parquet.
    """
    return list(_schema_in(path, data).names)


def read_metadata(path: Path) -> dict[str, Any]:
    """Return the JSON object stored under `pipeline` in a Parquet file's schema metadata.

    Raises:
        BadInput: no such file, damaged, not Parquet, or written by something else.
    """
    return metadata_in(path, file_bytes(path))


def metadata_in(path: Path, data: bytes) -> dict[str, Any]:
    """The same of bytes that `file_bytes` has read."""
    stored = (_schema_in(path, data).metadata or {}).get(METADATA_KEY)
    if stored is None:
        raise _not_ours(path, "no metadata", None)
    try:
        return dict(parse_json(stored.decode("utf-8")))
    except (ValueError, TypeError) as error:
        raise _not_ours(path, f"no JSON object under 'pipeline' ({error})", None) from error


def _schema_in(path: Path, data: bytes) -> pa.Schema:
    try:
        return pq.read_schema(pa.BufferReader(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise _not_ours(path, f"no readable Parquet ({str(error)[:120]})", None) from error


def file_bytes(path: Path) -> bytes:
    """The bytes of a file of this pipeline, verified, for those who need both rows and metadata.

    Raises:
        BadInput: no such file, or damaged.
    """
    if not path.is_file():
        raise BadInput(
            f"{path}: found no such file, but a Parquet file of this pipeline is needed. "
            "Run the step that writes it first, or correct the path."
        )
    return sealed_bytes(path)


def _described(schema: pa.Schema) -> str:
    return "columns " + ", ".join(f"{field.name} {field.type}" for field in schema)


def _not_ours(path: Path, found: str, schema: pa.Schema | None) -> BadInput:
    needed = _described(schema) if schema else f"metadata under '{METADATA_KEY.decode()}'"
    return BadInput(
        f"{path}: found {found}, but {needed} is needed. "
        "Delete the file and run the step that writes it again, or correct the path."
    )
