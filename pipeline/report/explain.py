"""Where a number of a table comes from, as text: `python -m pipeline explain`."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import fill

from pipeline.errors import BadInput
from pipeline.report.columns import heading, meaning
from pipeline.report.evidence import Run, evidence_file, read_runs, run_commands, runs_behind
from pipeline.report.grid_tables import read_table
from pipeline.report.records import record_command, record_file
from pipeline.tracking_lookup import logged_ids

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
    where = ", ".join(f"{key} {values[key]}" for key in frame.keys)
    lines = [
        f"table    {frame.path.as_posix()}, row {place + 1}: {where}",
        f"column   {column}" + (f" ({heading(column)})" if heading(column) != column else ""),
        f"value    {values[column] or 'blank: missing, undefined or not finite'}",
        _wrapped("means", meaning(column) or "no definition is written of this column"),
    ]
    if values.get("simulated") == "true" or values.get("dataset") == "simulated":
        lines.append("data     SIMULATED: made by a generator, no person gave these ratings")
    if values.get("message") and column != "message":
        lines.append(_wrapped("message", values["message"]))
    lines.append(f"remake   {table_command(results_dir, name, grid)}")
    record = record_file(results_dir, name, values)
    if record is not None:
        lines += ["", *_record_lines(record, grid)]
    else:
        runs = runs_behind(values, read_runs(results_dir, read_table(results_dir, "per_seed")))
        ids = logged_ids(database, grid, [run.name for run in runs])
        lines += ["", *_run_lines(runs, results_dir, grid, ids, everything)]
    return "\n".join(lines)


def table_command(results_dir: Path, name: str, grid: str) -> str:
    """The command that makes a table anew from the records."""
    path = (results_dir / "tables" / f"{name}.csv").as_posix()
    return f"snakemake {path} --cores 1 --force --config grid={grid}"


def _run_lines(
    runs: list[Run], results_dir: Path, grid: str, ids: Mapping[str, str], everything: bool
) -> list[str]:
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
            "MLflow": ids.get(run.name, "not logged yet"),
        }
        lines += ["", f"  {run.directory.as_posix()}  (seed {run.seed})"]
        lines += [f"    {key:<8} {value}" for key, value in facts.items()]
        lines += [f"    {'remake':<8} {command}" for command in run_commands(run, grid)]
    if len(runs) > len(shown):
        lines += ["", f"  and {len(runs) - len(shown)} more: give --all to list them"]
    files = [evidence_file(results_dir, setting) for setting in _settings(runs)]
    kept = [file.as_posix() for file in files if file]
    if kept:
        lines += ["", "evidence in git (errors of each test task of these runs)"]
        lines += [f"  {file}" for file in kept]
    return lines


def _record_lines(record: Path, grid: str) -> list[str]:
    state = "here" if record.is_file() else _NOT_HERE
    return [
        f"record   {record.as_posix()} ({state})",
        f"remake   {record_command(record, grid)}",
    ]


def _settings(runs: list[Run]) -> list[str]:
    return list(dict.fromkeys(run.setting for run in runs))


def _wrapped(key: str, text: str) -> str:
    return fill(text, 96, initial_indent=f"{key:<9}", subsequent_indent=" " * 9)
