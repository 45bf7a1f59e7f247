"""Commands that use what was trained."""

import csv
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.errors import BadInput


def adapt(
    run: Annotated[Path, typer.Argument(help="a run's folder, or its meta_init.safetensors")],
    support: Annotated[Path, typer.Argument(help="rows of one task, with targets; CSV or Parquet")],
    query: Annotated[
        Path | None, typer.Argument(help="rows to predict; default: the support rows")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=0, help="of training; default: the run's K")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="CSV to write; default: printed")] = None,
    delimiter: Annotated[str | None, typer.Option(help="of text files; default: found")] = None,
) -> None:
    """Train an initialisation on a new task's support rows, and predict its query rows.

    Files have the columns of the data that it was trained on; the query's target may be missing.
    Predictions are printed as CSV beside the query's own columns; where targets are known, how good
    they are is said last. An item that training did not have gets the mean, and is marked.
    """
    import numpy as np

    from pipeline.data.own_files import column_names, read_columns
    from pipeline.files import replacing
    from pipeline.runs.initialisation import Initialisation

    start = Initialisation.read(run)
    target = start.about["target"]
    wanted: dict[str, Any] = start.columns
    trained = read_columns(support, wanted | {target: "number"}, delimiter=delimiter)
    y = trained.numbers[target]
    if np.isnan(y).any():
        place = trained.place(int(np.isnan(y).argmax()))
        raise BadInput(f"{place}: column '{target}': found no value, needed a target. Mend it.")
    asked = support if query is None else query
    has_target = target in column_names(asked, delimiter=delimiter)
    known: dict[str, Any] = {target: "number"} if has_target else {}
    rows = read_columns(asked, wanted | known, delimiter=delimiter)
    x, at = start.encode(trained), start.encode(rows)
    found = start.adapt(x, y, at, steps=steps)

    header = [*wanted, *known, "prediction"]
    columns: list[Any] = [_cells(rows, name) for name in (*wanted, *known)]
    columns.append([f"{value:.6g}" for value in found])
    if start.items is not None:
        header.append("known")
        columns.append(["yes" if index >= 0 else "no" for index in at])
    lines = [header, *zip(*columns, strict=True)]
    if out is None:
        csv.writer(sys.stdout, lineterminator="\n").writerows(lines)
    else:
        with replacing(out) as beside, beside.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
    typer.echo(_verdict(start, y, found, rows.numbers.get(target)), err=True)


def _cells(rows: Any, name: str) -> list[str]:
    if name in rows.numbers:
        return [f"{value:.12g}" for value in rows.numbers[name]]
    return [rows.values[name][code] for code in rows.codes[name]]


def _verdict(start: Any, y: Any, found: Any, truth: Any) -> str:
    """How good the predictions are, beside what predicting the support mean would give."""
    import numpy as np

    told = f"trained on {len(y)} rows, {len(found)} predicted"
    there = np.zeros(0, bool) if truth is None else ~np.isnan(truth)
    if not there.any():
        return told
    unit = start.about["scaling"]["target_std"]

    def nrmse(guess: Any) -> float:
        return float(np.sqrt(np.mean((guess - truth[there]) ** 2))) / unit

    return (
        f"{told}: nRMSE {nrmse(found[there]):.4f}. The mean of the support rows would give "
        f"{nrmse(y.mean()):.4f}; on the test tasks of {start.about['setting']} it was "
        f"{start.about['nrmse'] or float('nan'):.4f}."
    )


COMMANDS = (adapt,)
