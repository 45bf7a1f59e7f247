"""Meta-training on a set of tasks in one call, for those who bring no loop of their own."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from pipeline.core.interface import Model
from pipeline.core.meta import MetaTrainer, Progress
from pipeline.core.settings import check_count
from pipeline.core.tasks import TaskBatch

Draw = Callable[[int], TaskBatch]  # number of the meta-update from 1 -> its meta-batch


@dataclass(frozen=True)
class Fitted:
    """The initialisation theta (P,), how meta-training went, and theta's moving average (P,)."""

    theta: Tensor
    progress: list[Progress]
    average: Tensor | None = None


def drawing(tasks: TaskBatch, size: int, *, seed: int = 0) -> Draw:
    """Meta-batches of `size` tasks, drawn without replacement in each, anew for each update.

    A draw depends on the seed and the number of the update alone.

    Raises:
        ValueError: for a size that is none, or larger than the number of tasks.
    """
    check_count("meta_batch", size)
    if size > len(tasks):
        raise ValueError(f"meta_batch is {size}, there are {len(tasks)} tasks.")

    def draw(update: int) -> TaskBatch:
        digest = hashlib.sha256(f"{seed} {update}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:7]))
        chosen = torch.randperm(len(tasks), generator=generator)[:size]
        return tasks.select(chosen.to(tasks.support.weight.device))

    return draw


def fit(
    method: str,
    model: Model,
    theta: Tensor,
    tasks: TaskBatch | Draw,
    *,
    settings: dict[str, Any],
    updates: int,
    outer_lr: float,
    meta_batch: int = 5,
    seed: int = 0,
    aggregate: str = "mean",
    optimiser: str = "adam",
    optimiser_settings: Mapping[str, Any] | None = None,
    schedule: str = "constant",
    warm_up: int = 0,
    average: float | None = None,
    capture: bool | Literal["auto"] = "auto",
    watch: Callable[[Progress], object] | None = None,
) -> Fitted:
    """Meta-train theta (P,) for a number of updates (`MetaTrainer`, Algorithm 1).

    Args:
        tasks: all of them, of which each update draws `meta_batch` by `seed`; or a function that
            makes the meta-batch of an update.
        method, model, settings, outer_lr, aggregate, optimiser, optimiser_settings, schedule,
            warm_up, average, capture: as for `MetaTrainer`.
        watch: called after each update.

    Raises:
        ValueError: for what cannot be, before any training.
        SeedsDiverged: when training does; give `watch` to keep what was reached.
    """
    check_count("updates", updates)
    if theta.ndim != 1:
        raise ValueError(f"theta must have shape ({model.n_parameters},), found {theta.ndim} axes.")
    draw = drawing(tasks, meta_batch, seed=seed) if isinstance(tasks, TaskBatch) else tasks
    trainer = MetaTrainer(
        method,
        model,
        theta,
        settings=settings,
        outer_lr=outer_lr,
        aggregate=aggregate,
        optimiser=optimiser,
        optimiser_settings=optimiser_settings,
        schedule=schedule,
        warm_up=warm_up,
        updates=updates,
        average=average,
        capture=capture,
    )
    progress = []
    for update in range(1, updates + 1):
        progress += trainer.step(draw(update))
        if watch is not None:
            watch(progress[-1])
    return Fitted(trainer.theta, progress, trainer.average)
