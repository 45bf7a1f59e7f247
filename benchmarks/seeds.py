"""Three seeds trained in one job against one seed alone.

Each seed has an initialisation and tasks of its own. One job holds theta (S, P) and a batch of
S * B tasks, those of the first seed first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.candidates import OUTER_LR
from benchmarks.measure import interleaved, repetitions_for, summary, timed
from benchmarks.problem import (
    ALPHA,
    HIDDEN,
    ITEMS,
    RATING_HIDDEN,
    RATING_SUPPORT,
    ROWS,
    TASKS,
    cos_mixture,
    ratings,
    split,
)
from pipeline.core import MLP, MetaTrainer, TaskBatch

SEEDS = 3
METHODS: dict[str, Callable[[int], dict[str, Any]]] = {  # settings for K inner steps
    "amaml_rkc": lambda steps: {"horizon": steps * ALPHA, "rtol": 1e-3},
    "fomaml": lambda steps: {"inner_steps": steps, "inner_lr": ALPHA},
}
TARGETED = ("cosmixture", "amaml_rkc")  # whose ratio stands among the targets
SHARE_S = 2.0  # wanted seconds of timing of three seeds in one job


@dataclass(frozen=True)
class Seeds:
    """A model, S initialisations (S, P) and the S * B tasks of S meta-batches, seed by seed.

    x: (S * B, N, D), or item indices (S * B, N). y: (S * B, N). support: rows of N.
    """

    model: MLP
    thetas: Tensor
    x: Tensor
    y: Tensor
    support: int
    inner_steps: int

    @property
    def together(self) -> TaskBatch:
        return split(self.x, self.y, self.support, self.thetas.device)

    def alone(self, seed: int) -> TaskBatch:
        """The meta-batch of one seed."""
        each = len(self.y) // len(self.thetas)
        tasks = slice(seed * each, (seed + 1) * each)
        return split(self.x[tasks], self.y[tasks], self.support, self.thetas.device)


def works(device: torch.device) -> dict[str, Seeds]:
    """CosMixture tasks, and ratings with item indices."""
    drawn = cos_mixture(SEEDS * TASKS).batch
    x = torch.cat([drawn.support.x, drawn.query.x], 1)
    y = torch.cat([drawn.support.y, drawn.query.y], 1)
    smooth, rated = MLP(2, HIDDEN), MLP(ITEMS, RATING_HIDDEN)
    return {
        "cosmixture": Seeds(smooth, _thetas(smooth, device), x, y, ROWS, 500),
        "ratings": Seeds(
            rated, _thetas(rated, device), *ratings(SEEDS * TASKS), RATING_SUPPORT, 200
        ),
    }


def three_seeds(
    device: torch.device, *, inner_steps: int | None = None, share: float = SHARE_S
) -> dict[str, Any]:
    """Every work and method; `ratio` is that of `TARGETED`, None when the core cannot do it.

    Args:
        inner_steps: other than each work's own.
    """
    entries = []
    for name, work in works(device).items():
        for method in METHODS:
            steps = inner_steps or work.inner_steps
            entry = {"work": name, "method": method, "inner_steps": steps}
            entries.append(entry | _compare(work, method, steps, device, share))
    (targeted,) = [e for e in entries if (e["work"], e["method"]) == TARGETED]
    return {"ratio": targeted["ratio"], "message": targeted["message"], "entries": entries}


def trainers(
    work: Seeds, method: str, inner_steps: int, *, outer_lr: float = OUTER_LR
) -> tuple[MetaTrainer, list[MetaTrainer]]:
    """One trainer of all seeds, and one of each."""

    def trainer(theta: Tensor) -> MetaTrainer:
        settings = METHODS[method](inner_steps)
        return MetaTrainer(method, work.model, theta, settings=settings, outer_lr=outer_lr)

    return trainer(work.thetas), [trainer(theta) for theta in work.thetas]


def _compare(
    work: Seeds, method: str, inner_steps: int, device: torch.device, share: float
) -> dict[str, Any]:
    """Medians of three seeds in one job and of each alone, in turn; the ratio to their mean.

    The mean, since adaptive steps make some seeds dearer than others.
    """
    batch = work.together
    try:
        together, alone = trainers(work, method, inner_steps)
        together.step(batch)
    except (ValueError, TypeError, RuntimeError) as error:  # a core that trains one at a time
        message = f"{SEEDS} seeds in one job: {type(error).__name__}: {error}"
        return {"ratio": None, "message": message, "together": None, "alone": None}
    runs: dict[Any, Callable[[], object]] = {"together": partial(together.step, batch)}
    for seed, trainer in enumerate(alone):
        runs[seed] = partial(trainer.step, work.alone(seed))
    for run in runs.values():
        run()
    count = repetitions_for(timed(runs["together"], device), share=share)
    seconds = interleaved(runs, dict.fromkeys(runs, count), device, f"{SEEDS} seeds, {method}")
    found = {key: summary(values) for key, values in seconds.items()}
    one = sum(found[seed]["median"] for seed in range(SEEDS)) / SEEDS
    return {
        "ratio": found["together"]["median"] / one,
        "message": None,
        "together": found["together"],
        "alone": [found[seed] for seed in range(SEEDS)],
    }


def _thetas(model: MLP, device: torch.device) -> Tensor:
    """One initialisation per seed, (S, P)."""
    each = [torch.Generator().manual_seed(seed) for seed in range(SEEDS)]
    return torch.stack([model.init(generator, device=device) for generator in each])
