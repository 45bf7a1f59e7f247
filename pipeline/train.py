"""One meta-training run: episodes to a run record, through checkpoints that survive a kill."""

import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.core import MLP, MetaTrainer
from pipeline.data.pools import Episodes
from pipeline.data.schemas import read_metadata
from pipeline.devices import DTYPES, choose_device, device_name, environment
from pipeline.evaluate import FrozenTest, empty_rows
from pipeline.files import file_digest
from pipeline.meta_training import MetaTraining
from pipeline.recipe_checks import check_episodes, check_run_recipe
from pipeline.records import METRICS, write_run
from pipeline.specs import Recipe

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
    """Meta-train as `recipe` says, meta-test, and write the record into `run_dir`.

    Divergence ends the training with a record of status `failed`. SIGTERM and Ctrl-C write
    a checkpoint first; the same call goes on from it.

    Returns:
        The run's metrics.

    Raises:
        BadInput: for files of another kind, or a recipe that does not fit them.
    """
    from pipeline.data.episodes import load_episodes

    torch.set_num_threads(threads)
    place = choose_device(device)
    check_run_recipe(recipe)
    episodes = load_episodes(tasks, episodes_file)
    check_episodes(recipe, episodes)
    given = recipe["training"]
    dtype = DTYPES[recipe["dtype"]]
    model = MLP(episodes.n_items or episodes.train.x.shape[1], recipe["hidden"])
    # the same start for every method of a seed, so that runs are paired
    generator = torch.Generator().manual_seed(recipe["seed"])
    untrained = model.init(generator, dtype=dtype, device=place)
    trainer = MetaTrainer(
        recipe["method"],
        model,
        untrained,
        settings=recipe["settings"],
        outer_lr=given["outer_lr"],
        gradient_limit=given["gradient_limit"],
    )
    target_range = _target_range(tasks, episodes)
    validation = FrozenTest(
        episodes, episodes.validation, target_range=target_range, like=untrained
    )
    loop = MetaTraining(recipe, run_dir / CHECKPOINT, trainer, episodes, validation)
    message = loop.train(checkpoint_every)

    started = time.perf_counter()
    evaluation = recipe["evaluation"]
    horizon = recipe["inner_steps"]
    adaptation = {
        "steps": {*evaluation["steps"], horizon},
        "lr": evaluation["learning_rate"],
        "optimiser": evaluation["optimiser"],
    }
    test = FrozenTest(episodes, episodes.test, target_range=target_range, like=untrained)
    reference = test.adapted("untrained", model, untrained, **adaptation)
    learned = empty_rows()
    if message is None:
        learned = test.adapted("meta_init", model, trainer.theta, **adaptation)
        if learned["step"].nunique() < len(adaptation["steps"]):
            message = "meta-test training left the range of floating point"
            learned = empty_rows()
    at_horizon = learned[learned["step"] == horizon]
    metrics = {
        "status": "ok" if message is None else "failed",
        "message": message,
        **{name: recipe[name] for name in ("method", "label", "setting", "dataset", "seed")},
        "inner_steps": horizon,
        "horizon": horizon * given["inner_lr"],
        **{name: _mean(at_horizon[name]) for name in METRICS},
        "nrmse_stderr": _mean(at_horizon["nrmse"].sem(ddof=1) if len(at_horizon) > 1 else None),
        "untrained_nrmse": _mean(reference.loc[reference["step"] == horizon, "nrmse"]),
        "meta_updates": trainer.updates,
        "train_seconds": loop.seconds,
        "test_seconds": time.perf_counter() - started,
        "work": vars(loop.work),
        "target_std": episodes.scaling.target_std,
        "target_range": target_range,
        "n_test_tasks": len(episodes.test.tasks),
        "device": device_name(place),
        "dtype": recipe["dtype"],
        "threads": threads,
        "environment": environment(),
        "git_commit": _git_commit(),
        "data": {
            "dataset": episodes.metadata["dataset"],
            "fingerprint": episodes.metadata["fingerprint"],
            "tasks_sha256": file_digest(tasks),
            "episodes_sha256": file_digest(episodes_file),
        },
    }
    write_run(
        run_dir,
        spec=recipe,
        metrics=metrics,
        curve=loop.curve(),
        test_rows=pd.concat([part for part in (learned, reference, test.trivial()) if len(part)]),
        theta=trainer.theta.cpu().numpy(),
    )
    for left in (run_dir / CHECKPOINT, *run_dir.glob(f".{CHECKPOINT}.*.tmp")):  # of a kill
        left.unlink(missing_ok=True)
    _report(metrics)
    return metrics


def _target_range(tasks: Path, episodes: Episodes) -> float:
    """Width of the rating scale, or of the meta-training targets; raw units."""
    about = read_metadata(tasks)
    if "lo" in about and "hi" in about:
        return float(about["hi"] - about["lo"])
    y = episodes.scaling.to_raw_y(episodes.train.y)
    return float(y.max() - y.min())


def _mean(values: Any) -> float | None:
    """A finite mean for JSON, or None."""
    mean = float(np.mean(values)) if values is not None and np.size(values) else float("nan")
    return mean if np.isfinite(mean) else None


def _git_commit() -> str | None:
    """The commit that the code was at, with `+` when files had changed since."""
    try:
        head = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() or None


def _report(metrics: dict[str, Any]) -> None:
    name = f"{metrics['label']} {metrics['setting']} seed {metrics['seed']}"
    if metrics["status"] == "failed":
        print(f"{name}: failed: {metrics['message']}")
        return
    print(
        f"{name}: nRMSE {metrics['nrmse']:.4f} after {metrics['inner_steps']} steps "
        f"(untrained {metrics['untrained_nrmse']:.4f}), {metrics['meta_updates']} meta-updates "
        f"in {metrics['train_seconds']:.1f} s"
    )
