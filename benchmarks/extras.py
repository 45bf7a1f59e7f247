"""Comparisons of our own code: item indices and one-hot rows, a learned rate each and none."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.candidates import OUTER_LR
from benchmarks.measure import interleaved, repetitions_for, summary, timed
from benchmarks.problem import (
    ALPHA,
    ITEMS,
    RATING_HIDDEN,
    RATING_SUPPORT,
    TASKS,
    cos_mixture,
    ratings,
    split,
)
from pipeline.core import MLP, MetaTrainer, TaskBatch
from pipeline.core.interface import Model
from pipeline.core.rates import Rated

METHOD = "amaml_rkc"
SHARE_S = 2.0  # wanted seconds of timing of both together
Side = tuple[Model, Tensor, TaskBatch]  # theta (P,)


def index_against_dense(
    device: torch.device, *, n_tasks: int, inner_steps: int, share: float = SHARE_S
) -> dict[str, Any]:
    """Seconds of a meta-update on the same ratings, inputs as item indices and as one-hot rows."""
    items, y = ratings(n_tasks)
    one_hot = torch.nn.functional.one_hot(items, ITEMS).to(y.dtype)
    model = MLP(ITEMS, RATING_HIDDEN)
    theta = model.init(torch.Generator().manual_seed(0), device=device)
    sides: dict[str, Side] = {
        name: (model, theta, split(x, y, RATING_SUPPORT, device))
        for name, x in (("dense", one_hot), ("index", items))
    }
    return _compare(sides, device, inner_steps, share)


def learned_rates(
    device: torch.device, *, n_tasks: int, inner_steps: int, share: float = SHARE_S
) -> dict[str, Any]:
    """Seconds of a meta-update with a learned inner rate of each parameter, and without.

    The rates stand at 1, so that both train alike.
    """
    work = cos_mixture(n_tasks, device=device)
    rated = Rated(work.model)
    sides: dict[str, Side] = {
        "rated": (rated, rated.start(work.theta), work.batch),
        "plain": (work.model, work.theta, work.batch),
    }
    return _compare(sides, device, inner_steps, share)


Comparison = Callable[..., dict[str, Any]]
COMPARISONS: dict[str, tuple[Comparison, int, int]] = {  # comparison, tasks, inner steps
    "index_against_dense": (index_against_dense, TASKS, 200),
    "index_against_dense_many": (index_against_dense, 50, 200),  # products outweigh the calls
    "learned_rates": (learned_rates, TASKS, 500),
    "learned_rates_many": (learned_rates, 40, 500),
}


def _compare(
    sides: Mapping[str, Side], device: torch.device, inner_steps: int, share: float
) -> dict[str, Any]:
    """Seconds of both sides in turn, and the ratio of the first to the second."""
    settings = {"horizon": inner_steps * ALPHA, "rtol": 1e-3}
    runs: dict[str, Callable[[], object]] = {}
    for name, (model, theta, batch) in sides.items():
        trainer = MetaTrainer(METHOD, model, theta, settings=settings, outer_lr=OUTER_LR)
        runs[name] = partial(trainer.step, batch)
        runs[name]()
    first, second = runs
    count = repetitions_for(timed(runs[first], device), share=share / len(runs))
    title = f"{first} and {second}"
    seconds = interleaved(runs, dict.fromkeys(runs, count), device, title)
    found: dict[str, Any] = {name: summary(values) for name, values in seconds.items()}
    tasks = len(next(iter(sides.values()))[2])
    about = {"method": METHOD, "tasks": tasks, "inner_steps": inner_steps}
    ratio = found[first]["median"] / found[second]["median"]
    return found | about | {"ratio": ratio, "message": None}
