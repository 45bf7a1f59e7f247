"""Tables whose numbers are not those of meta-training runs, but of a record of their own."""

from collections.abc import Mapping
from pathlib import Path

# table -> its record below results/{grid}, by the row's columns
RECORDS = {
    "costs": "profile/{label}.json",
    "stability": "studies/stability.json",
    "stiffness": "studies/stability.json",
    "fidelity": "studies/fidelity.json",
    "noise": "studies/noise.json",
}
# of tables made of runs, columns that are not
_COLUMN_RECORDS = {
    ("equal_cost", "peak_bytes"): "profile/{label}.json",
    ("equal_cost", "cost_steps"): "profile/{label}.json",
}


def record_files(
    results_dir: Path, table: str, row: Mapping[str, str], column: str = ""
) -> list[Path]:
    """The records that a cell (or row) was read from; [] where runs are behind it.

    Args:
        results_dir: `results/{grid}` of the table; a row that names another grid is from there.
        table, row, column: the cell.
    """
    if row.get("record"):  # a measurement that names its own
        return [results_dir / part for part in row["record"].split()]
    pattern = RECORDS.get(table) or _COLUMN_RECORDS.get((table, column))
    grid = row.get("grid") or results_dir.resolve().name
    folder = results_dir if grid == results_dir.resolve().name else results_dir.parent / grid
    return [folder / pattern.format_map(row)] if pattern else []


def record_command(record: Path) -> str:
    """The command that measures a record, `results/{grid}/{kind}/{name}.json`, anew."""
    grid = record.resolve().parents[1].name
    return f"snakemake {record.as_posix()} --cores 1 --force --config grid={grid}"
