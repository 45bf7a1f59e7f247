"""Where a number of a table comes from, as text: `python -m pipeline explain`."""

from collections import defaultdict
from functools import partial
from pathlib import Path
from textwrap import fill

from pipeline.config.titles import SIMULATED
from pipeline.errors import BadInput
from pipeline.report.columns import heading, meaning
from pipeline.report.evidence import (
    Run,
    evidence_file,
    read_runs_behind,
    record_files,
    remake_command,
    run_commands,
)
from pipeline.report.grid_tables import grid_measure, read_table
from pipeline.report.texts import templates
from pipeline.tracking.store import logged_ids

SHOWN = 12  # runs that are listed in full


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
    measure = grid_measure(results_dir)
    grid = results_dir.resolve().name
    source = values.get("grid", grid)
    records = record_files(results_dir, name, values, column)
    runs = [] if records else read_runs_behind(results_dir, values)
    places = dict.fromkeys((run.results_dir, run.setting) for run in runs)
    template = templates(autoescape=False).get_template("explain.txt.j2")
    text = template.render(
        path=frame.path,
        number=place + 1,
        where=", ".join(f"{key} {values[key]}" for key in frame.keys),
        column=column,
        title=heading(column, name, measure),
        value=values[column],
        meaning=meaning(column, name, measure),
        simulated=values.get("simulated") == "true" or values.get("dataset") in SIMULATED,
        message=values.get("message") if column != "message" else "",
        grid=grid,
        source=source,
        source_path=results_dir.parent / source / "tables" / frame.path.name,
        records=records,
        runs=runs,
        shown=len(runs) if everything else SHOWN,
        ids=_logged(database, runs),
        evidence=[file for place in places if (file := evidence_file(*place))],
        wrapped=partial(fill, width=96, subsequent_indent=" " * 9),
        commands=run_commands,
        remake=remake_command,
    )
    return text.rstrip("\n")


def _logged(database: Path, runs: list[Run]) -> dict[Path, str]:
    """Ids in MLflow by the runs' folders, "" where there is none."""
    ids: dict[Path, str] = defaultdict(str)
    for folder in dict.fromkeys(run.results_dir for run in runs):
        own = {run.name: run.directory for run in runs if run.results_dir == folder}
        logged = logged_ids(database, folder.resolve().name, [*own])
        ids |= {own[name]: run_id for name, run_id in logged.items()}
    return ids
