"""The one way in which rows become files: six significant digits, blank for what is missing."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.files import write_text

Row = dict[str, Any]
DIGITS = 6


def write_table(folder: Path, name: str, columns: Iterable[str], rows: Sequence[Row]) -> None:
    """Write `{name}.csv` with these columns in their order."""
    write_text(folder / f"{name}.csv", csv_text(columns, rows))


def csv_text(columns: Iterable[str], rows: Iterable[Row]) -> str:
    """Rows as CSV with a header; a missing value is blank."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(columns)
    writer.writerow(names)
    writer.writerows([cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def cell(value: Any) -> str:
    """A value as text; blank for what is missing or not finite."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}" if np.isfinite(value) else ""
    return str(value)
