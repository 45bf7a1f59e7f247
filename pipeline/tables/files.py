"""The one way in which rows become files: six significant digits, blank for what is missing.

Of companion grids (`companions` of a grid) the committed tables alone are read, to be shown beside
a grid's own; their runs need not be there.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.tables import companion_file
from pipeline.errors import BadInput
from pipeline.files import write_text
from pipeline.seals import DAMAGED, read_sealed, sha256

Row = dict[str, Any]
DIGITS = 6
_TEXT = dict.fromkeys(
    ("setting", "shorter_setting", "dataset", "label", "kind", "status", "device", "message"), str
)


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


def companion_tables(
    results_dir: Path, companions: Iterable[str], name: str
) -> dict[str, pd.DataFrame]:
    """The table `name` of each companion that has one, by grid, sorted by the grid's name.

    Args:
        results_dir: `results/{grid}` of the grid that is shown.

    Raises:
        BadInput: when a table is there and cannot be read.
    """
    paths = {grid: companion_file(results_dir, grid, name) for grid in sorted(set(companions))}
    return {grid: _read(path, grid) for grid, path in paths.items() if path.is_file()}


def _read(path: Path, grid: str) -> pd.DataFrame:
    carrier = path.with_name("spec.json")
    try:
        data = path.read_bytes()
        if carrier.is_file() and read_sealed(carrier)["files"].get(path.name) != sha256(data):
            raise ValueError(DAMAGED)
        return pd.read_csv(io.BytesIO(data), dtype=_TEXT)
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(
            f"{path}: cannot be read ({error}); needed the table that `build-tables` writes. "
            f"`git checkout` it, or run `snakemake --config grid={grid}`."
        ) from error
