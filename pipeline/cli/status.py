"""Commands for people who look on: how a grid stands, and what it has found."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import GridName, ParamsFile, parameters

if TYPE_CHECKING:
    from pipeline.config.schema import Params

PATIENCE = 10  # times what a look takes is waited before the next
SOONEST_S = 2.0


def status(
    watch: Annotated[
        bool, typer.Option("--watch", help="look again and again until all is done, or Ctrl-C")
    ] = False,
    cores: Annotated[
        int | None,
        typer.Option(min=1, help="jobs at a time, for the time left [default: as many as run]"),
    ] = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
) -> None:
    """Show which jobs of a grid are done, running, failed, stale or waiting; write nothing.

    A job is done when what lies on disk carries the recipe it would be made from. Progress, time
    left and failures are those in the logs of jobs that the workflow started. The time left is
    that of jobs of the same rule and names that have ended, or say how far they are.
    """
    loaded = parameters(params, grid)
    if not watch:
        typer.echo(_look(loaded, cores)[0], nl=False)
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    screen = Console()
    try:
        with Live(console=screen, auto_refresh=False, vertical_overflow="visible") as live:
            done = False
            while not done:
                started = time.monotonic()
                text, done = _look(loaded, cores)
                took = time.monotonic() - started
                live.update(Text(text), refresh=True)
                if not done:
                    time.sleep(max(SOONEST_S, PATIENCE * took))
    except KeyboardInterrupt:
        return


def summary(
    results_dir: Annotated[
        Path | None, typer.Argument(help="such as results/quickstart; default: the grid's")
    ] = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
) -> None:
    """Say what a grid has found: best methods, what was not judged, where to read on.

    A finished run of the workflow ends with the same lines.
    """
    from pipeline.config.variants import told
    from pipeline.jobs.readers import variants_of
    from pipeline.report.summary import summary as say

    folder = results_dir or Path("results") / parameters(params, grid).grid
    with told(variants_of(folder)):
        typer.echo(say(folder), nl=False)


def _look(params: "Params", cores: int | None) -> tuple[str, bool]:
    """The text, and whether all is done."""
    from pipeline.config.variants import told
    from pipeline.jobs.grid import grid_jobs
    from pipeline.jobs.process import is_locked
    from pipeline.jobs.status import standings, time_left
    from pipeline.jobs.status_text import status_text

    found = standings(grid_jobs(params))
    running = sum(one.state == "running" for one in found)
    left = time_left(found, cores or running or 1)
    with told(params.variants()):
        text = status_text(params.grid, found, left, alive=is_locked())
    return text, all(one.state == "done" for one in found)


COMMANDS = (status, summary)
