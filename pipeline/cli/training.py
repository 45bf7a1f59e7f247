"""Commands that meta-train and measure costs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pipeline.cli.options import (
    Device,
    Evidence,
    GridName,
    Method,
    ParamsFile,
    Seed,
    Setting,
    Spec,
    Threads,
    given_or,
    parameters,
    parse_specs,
    refuse_others,
    tell_made,
)
from pipeline.config.card import MOST
from pipeline.config.schema import Capture
from pipeline.errors import BadInput

Offsets = Annotated[
    Path | None,
    typer.Option(
        help="what `fit-offsets` wrote, of a setting with an offset; {seed} in it, for several "
        "seeds [default: fitted anew]"
    ),
]


def meta_train(
    tasks: Annotated[Path, typer.Argument(help="task-set parquet")],
    episodes: Annotated[
        Path, typer.Argument(help="frozen-episodes parquet; {seed} in it, for several seeds")
    ],
    run_dir: Annotated[
        Path, typer.Argument(help="folder of the run record; {seed} in it, for several seeds")
    ],
    method: Method = None,
    setting: Setting = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            min=0, max=MOST, help="seed, when --spec is not given [default: 0]; repeat for more"
        ),
    ] = None,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
    device: Device = "auto",
    capture: Annotated[
        Capture, typer.Option(help="inner training as CUDA graphs: auto (where possible) or never")
    ] = "auto",
    threads: Threads = 1,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="meta-updates")] = 100,
    keep_finished: Annotated[
        bool,
        typer.Option("--keep-finished", help="leave out seeds whose record has the same recipe"),
    ] = False,
    evidence: Evidence = None,
    offsets: Offsets = None,
    block: Annotated[
        Path | None, typer.Option(help="file to write last, when every seed has its record")
    ] = None,
) -> None:
    """Meta-train one method on one setting, one seed or several together, then meta-test it.

    A killed run goes on from its last checkpoint when the same command is given again. Several
    seeds: repeat --seed, or give --spec a list of recipes; `{seed}` in EPISODES and RUN_DIR
    then stands for each one's seed.
    """
    from pipeline.jobs.recipes import run_recipe

    if spec:
        given = parse_specs(spec)
    else:
        loaded = parameters(params, grid)
        refuse_others("--method", method, loaded.methods)
        refuse_others("--setting", setting, loaded.settings)
        of = (loaded, str(method), str(setting))
        many = [run_recipe(*of, number) for number in seed or [0]]
        given = many if len(many) > 1 else many[0]
    together = isinstance(given, list)
    recipes = given if isinstance(given, list) else [given]
    episodes_files = _of_seeds("EPISODES", episodes, recipes) if together else [episodes]
    run_dirs = _of_seeds("RUN_DIR", run_dir, recipes) if together else [run_dir]
    of_offsets = [offsets] if offsets else None
    if offsets and together:
        of_offsets = _of_seeds("--offsets", offsets, recipes)

    if evidence is not None and keep_finished:
        from pipeline.jobs.restore import restore_runs

        files = [folder / "spec.json" for folder in run_dirs]
        for line in restore_runs(evidence, list(zip(files, recipes, strict=True))):
            typer.echo(line, err=True)
    from pipeline.runs.job import run_seeds

    run_seeds(
        recipes,
        tasks,
        episodes_files,
        run_dirs,
        device=device,
        capture=capture,
        threads=threads,
        checkpoint_every=checkpoint_every,
        keep_finished=keep_finished,
        offsets_files=of_offsets,
    )
    if evidence is not None:
        from pipeline.jobs.accessories import keep
        from pipeline.jobs.restore import CACHE
        from pipeline.runs.evidence import add_runs
        from pipeline.runs.probes import behaviours

        keep(evidence, lambda: add_runs(evidence, run_dirs, behaviours(CACHE)))
    if block is not None:
        from pipeline.jobs.restore import write_block

        write_block(block, recipes)


def build_reference(
    tasks: Annotated[Path, typer.Argument(help="task-set parquet")],
    episodes: Annotated[Path, typer.Argument(help="frozen-episodes parquet")],
    out: Annotated[Path, typer.Argument(help="parquet file to write")],
    setting: Setting = None,
    seed: Seed = 0,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
    device: Device = "auto",
    threads: Threads = 1,
    evidence: Evidence = None,
    offsets: Offsets = None,
) -> None:
    """Adapt the untrained start, and predict without one: what every method is compared with."""
    from pipeline.jobs.recipes import reference_recipe

    recipe = given_or(spec, reference_recipe, params, seed, grid=grid, setting=setting)

    from pipeline.runs import evidence as kept
    from pipeline.runs.reference import build_reference as build

    rows = build(recipe, tasks, episodes, out, offsets=offsets, device=device, threads=threads)
    tell_made(out)
    if evidence is not None:
        from pipeline.jobs.accessories import keep
        from pipeline.jobs.restore import CACHE
        from pipeline.runs.probes import behaviours

        keep(evidence, lambda: kept.add_reference(evidence, recipe, rows, behaviours(CACHE)))


def profile_cost(
    out: Annotated[Path, typer.Argument(help="JSON file to write")],
    method: Method = None,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    grid: GridName = None,
    device: Device = "auto",
    threads: Threads = 1,
    evidence: Evidence = None,
) -> None:
    """Measure memory and seconds per meta-update against the number of inner steps."""
    from pipeline.jobs.recipes import profile_recipe

    recipe = given_or(spec, profile_recipe, params, grid=grid, method=method)

    from pipeline.runs.profile import profile

    profile(recipe, out, device=device, threads=threads)
    tell_made(out)
    if evidence is not None:
        from pipeline.jobs.accessories import keep
        from pipeline.jobs.restore import keep_record

        keep(evidence, lambda: keep_record(out, evidence))


def _of_seeds(argument: str, template: Path, recipes: list[dict[str, Any]]) -> list[Path]:
    """The path of each recipe's seed."""
    if "{seed}" not in str(template):
        raise BadInput(
            f"{argument}: found '{template}', needed `{{seed}}` in it, because several seeds are "
            f"trained together; give, for example, '{template.parent / '{seed}'}{template.suffix}'"
        )
    for place, recipe in enumerate(recipes):
        if "seed" not in recipe:
            raise BadInput(
                f"--spec: found no seed in recipe {place} of the list, needed one; write it in, or "
                "give the recipes that `spec.json` of finished runs hold"
            )
    return [Path(str(template).replace("{seed}", str(recipe["seed"]))) for recipe in recipes]


COMMANDS = (meta_train, build_reference, profile_cost)
