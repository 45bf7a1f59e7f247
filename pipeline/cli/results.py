"""Commands from run records to tables, figures and the tracking store."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import ParamsFile, Spec, parse_spec, take

ResultsDir = Annotated[Path, typer.Argument(help="such as results/quickstart")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("build-tables")(build_tables)
    app.command("plot-curves")(plot_curves)
    app.command("log-tracking")(log_tracking)
    app.command("keep-evidence")(keep_evidence)


def build_tables(
    results_dir: ResultsDir, spec: Spec = None, params: ParamsFile = Path("params.yaml")
) -> None:
    """Turn the grid's run records into tables/ (CSV, Markdown, JSON), and what they say."""
    from pipeline.paper.build import write_claims
    from pipeline.tables import build

    grid = _grid(spec, params)
    tables = build.build_tables(results_dir, **grid, companions=_companions(spec, params))
    write_claims(results_dir, tables, grid["grid"])


def plot_curves(
    results_dir: ResultsDir,
    tasks: Annotated[Path, typer.Option(help="folder of task-set parquets")] = Path("data/tasks"),
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Draw the figures from tables/ into figures/."""
    from pipeline.figures.draw import plot_curves as draw

    grid = _grid(spec, params)
    draw(results_dir, tasks_dir=tasks, grid=grid["grid"], settings=grid["settings"])


def log_tracking(
    results_dir: ResultsDir,
    uri: Annotated[str, typer.Option(help="MLflow tracking URI")] = "sqlite:///mlflow.db",
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
) -> None:
    """Replay finished runs into MLflow; what is there already is left alone."""
    from pipeline.tracking import replay

    typer.echo(str(replay.log_tracking(results_dir, uri=uri, **_grid(spec, params))))


def keep_evidence(
    results_dir: ResultsDir, spec: Spec = None, params: ParamsFile = Path("params.yaml")
) -> None:
    """Add the grid's finished runs and profiles to evidence/, the small files kept in git.

    Training does so by itself in grids with `keep_evidence`; this is for runs that are already
    there.
    """
    from pipeline.jobs.restore import keep_finished

    grid = _grid(spec, params)
    del grid["grid"]
    typer.echo(f"{keep_finished(results_dir, **grid)} runs are in {results_dir / 'evidence'}")


def _companions(spec: str | None, params: Path) -> list[str]:
    """Grids whose tables are shown beside."""
    if spec:
        return list(parse_spec(spec).get("companions", []))
    from pipeline.config.schema import load_params

    return load_params(params).active.companions


def _grid(spec: str | None, params: Path) -> dict[str, Any]:
    """Which runs: grid, methods, settings, seeds."""
    if spec:
        return take(parse_spec(spec), "grid", "methods", "settings", "seeds")
    from pipeline.config.schema import load_params

    loaded = load_params(params)
    active = loaded.active
    return {
        "grid": loaded.grid,
        "methods": active.methods,
        "settings": active.settings,
        "seeds": active.seeds,
    }
