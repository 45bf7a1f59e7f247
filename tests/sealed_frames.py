"""Frames as sealed Parquet, for tests that put other numbers into a record."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from pipeline.data.schemas import sealed_parquet


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame over a file of a record."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    with sealed_parquet(path, table.schema) as writer:
        writer.write_table(table)
