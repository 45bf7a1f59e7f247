"""Commands about the project itself: parameters, their schema, what is stale."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pipeline.cli.options import GridName, ParamsFile, parameters

if TYPE_CHECKING:
    from pipeline.config.schema import Params


def check_params(params: ParamsFile = Path("params.yaml"), grid: GridName = None) -> None:
    """Say whether a parameter file and its grids are sound, and what the grid holds."""
    loaded = parameters(params, grid)
    active = loaded.active
    for dataset in sorted({loaded.settings[setting].dataset for setting in active.settings}):
        _make_own(loaded, dataset)
    jobs = len(active.methods) * len(active.settings) * len(active.seeds)
    typer.echo(
        f"{params}: sound. Grid '{loaded.grid}': {len(active.methods)} methods x "
        f"{len(active.settings)} settings x {len(active.seeds)} seeds = {jobs} runs of "
        f"{loaded.grid_training().meta_updates} meta-updates."
    )


def _make_own(params: "Params", dataset: str) -> None:
    """Import and make a person's own module and loss, so that what is wrong is told at once.

    Whether they take the rows is told when a job starts: their shape is known from the data.
    """
    from pipeline.jobs.recipes import network_recipe

    given = network_recipe(params, dataset)
    if "model" in given or "loss" in given:
        from pipeline.runs.model import make_model

        make_model(given, features=1)


def schema(
    out: Annotated[Path | None, typer.Argument(help="file to write; default: print it")] = None,
    of_grid: Annotated[
        bool, typer.Option("--of-grid", help="that of a file of grids/, not of params.yaml")
    ] = False,
) -> None:
    """Write the JSON Schema of params.yaml, generated from pipeline/config/schema.py."""
    from pipeline.config.schema import GridFile, ParamsFile
    from pipeline.files import write_text

    described = GridFile if of_grid else ParamsFile
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    text = json.dumps(dialect | described.model_json_schema(), indent=2) + "\n"
    if out is None:
        typer.echo(text, nl=False)
    else:
        write_text(out, text)


def reconcile(
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
) -> None:
    """Delete records and data that no longer match their recipe or left the grid.

    Snakemake compares recipes itself and needs none of this; it is for a folder that is to hold
    the grid and nothing else, before `dvc push`, say.
    """
    from pipeline.jobs.reconcile import reconcile as run

    typer.echo(json.dumps(run(parameters(params, grid)), default=str))


def recipes(
    out: Annotated[Path, typer.Argument(help="folder to write, such as results/ci/recipes")],
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
) -> None:
    """Write down what every artifact of a grid should be made from, by digest of its recipe.

    data.json, records.json and views.json: file -> digest. DVC compares them to know which of
    its stages are stale.
    """
    from pipeline.files import write_json
    from pipeline.jobs.look import by_stage

    for name, digests in by_stage(parameters(params, grid)).items():
        write_json(out / f"{name}.json", digests)


COMMANDS = (check_params, schema, reconcile, recipes)
