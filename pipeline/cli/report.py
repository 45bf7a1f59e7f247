"""Commands for people: the page of a grid, and where a number comes from."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import GridName, ParamsFile, Spec, parameters, tell_made


def build_report(
    results_dir: Annotated[Path, typer.Argument(help="such as results/quickstart")],
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
) -> None:
    """Write RESULTS_DIR/report.html: tables, figures and where they come from, on one page."""
    from pipeline.cli.results import recipe_of

    write_page(results_dir, recipe_of("report", spec, params, grid, results_dir))


def write_page(results_dir: Path, recipe: dict[str, Any]) -> None:
    """Make RESULTS_DIR/report.html of the tables and figures that its recipe names.

    Raises:
        BadInput: when they are others.
    """
    from pipeline.config.variants import told
    from pipeline.jobs.readers import check_champions, check_view, making, variants_of
    from pipeline.report.page import build_report as build

    check_view(results_dir / "tables/spec.json", recipe["tables"], "tables")
    check_view(results_dir / "figures/spec.json", recipe["figures"], "figures")
    check_champions(results_dir, recipe)
    with told(variants_of(results_dir)):
        making(
            results_dir / "report.json",
            recipe,
            lambda: build(results_dir, grid=recipe["grid"]),
            beside=["report.html"],
        )
    tell_made(results_dir / "report.html")


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
    grid: GridName = None,
    everything: Annotated[bool, typer.Option("--all", help="list every run")] = False,
) -> None:
    """Say what a number of a table is, which runs it came from, and how to remake them."""
    from pipeline.config.variants import told
    from pipeline.jobs.readers import check_listed, variants_of
    from pipeline.report.explain import explain as say

    folder = results or Path("results") / parameters(params, grid).grid
    if (carrier := folder / "tables/spec.json").is_file():
        check_listed(carrier)
    with told(variants_of(folder)):
        typer.echo(say(folder, table, row, column, everything=everything))


COMMANDS = (build_report, explain)
