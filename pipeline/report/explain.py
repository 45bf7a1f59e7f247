"""Where a number of a table comes from, as text: `python -m pipeline explain`."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

from pipeline.config.titles import SIMULATED
from pipeline.errors import BadInput
from pipeline.report.columns import heading, meaning
from pipeline.report.evidence import (
    Run,
    evidence_file,
    read_runs_behind,
    row_grids,
    run_commands,
)
from pipeline.report.grid_tables import read_table
from pipeline.report.records import record_command, record_files
from pipeline.tracking.lookup import logged_ids

SHOWN = 12  # runs that are listed in full
_NOT_HERE = "not here (run `dvc pull`, or the first command)"


def explain(
    results_dir: Path,
    table: str,
    row: str,
    column: str,
    *,
    database: Path = Path("mlflow.db"),
    everything: bool = False,
) -> str:
    """Say what a cell holds, which runs it came from, and the commands that remake them.

    Args:
        results_dir: such as `results/paper`; its last part is the name of the grid.
        table: name of a table, such as `main`.
        row: `setting/label[/seed or step]`, or `#3` for the third row.
        column: a column of the table.
        database: the MLflow store.
        everything: list each run, however many.

    Raises:
        BadInput: when there is no such table, row or column, or a record cannot be read.
    """
    name = table.removesuffix(".csv")
    frame = read_table(results_dir, name)
    place = frame.find(row)
    if column not in frame.columns:
        raise BadInput(
            f"{frame.path}: found no column '{column}'; needed one of: {', '.join(frame.columns)}."
        )
    values = frame.rows[place]
    grid = results_dir.resolve().name
    title = heading(column, name)
    where = ", ".join(f"{key} {values[key]}" for key in frame.keys)
    lines = [
        f"table    {frame.path.as_posix()}, row {place + 1}: {where}",
        f"column   {column}" + (f" ({title})" if title != column else ""),
        f"value    {values[column] or 'blank: missing, undefined or not finite'}",
        _wrapped("means", meaning(column, name) or "no definition is written of this column"),
    ]
    if values.get("simulated") == "true" or values.get("dataset") in SIMULATED:
        lines.append("data     SIMULATED: made by a generator, no person gave these ratings")
    if values.get("message") and column != "message":
        lines.append(_wrapped("message", values["message"]))
    lines.append(f"remake   {table_command(results_dir, name, grid)}")
    if values.get("grid", grid) != grid:
        taken = results_dir.parent / values["grid"]
        lines.append(f"taken    from the same table of grid {values['grid']}, which comes first:")
        lines.append(f"         {table_command(taken, name, values['grid'])}")
    records = record_files(results_dir, name, values, column)
    if records:
        lines += ["", *(line for record in records for line in _record_lines(record))]
    else:
        runs = read_runs_behind(results_dir, values)
        ids: dict[Path, str] = {}
        for folder in row_grids(results_dir, values):
            own = {run.name: run.directory for run in runs if run.results_dir == folder}
            logged = logged_ids(database, folder.resolve().name, [*own])
            ids |= {own[run_name]: run_id for run_name, run_id in logged.items()}
        lines += ["", *_run_lines(runs, ids, everything)]
    return "\n".join(lines)


def table_command(results_dir: Path, name: str, grid: str) -> str:
    """The command that makes a table anew from the records."""
    path = (results_dir / "tables" / f"{name}.csv").as_posix()
    return f"snakemake {path} --cores 1 --force --config grid={grid}"


def _run_lines(runs: list[Run], ids: Mapping[Path, str], everything: bool) -> list[str]:
    if not runs:
        return ["runs     none of the grid's runs carries the names of this row"]
    shown = runs if everything else runs[:SHOWN]
    seeds = sorted({run.seed for run in runs})
    lines = [f"runs     {len(runs)}, seeds {', '.join(map(str, seeds))}"]
    for run in shown:
        state = _NOT_HERE if not run.here else "restored from evidence" if run.restored else "here"
        facts = {
            "state": f"{run.status or 'unknown'}; record {state}",
            "recipe": run.recipe or "unknown: the record is not here",
            "commit": run.commit or "unknown",
            "data": run.fingerprint or "unknown: the record is not here",
            "MLflow": ids.get(run.directory, "not logged yet"),
        }
        lines += ["", f"  {run.directory.as_posix()}  (seed {run.seed})"]
        lines += [f"    {key:<8} {value}" for key, value in facts.items()]
        lines += [f"    {'remake':<8} {command}" for command in run_commands(run)]
    if len(runs) > len(shown):
        lines += ["", f"  and {len(runs) - len(shown)} more: give --all to list them"]
    places = dict.fromkeys((run.results_dir, run.setting) for run in runs)
    files = [evidence_file(*place) for place in places]
    kept = [file.as_posix() for file in files if file]
    if kept:
        lines += ["", "evidence in git (errors of each test task of these runs)"]
        lines += [f"  {file}" for file in kept]
    return lines


def _record_lines(record: Path) -> list[str]:
    state = "here" if record.is_file() else _NOT_HERE
    return [
        f"record   {record.as_posix()} ({state})",
        f"remake   {record_command(record)}",
    ]


def _wrapped(key: str, text: str) -> str:
    return fill(text, 96, initial_indent=f"{key:<9}", subsequent_indent=" " * 9)
