"""Rows of the tables of pipeline/tables/optional.py: a grid's own, or those of its companions."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.tables.ablation import ABLATION_COLUMNS, ablation_rows
from pipeline.tables.grid import SettingRuns
from pipeline.tables.horizons import EARLY_COLUMNS, HORIZON_COLUMNS, early_rows, horizon_rows
from pipeline.tables.main import Row
from pipeline.tables.other_grids import companion_tables
from pipeline.tables.tuning import CHOICE_COLUMNS, choice_rows

EXTRA_COLUMNS = {
    "ablation": ABLATION_COLUMNS,
    "horizons": HORIZON_COLUMNS,
    "early_stopping": EARLY_COLUMNS,
    "choices": CHOICE_COLUMNS,
}


def extra_rows(
    grid: str, runs: list[SettingRuns], results_dir: Path, companions: Sequence[str]
) -> dict[str, list[Row]]:
    """Rows of each table by its name; [] of one that neither the grid nor a companion has.

    Raises:
        BadInput: when runs that are compared do not fit together, or a table is unreadable.
    """
    own = {
        "ablation": ablation_rows(grid, runs, results_dir, companions),
        "horizons": horizon_rows(grid, runs),
        "early_stopping": early_rows(grid, runs),
        "choices": choice_rows(grid, runs),
    }
    return {
        name: rows or _companions_rows(results_dir, companions, name) for name, rows in own.items()
    }


def _companions_rows(results_dir: Path, companions: Sequence[str], name: str) -> list[Row]:
    tables = companion_tables(results_dir, companions, name)
    rows = (row for table in tables.values() for row in table.to_dict("records"))
    return [{str(key): value for key, value in row.items()} for row in rows]
