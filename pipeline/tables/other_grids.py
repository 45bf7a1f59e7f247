"""Committed tables of companion grids, shown beside a grid's own (`companions` in params.yaml).

A companion's runs need not be there: its `results/{grid}/tables/` alone are read, and a table
that does not exist is left out.
"""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from pipeline.config.tables import companion_file
from pipeline.data.sets import SOURCES
from pipeline.errors import BadInput

_TEXT = dict.fromkeys(
    ("setting", "shorter_setting", "dataset", "label", "kind", "status", "device", "message"), str
)


def companion_tables(
    results_dir: Path, companions: Iterable[str], name: str
) -> dict[str, pd.DataFrame]:
    """The table `name` of each companion that has one, by grid, sorted by the grid's name.

    Args:
        results_dir: `results/{grid}` of the grid that is shown.
        companions: names of grids.
        name: of the table, without `.csv`.

    Raises:
        BadInput: when a table is there and cannot be read.
    """
    paths = {grid: companion_file(results_dir, grid, name) for grid in sorted(set(companions))}
    return {grid: _read(path, grid) for grid, path in paths.items() if path.is_file()}


def _read(path: Path, grid: str) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=_TEXT)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path}: cannot be read ({error}); needed the table that `build-tables` writes. "
            f"`git checkout` it, or run `snakemake --config grid={grid}`."
        ) from error


TASK_COUNTS = {name: card.users for name, card in SOURCES.items() if card.users}
"""Data set -> threshold -> users with at least so many ratings of its 100 most-rated items."""
