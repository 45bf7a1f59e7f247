"""Tables whose numbers are not those of meta-training runs, but of a record of their own."""

from collections.abc import Mapping
from pathlib import Path

# table -> its record below results/{grid}, by the row's columns
RECORDS = {"costs": "profile/{label}.json"}


def record_file(results_dir: Path, table: str, row: Mapping[str, str]) -> Path | None:
    """The record that a row was read from; None where runs are behind it."""
    pattern = RECORDS.get(table)
    return results_dir / pattern.format_map(row) if pattern else None


def record_command(record: Path, grid: str) -> str:
    """The command that measures a record anew."""
    return f"snakemake {record.as_posix()} --cores 1 --force --config grid={grid}"
