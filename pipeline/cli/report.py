"""Commands for people: the page of a grid, and where a number comes from."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import ParamsFile, Spec, parse_spec, take


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("build-report")(build_report)
    app.command("explain")(explain)


def build_report(
    results_dir: Annotated[Path, typer.Argument(help="such as results/quickstart")],
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Write RESULTS_DIR/report.html: tables, figures and where they come from, on one page."""
    from pipeline.report.page import build_report as build

    build(results_dir, grid=_grid_name(spec, params))


def explain(
    table: Annotated[str, typer.Argument(help="such as main, per_seed, curves")],
    row: Annotated[
        str,
        typer.Argument(
            help="SETTING/LABEL, with /SEED or /STEP where there are several; or #3: the third row"
        ),
    ],
    column: Annotated[str, typer.Argument(help="a column of the table, such as nrmse")],
    results: Annotated[
        Path | None, typer.Option(help="such as results/paper; default: the grid of --params")
    ] = None,
    params: ParamsFile = Path("params.yaml"),
    everything: Annotated[bool, typer.Option("--all", help="list every run")] = False,
) -> None:
    """Say what a number of a table is, which runs it came from, and how to remake them."""
    from pipeline.report.explain import explain as say

    folder = results or Path("results") / _grid_name(None, params)
    typer.echo(say(folder, table, row, column, everything=everything))


def _grid_name(spec: str | None, params: Path) -> str:
    if spec:
        return str(take(parse_spec(spec), "grid")["grid"])
    from pipeline.config.schema import load_params

    return load_params(params).grid
