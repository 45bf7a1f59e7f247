"""The command that says what a grid will take before any of it is run."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import GridName, ParamsFile, parameters
from pipeline.errors import BadInput

if TYPE_CHECKING:
    from pipeline.config.schema import Params
    from pipeline.jobs.costs import Costs


def plan(
    cores: Annotated[int, typer.Option(min=1, help="jobs that will run at a time")] = 2,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="project times, or only count jobs")
    ] = True,
    measured: Annotated[
        bool,
        typer.Option(
            "--measured", help="take times of this grid's finished runs where the shape is the same"
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of tables")] = False,
    device: Annotated[
        str | None, typer.Option("--device", help="auto, cuda or cpu, instead of that in --params")
    ] = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
) -> None:
    """Count a grid's jobs and project the time of those left; write and delete nothing.

    A job is done when what lies on disk carries the recipe it would be made from. For each
    method and shape of setting that is left, a few real meta-updates on random data are timed
    here and now, beside a validation and a meta-test: one or two minutes for `paper`. On the
    CPU that is processor time: the projection holds for cores that do nothing else. Of
    downloads, data, tables, figures and tracking only the start of a process is counted. What
    slows down as training goes on is not seen by fresh meta-updates: once some runs are
    finished, --measured projects the rest from what they took.
    """
    from pipeline.config.variants import told
    from pipeline.jobs.grid import grid_jobs
    from pipeline.jobs.plan import make_plan
    from pipeline.jobs.plan_text import plan_text

    if measured and not measure:
        raise BadInput("--no-measure: found --measured beside it; give one of the two")
    loaded = parameters(params, grid)
    jobs = grid_jobs(loaded)
    costs, on_gpu = None, False
    if measure:
        costs, on_gpu = _costs(loaded, device or loaded.device, measured)
    with told(loaded.variants()):
        made = make_plan(loaded.grid, jobs, costs=costs, cores=cores, one_at_a_time=on_gpu)
        typer.echo(json.dumps(made, indent=2) if as_json else plan_text(made), nl=as_json)


def _costs(params: "Params", device: str, measured: bool) -> tuple["Costs", bool]:
    """Where seconds come from, and whether jobs share a GPU."""
    from pipeline.jobs.costs import Recorded
    from pipeline.jobs.measure import Measured
    from pipeline.jobs.plan import grid_runs

    costs = Measured(params, device=device)
    on_gpu = costs.device != "cpu"
    return (Recorded(grid_runs(params), costs.device, costs) if measured else costs), on_gpu


COMMANDS = (plan,)
