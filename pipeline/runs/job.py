"""Meta-training runs: episodes to run records, through checkpoints that survive a kill."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.config.measures import measure_in
from pipeline.config.schema import Capture
from pipeline.core import MetaTrainer
from pipeline.data.pools import Episodes
from pipeline.errors import BadInput
from pipeline.files import file_digest
from pipeline.runs.checks import (
    check_job,
    check_run_recipe,
    check_same_inputs,
)
from pipeline.runs.device import choose_device, device_name, environment, keep_freed_memory
from pipeline.runs.initialisation import KEY, describe, item_arrays
from pipeline.runs.inputs import load_inputs, target_range, untrained_start
from pipeline.runs.model import features_of, model_of, try_model
from pipeline.runs.progress import ProgressFile, reported
from pipeline.runs.recipe import Recipe, digest, outer_loop
from pipeline.runs.records import holds_run, write_run
from pipeline.runs.seed import SeedTraining
from pipeline.runs.testing import meta_test
from pipeline.runs.training import MetaTraining
from pipeline.seals import read_sealed

CHECKPOINT = "checkpoint.pt"


def run(
    recipe: Recipe,
    tasks: Path,
    episodes_file: Path,
    run_dir: Path,
    *,
    device: str = "auto",
    threads: int = 1,
    checkpoint_every: int = 100,
) -> dict[str, Any]:
    """`run_seeds` for one seed: its metrics."""
    return run_seeds(
        [recipe],
        tasks,
        [episodes_file],
        [run_dir],
        device=device,
        threads=threads,
        checkpoint_every=checkpoint_every,
    )[0]


def run_seeds(
    recipes: Sequence[Recipe],
    tasks: Path,
    episodes_files: Sequence[Path],
    run_dirs: Sequence[Path],
    *,
    device: str = "auto",
    capture: Capture = "auto",
    threads: int = 1,
    checkpoint_every: int = 100,
    keep_finished: bool = False,
    offsets_files: Sequence[Path] | None = None,
) -> list[dict[str, Any]]:
    """Meta-train as the recipes say, meta-test, and write a record into each of `run_dirs`.

    The seeds are trained together and share nothing: each has its own draws, curve and end, and
    its numbers are those of training it alone, to rounding. Divergence ends a seed's training
    with a record of status `failed`; the others go on. SIGTERM and Ctrl-C write a checkpoint
    first, into the first of `run_dirs`; the same call goes on from it.

    Args:
        recipes: of one method and setting; they differ in the seed and its episodes only.
        episodes_files, run_dirs: one for each recipe.
        capture: inner training as CUDA graphs, or `never`: numbers are the same to rounding.
        keep_finished: leave out the seeds whose folder holds a whole record of the same recipe.
        offsets_files: of a setting with an offset, one for each recipe; None: they are fitted here.

    Returns:
        Each run's metrics.

    Raises:
        BadInput: for files of another kind, recipes that do not fit them, or seeds that cannot
            be trained together.
    """
    torch.set_num_threads(threads)
    keep_freed_memory()
    place = choose_device(device)
    for recipe in recipes:
        check_run_recipe(recipe)
    check_job(recipes)
    offsets: Sequence[Path | None] = offsets_files or [None] * len(recipes)
    runs = [
        given
        for given in zip(recipes, episodes_files, run_dirs, offsets, strict=True)
        if not (keep_finished and holds_run(given[2], given[0]))
    ]
    if runs:
        files = [_progress_file(own, folder) for own, _, folder, _ in runs]
        with reported(files):
            _train_together(
                *(runs, tasks, run_dirs[0] / CHECKPOINT, place, capture, threads),
                *(checkpoint_every, files),
            )
    return [read_sealed(folder / "metrics.json") for folder in run_dirs]


def _train_together(
    runs: Sequence[tuple[Recipe, Path, Path, Path | None]],
    tasks: Path,
    checkpoint: Path,
    place: torch.device,
    capture: Capture,
    threads: int,
    checkpoint_every: int,
    files: Sequence[ProgressFile],
) -> None:
    """`run_seeds` for seeds that all have to be trained."""
    recipe = runs[0][0]
    given = outer_loop(recipe)
    loaded = [load_inputs(own, tasks, file, offsets) for own, file, _, offsets in runs]
    features = [features_of(episodes) for episodes in loaded]
    check_same_inputs({str(run[1]): n for run, n in zip(runs, features, strict=True)})
    model = model_of(recipe, loaded[0])
    seeds = []
    for (own, *_), episodes, progress in zip(runs, loaded, files, strict=True):
        untrained = untrained_start(model, own, place)
        try_model(model, untrained, own, episodes)
        seeds.append(
            SeedTraining(own, episodes, untrained, target_range(tasks, episodes), progress)
        )
    starts = [seed.untrained for seed in seeds]
    trainer = _trainer(
        recipe["method"],
        model,
        starts[0] if len(starts) == 1 else torch.stack(starts),
        settings=recipe["settings"],
        outer_lr=given["outer_lr"],
        aggregate=given["aggregate"],
        optimiser=given["outer_optimiser"],
        optimiser_settings={"weight_decay": given["weight_decay"]} if given["weight_decay"] else {},
        schedule=given["schedule"],
        warm_up=given["warm_up"],
        updates=given["meta_updates"],
        average=given["average"],
        gradient_limit=given["gradient_limit"],
        capture="auto" if capture == "auto" else False,
    )
    MetaTraining(seeds, checkpoint, trainer).train(checkpoint_every)
    about = {
        "seeds_in_job": len(seeds),
        "device": device_name(place),
        "capture": capture,
        "threads": threads,
        "environment": environment(),
        "git_commit": _git_commit(),
    }
    made: list[dict[str, Any]] = []
    tested = [meta_test(seed, model) for seed in seeds]
    # all records in a moment: until the checkpoint is gone, it has what a kill would take
    for (own, file, folder, _), seed, (rows, figures) in zip(runs, seeds, tested, strict=True):
        metrics = figures | about | {"data": _data(seed.episodes, tasks, file)}
        write_run(
            folder,
            spec=own,
            metrics=metrics,
            curve=seed.curve(),
            test_rows=rows,
            theta=seed.theta.cpu().numpy(),
            about={KEY: json.dumps(describe(own, seed.episodes, tasks, metrics))},
            arrays=item_arrays(seed.episodes.items),
        )
        made.append(metrics)
    for left in (checkpoint, *checkpoint.parent.glob(f".{CHECKPOINT}.*.tmp")):  # of a kill
        left.unlink(missing_ok=True)
    for metrics in made:
        _report(metrics)


def _trainer(*arguments: Any, **options: Any) -> MetaTrainer:
    try:
        return MetaTrainer(*arguments, **options)
    except ValueError as error:  # values that do not go together
        raise BadInput(f"recipe: training: {error}") from error


def _progress_file(recipe: Recipe, folder: Path) -> ProgressFile:
    of = {name: recipe[name] for name in ("label", "setting", "seed")}
    updates = recipe["training"]["meta_updates"]
    return ProgressFile(
        folder, {"recipe": digest(recipe), **of, "updates": updates, "spec": recipe}
    )


def _data(episodes: Episodes, tasks: Path, file: Path) -> dict[str, Any]:
    """Which data a run was made from."""
    return {
        "dataset": episodes.metadata["dataset"],
        "fingerprint": episodes.metadata["fingerprint"],
        "tasks_sha256": file_digest(tasks),
        "episodes_sha256": file_digest(file),
    }


def _git_commit() -> str | None:
    """The commit that the code was at, with `+` when files had changed since."""
    try:
        head = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+"],
            cwd=Path(__file__).parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",  # a tag may be named in any encoding
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() or None


def _report(metrics: dict[str, Any]) -> None:
    name = f"{metrics['label']} {metrics['setting']} seed {metrics['seed']}"
    measure = measure_in(metrics)
    if metrics["status"] == "failed":
        print(f"{name}: failed: {metrics['message']}")
        return
    print(
        f"{name}: {measure.title} {metrics[measure.name]:.4f} after {metrics['inner_steps']} steps "
        f"({metrics['meta_updates']} meta-updates in {metrics['train_seconds']:.1f} s)"
    )
