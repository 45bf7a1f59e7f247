"""Commands that meta-train and measure costs."""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli.options import Device, ParamsFile, Spec, Threads, parse_spec
from pipeline.errors import BadInput

Label = Annotated[str | None, typer.Option("--method", help="method, when --spec is not given")]


def register(app: typer.Typer) -> None:
    """Add this module's commands."""
    app.command("meta-train")(meta_train)
    app.command("profile-cost")(profile_cost)


def meta_train(
    tasks: Annotated[Path, typer.Argument(help="task-set parquet")],
    episodes: Annotated[Path, typer.Argument(help="frozen-episodes parquet")],
    run_dir: Annotated[Path, typer.Argument(help="folder of the run record")],
    method: Label = None,
    setting: Annotated[str | None, typer.Option(help="setting, when --spec is not given")] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed, when --spec is not given")] = 0,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    device: Device = "auto",
    threads: Threads = 1,
    checkpoint_every: Annotated[int, typer.Option(min=1, help="meta-updates")] = 100,
) -> None:
    """Meta-train one method on one setting and seed, then meta-test it.

    A killed run goes on from its last checkpoint when the same command is given again.
    """
    from pipeline.config import load_params
    from pipeline.parent_death import die_with_parent
    from pipeline.specs import run_recipe

    die_with_parent()
    if spec:
        recipe = parse_spec(spec)
    else:
        loaded = load_params(params)
        _known("--method", method, loaded.methods)
        _known("--setting", setting, loaded.settings)
        recipe = run_recipe(loaded, str(method), str(setting), seed)

    from pipeline.train import run

    run(
        recipe,
        tasks,
        episodes,
        run_dir,
        device=device,
        threads=threads,
        checkpoint_every=checkpoint_every,
    )


def profile_cost(
    out: Annotated[Path, typer.Argument(help="JSON file to write")],
    method: Label = None,
    spec: Spec = None,
    params: ParamsFile = Path("params.yaml"),
    device: Device = "auto",
    threads: Threads = 1,
) -> None:
    """Measure memory and seconds per meta-update against the number of inner steps."""
    from pipeline.config import load_params
    from pipeline.parent_death import die_with_parent
    from pipeline.specs import profile_recipe

    die_with_parent()
    if spec:
        recipe = parse_spec(spec)
    else:
        loaded = load_params(params)
        _known("--method", method, loaded.methods)
        recipe = profile_recipe(loaded, str(method))

    from pipeline.cost_profile import profile

    profile(recipe, out, device=device, threads=threads)


def _known(option: str, found: str | None, allowed: dict) -> None:
    if found not in allowed:
        raise BadInput(f"{option}: found {found!r}, allowed: {', '.join(allowed)}")
