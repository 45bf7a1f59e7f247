"""Commands that use what was trained."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from pipeline.cli.options import Config, ParamsFile, parameters, parse_config
from pipeline.cli.report import write_page
from pipeline.errors import BadInput

if TYPE_CHECKING:
    from pipeline.config.schema import Params


def adapt(
    start: Annotated[
        str,
        typer.Argument(help="GRID/SETTING of a champion, its file, or a run's folder or file"),
    ],
    support: Annotated[Path, typer.Argument(help="rows of tasks, with targets; CSV or Parquet")],
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
    Where both have the column of task ids, each task is trained on its own rows. The query's rows
    are printed as they are, beside the predictions; where targets are known, how good they are is
    said last. An item that training did not have gets the mean, and is marked.
    """
    from pipeline.data.own_files import column_names, read_columns, rows_as_given
    from pipeline.runs import use
    from pipeline.runs.initialisation import Initialisation

    read = Initialisation.read(use.locate(start))
    asked = support if query is None else query
    trained, rows = (
        read_columns(
            path,
            use.wanted(read, column_names(path, delimiter=delimiter), targets=targets),
            delimiter=delimiter,
        )
        for path, targets in ((support, True), (asked, False))
    )
    found = use.answer(read, trained, rows, steps=steps)
    header, given = rows_as_given(asked, delimiter=delimiter)
    shown = [
        [f"{value:.6g}" for value in values] if values.dtype.kind == "f" else [*values]
        for values in found.values()
    ]
    kept = [place for place, name in enumerate(header) if name not in found]
    lines = [[*(header[place] for place in kept), *found]]
    lines += [
        [*(own[place] for place in kept), *new] for own, *new in zip(given, *shown, strict=True)
    ]
    with _opened(out) as file:
        csv.writer(file, lineterminator="\n").writerows(lines)
    typer.echo(use.verdict(read, trained, rows, found), err=True)


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    """Where a table is written: printed, or a file that is whole or not there at the end."""
    from pipeline.files import replacing

    if out is None:
        yield sys.stdout
        return
    out = out.resolve()  # a link stays one
    if out.exists() and not out.is_file() and not out.is_dir():  # a device, a pipe
        with out.open("w", newline="", encoding="utf-8") as file:
            yield file
        return
    with replacing(out) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        yield file


def promote(
    grid: Annotated[
        str | None, typer.Argument(help="its name; default: the grid that --params names")
    ] = None,
    uri: Annotated[
        str | None, typer.Option(help="MLflow tracking URI [default: tracking.uri of params]")
    ] = None,
    params: ParamsFile = Path("params.yaml"),
    config: Config = None,
) -> None:
    """Choose each setting's best method by validation tasks, write and register its weights.

    A champion is written as results/GRID/champions/SETTING.safetensors, a small file that is all
    `adapt` needs, and registered in MLflow as the version `champion` of the model GRID.SETTING.
    Test tasks choose nothing. A setting whose runs have no weights here, as after a restoration
    from evidence, keeps the file that it has; where there is none, the command is said that trains
    them. The page of the grid, where it is made already, shows the champions.
    """
    from pipeline.config.variants import told
    from pipeline.runs.initialisation import Initialisation
    from pipeline.tables import champions
    from pipeline.tracking.champions import register

    given = parameters(params, grid, parse_config(config) if config else None)
    with told(given.variants()):
        found, lacking = champions.promote(given)
        lost = champions.lacking_text(given, lacking) if lacking else ""
        if not found:
            raise BadInput(f"grid '{given.grid}': found no weights to choose from. {lost}")
        typer.echo(champions.champions_text(found))
        if lost:
            typer.echo(f"{lost}\n", err=True)
        starts = [Initialisation.read(champion.file) for champion in found]
        models = register(starts, uri=uri or given.tracking.uri, grid=given.grid)
        for champion, model in zip(found, models, strict=True):
            told_of = "registered as" if model.is_new else "as it was:"
            typer.echo(
                f"{champion.file}: {told_of} models:/{model.name}@champion, version {model.version}"
            )
        _show(given)


def _show(given: "Params") -> None:
    """Make the grid's page anew where its tables and figures stand and it lacks these champions."""
    from pipeline.jobs.artifacts import fault_of, grid_artifacts

    kinds = ("tables", "figures", "report")
    found = {a.recipe["kind"]: a for a in grid_artifacts(given) if a.recipe["kind"] in kinds}
    if not any(fault_of(found[kind]) for kind in kinds[:2]) and fault_of(found["report"]):
        write_page(Path("results") / given.grid, found["report"].recipe)


COMMANDS = (adapt, promote)
