"""Parquet files: same content, same bytes; a file of another kind is refused."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.data import schemas
from pipeline.errors import BadInput

COLUMNS = {"task": [3, 4], "item": [0, 99], "y": [1.5, -2.0]}
METADATA = {"b": 1, "a": {"nested": [1.0, 2.5]}}


def test_rows_and_metadata_come_back(tmp_path):
    path = tmp_path / "deep" / "t.parquet"
    schemas.write_rows(path, COLUMNS, schemas.RATING_TASKS, METADATA)
    rows = schemas.read_rows(path, schemas.RATING_TASKS)
    assert {name: values.tolist() for name, values in rows.items()} == COLUMNS
    assert [values.dtype for values in rows.values()] == [np.int32, np.int16, np.float32]
    assert schemas.read_metadata(path) == METADATA
    assert [entry.name for entry in path.parent.iterdir()] == ["t.parquet"]


def test_same_content_same_bytes(tmp_path):
    first, second = tmp_path / "a.parquet", tmp_path / "b.parquet"
    schemas.write_rows(first, COLUMNS, schemas.RATING_TASKS, METADATA)
    backwards = dict(reversed(METADATA.items()))
    schemas.write_rows(second, COLUMNS, schemas.RATING_TASKS, backwards)
    assert first.read_bytes() == second.read_bytes()


def test_text_columns_come_back(tmp_path):
    path = tmp_path / "e.parquet"
    columns = {"task": [1, 1], "role": ["test"] * 2, "part": ["support", "query"], "row": [0, 1]}
    schemas.write_rows(path, columns, schemas.EPISODES, {})
    rows = schemas.read_rows(path, schemas.EPISODES)
    assert (rows["part"] == "query").tolist() == [False, True]


def test_other_columns_are_refused(tmp_path):
    path = tmp_path / "t.parquet"
    schemas.write_rows(path, COLUMNS, schemas.RATING_TASKS, {})
    with pytest.raises(BadInput, match=r"found columns task int32.*user int32.*is needed"):
        schemas.read_rows(path, schemas.RATINGS)


def test_other_types_are_refused(tmp_path):
    path = tmp_path / "t.parquet"
    with schemas.sealed_parquet(path, pa.table(COLUMNS).schema) as writer:
        writer.write_table(pa.table(COLUMNS))
    with pytest.raises(BadInput, match="task int64"):
        schemas.read_rows(path, schemas.RATING_TASKS)
    with pytest.raises(BadInput, match="no metadata"):
        schemas.read_metadata(path)
    pq.write_table(pa.table(COLUMNS), path)
    with pytest.raises(BadInput, match="no seal"):
        schemas.read_metadata(path)


@pytest.mark.parametrize("content", [None, b"", b"PAR1 but not really PAR1"])
def test_no_parquet_at_all(content, tmp_path):
    path = tmp_path / "t.parquet"
    if content is not None:
        path.write_bytes(content)
    for read in (lambda: schemas.read_rows(path, schemas.RATINGS), lambda: _metadata(path)):
        with pytest.raises(BadInput, match=r"t\.parquet: (found )?no "):
            read()


def _metadata(path):
    return schemas.read_metadata(path)


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "t.parquet"
    schemas.write_rows(path, COLUMNS, schemas.RATING_TASKS, {})
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON compliant"):
        schemas.write_rows(path, COLUMNS, schemas.RATING_TASKS, {"x": float("nan")})
    assert path.read_bytes() == before
