"""Commands that study the meta-gradients themselves."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import GridName, ParamsFile, Spec, Threads, parameters, parse_spec
from pipeline.errors import BadInput

Out = Annotated[Path, typer.Argument(help="JSON file to write")]
Evidence = Annotated[
    Path | None, typer.Option(help="small file for git to which what was made is added")
]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("study-stability")(study_stability)
    app.command("study-fidelity")(study_fidelity)
    app.command("study-noise")(study_noise)


def study_stability(
    out: Out,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
    threads: Threads = 1,
    evidence: Evidence = None,
) -> None:
    """Ways back over growing horizons, and solvers as curvature grows, against the truth."""
    recipe = _recipe("stability", spec, params, grid)
    from pipeline.studies.stability import study_stability as study

    study(recipe, out, threads=threads)
    _keep(out, evidence)


def study_fidelity(
    out: Out,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
    threads: Threads = 1,
    evidence: Evidence = None,
) -> None:
    """Every method's meta-gradient against the converged one, as the horizon grows."""
    recipe = _recipe("fidelity", spec, params, grid)
    from pipeline.studies.fidelity import study_fidelity as study

    study(recipe, out, threads=threads)
    _keep(out, evidence)


def study_noise(
    out: Out,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
    threads: Threads = 1,
    evidence: Evidence = None,
) -> None:
    """How far every method's direction agrees from one meta-batch to the next."""
    recipe = _recipe("noise", spec, params, grid)
    from pipeline.studies.noise import study_noise as study

    study(recipe, out, threads=threads)
    _keep(out, evidence)


def _keep(out: Path, evidence: Path | None) -> None:
    if evidence is not None:
        from pipeline.jobs.restore import keep_record

        keep_record(out, evidence)


def _recipe(name: str, spec: str | None, params: Path, grid: str | None) -> dict[str, Any]:
    from pipeline.config.grids import grid_file
    from pipeline.jobs.process import die_with_parent
    from pipeline.jobs.recipes import study_recipe

    die_with_parent()
    if spec:
        return parse_spec(spec)
    loaded = parameters(params, grid)
    if name not in loaded.active.studies.names:
        having = [other for other, given in loaded.grids.items() if name in given.studies.names]
        raise BadInput(
            f"{grid_file(str(params), loaded.grid)}: studies: found no {name}, which the grid "
            f"needs for this command; grids that have one: {', '.join(having) or 'none'}. Write "
            "it in, give --grid another, or give --spec."
        )
    return study_recipe(loaded, name)
