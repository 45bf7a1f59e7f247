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
# claims on measurements, by their names up to `:`; a label stands behind it
_CLAIM_RECORDS = {
    "memory_linear": ("profile/{label}.json",),
    "memory_below_maml": ("profile/{label}.json", "profile/maml.json"),
    "time_like_fomaml": ("profile/{label}.json", "profile/fomaml.json"),
    "maml_out_of_memory": ("profile/maml.json",),
    "backsolve_diverges": ("studies/stability.json",),
}


def record_files(
    results_dir: Path, table: str, row: Mapping[str, str], column: str = ""
) -> list[Path]:
    """The records that a cell (or row) was read from; [] where runs are behind it.

    Args:
        results_dir: `results/{grid}` of the table; a row that names another grid is from there.
        table, row, column: the cell.
    """
    if table == "verdicts":
        claim, _, label = row.get("claim", "").partition(":")
        return [results_dir / p.format(label=label) for p in _CLAIM_RECORDS.get(claim, ())]
    pattern = RECORDS.get(table) or _COLUMN_RECORDS.get((table, column))
    grid = row.get("grid") or results_dir.resolve().name
    folder = results_dir if grid == results_dir.resolve().name else results_dir.parent / grid
    return [folder / pattern.format_map(row)] if pattern else []


def record_command(record: Path) -> str:
    """The command that measures a record, `results/{grid}/{kind}/{name}.json`, anew."""
    grid = record.resolve().parents[1].name
    return f"snakemake {record.as_posix()} --cores 1 --force --config grid={grid}"
