"""Commands that study the meta-gradients themselves: one for each card of a study."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import Evidence, GridName, ParamsFile, Spec, Threads, given_or, tell_made
from pipeline.config.studies import STUDIES, StudyCard
from pipeline.errors import BadInput


def _command(name: str, card: StudyCard) -> Callable[..., None]:
    def study(
        out: Annotated[Path, typer.Argument(help="JSON file to write")],
        spec: Spec = None,
        params: ParamsFile = Path("params.yaml"),
        grid: GridName = None,
        threads: Threads = 1,
        evidence: Evidence = None,
    ) -> None:
        recipe = given_or(spec, _recipe_in(params), params, name, grid=grid)
        getattr(import_module(card.module), card.function)(recipe, out, threads=threads)
        tell_made(out)
        if evidence is not None:
            from pipeline.jobs.accessories import keep
            from pipeline.jobs.restore import keep_record

            keep(evidence, lambda: keep_record(out, evidence))

    study.__name__, study.__doc__ = f"study_{name}", card.about
    return study


def _recipe_in(file: Path) -> Callable[..., dict[str, Any]]:
    """What makes a study's recipe, and refuses a grid of the parameter file without it."""

    def recipe(params: Any, name: str) -> dict[str, Any]:
        from pipeline.config.grids import grid_file
        from pipeline.jobs.recipes import study_recipe

        if name not in params.active.studies.names:
            having = [other for other, given in params.grids.items() if name in given.studies.names]
            raise BadInput(
                f"{grid_file(str(file), params.grid)}: studies: found no {name}, which the grid "
                f"needs for this command; grids that have one: {', '.join(having) or 'none'}. "
                "Write it in, give --grid another, or give --spec."
            )
        return study_recipe(params, name)

    return recipe


COMMANDS = [_command(name, card) for name, card in STUDIES.items()]
