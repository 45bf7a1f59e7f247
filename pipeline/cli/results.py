"""Commands from run records to tables, figures and the tracking store."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import (
    Config,
    GridName,
    ParamsFile,
    Spec,
    parameters,
    parse_config,
    parse_spec,
    take,
    take_all,
    tell_made,
)
from pipeline.errors import BadInput

Uri = Annotated[
    str | None, typer.Option(help="MLflow tracking URI [default: tracking.uri of params]")
]
ResultsDir = Annotated[Path, typer.Argument(help="such as results/quickstart")]


def build_tables(
    results_dir: ResultsDir,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
) -> None:
    """Turn the grid's run records into tables/ (CSV, Markdown, JSON), and what they say.

    Records of another recipe than the grid's are refused.
    """
    from pipeline.config.variants import told
    from pipeline.jobs.readers import check_records, making
    from pipeline.paper.build import write_claims
    from pipeline.tables import build

    recipe = recipe_of("tables", spec, params, grid, results_dir)
    check_records(results_dir, recipe)

    def make() -> None:
        of = _grid(recipe)
        with told(recipe["variants"]):
            tables = build.build_tables(results_dir, **of, companions=recipe["companions"])
            write_claims(results_dir, tables, of["grid"])

    making(results_dir / "tables/spec.json", recipe, make)
    tell_made(results_dir / "tables/main.csv")


def plot_curves(
    results_dir: ResultsDir,
    tasks: Annotated[Path, typer.Option(help="folder of task-set parquets")] = Path("data/tasks"),
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
) -> None:
    """Draw the figures from tables/ into figures/."""
    from pipeline.config.variants import told
    from pipeline.figures.draw import plot_curves as draw
    from pipeline.jobs.readers import check_tasks, check_view, making, variants_of

    recipe = recipe_of("figures", spec, params, grid, results_dir)
    check_view(results_dir / "tables/spec.json", recipe["tables"], "tables")
    check_tasks(tasks, recipe)
    with told(variants_of(results_dir)):
        making(
            results_dir / "figures/spec.json",
            recipe,
            lambda: draw(
                results_dir, tasks_dir=tasks, grid=recipe["grid"], settings=recipe["settings"]
            ),
        )
    tell_made(*sorted((results_dir / "figures").glob("*.svg")))


def log_tracking(
    results_dir: ResultsDir,
    uri: Uri = None,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
) -> None:
    """Replay finished runs into MLflow; what is there already is left alone."""
    from pipeline.jobs.accessories import note_unlogged
    from pipeline.jobs.artifacts import carried_recipe
    from pipeline.jobs.readers import check_records, check_view, making
    from pipeline.tracking import replay
    from pipeline.tracking.store import Unusable

    recipe = recipe_of("tracking", spec, params, grid, results_dir)
    tables = results_dir / "tables/spec.json"
    check_view(tables, recipe["tables"], "tables")
    check_view(results_dir / "figures/spec.json", recipe["figures"], "figures")
    check_records(results_dir, carried_recipe(tables) or {})

    def make() -> dict[str, int]:
        counts = replay.log_tracking(results_dir, uri=_uri(uri, recipe), **_grid(recipe))
        page, stored = counts.pop("page"), counts.pop("stored")
        typer.echo(f"{counts}\nthe table of runs, after `mlflow ui`: {page}")
        return dict(stored)

    try:
        making(results_dir / "tracking.json", recipe, make)
    except Unusable as error:
        note_unlogged(results_dir, error)


def log_live(
    results_dir: ResultsDir,
    uri: Uri = None,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
    parent: Annotated[
        int | None, typer.Option(metavar="PID", help="process to end with; default: its own parent")
    ] = None,
) -> None:
    """Show runs in MLflow while they train; ends with the process that started it.

    Snakemake starts it, where `tracking.live` is not switched off.
    """
    from pipeline.tracking import live

    recipe = recipe_of("tracking", spec, params, grid, results_dir)
    live.log_live(results_dir, uri=_uri(uri, recipe), **_grid(recipe), parent=parent)


def keep_evidence(
    results_dir: ResultsDir,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
) -> None:
    """Add the finished runs and profiles of results/GRID to evidence/, small files kept in git.

    Training does so by itself in grids with `keep_evidence`; this is for runs that are already
    there.
    """
    from pipeline.jobs.accessories import forget_unkept, keep
    from pipeline.jobs.restore import keep_finished

    of = _grid(recipe_of("tables", spec, params, grid, results_dir))
    if (found := of.pop("grid")) != results_dir.resolve().name or not results_dir.is_dir():
        raise BadInput(
            f"{results_dir}: found no folder of the grid '{found}'; needed results/{found}, with "
            "finished runs in it"
        )

    def add() -> None:
        typer.echo(f"{keep_finished(results_dir, **of)} runs are in {results_dir / 'evidence'}")

    if keep(results_dir / "evidence", add):
        forget_unkept(results_dir)


def restore_runs(
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
    config: Config = None,
) -> None:
    """Write the records that the grid lacks and committed evidence gives back.

    Evidence is good for the same parameters as long as the code does what it did: a short
    training and test of each method is compared with the numbers that evidence holds. Where one
    differs, it is named and those records are left to be made anew.
    """
    from pipeline.jobs.restore import broken_lines, restore_records

    given = parameters(params, grid, parse_config(config) if config else None)
    done = restore_records(given)
    for line in broken_lines(done.broken):
        typer.echo(line, err=True)
    typer.echo(f"{len(done.files)} records restored from evidence")


def recipe_of(
    kind: str, spec: str | None, params: Path, grid: str | None, results_dir: Path
) -> dict[str, Any]:
    """The recipe of a view: given, or that of the grid which the folder has its name from.

    Raises:
        BadInput: when `--spec` holds none, or the folder is no grid's and `--grid` is not given.
    """
    if spec:
        return take_all(parse_spec(spec), kind)
    from pipeline.config.messages import not_among
    from pipeline.jobs.artifacts import grid_artifacts

    name = grid or results_dir.resolve().name
    if grid is None and name not in (grids := parameters(params).grids):
        raise BadInput(f"{results_dir}: {not_among(name, grids, 'the folder of no grid')}")
    every = grid_artifacts(parameters(params, name))
    return next(a.recipe for a in every if a.recipe["kind"] == kind)


def _uri(given: str | None, recipe: dict[str, Any]) -> str:
    """The MLflow store: the one that is given, or that of params."""
    from pipeline.config.schema import DEFAULT_STORE

    return given or recipe.get("uri") or DEFAULT_STORE


def _grid(recipe: dict[str, Any]) -> dict[str, Any]:
    """Which runs: grid, methods, settings, seeds."""
    return take(recipe, "grid", "methods", "settings", "seeds")


COMMANDS = (build_tables, plot_curves, log_tracking, log_live, keep_evidence, restore_runs)
