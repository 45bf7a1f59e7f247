"""What the studies work on: tasks of a synthetic family, and two initialisations.

All is drawn from a seed of its own, so that what is measured does not depend on what was
measured before it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.core import MLP, Diverged, MetaTrainer, TaskBatch, meta_gradient
from pipeline.core.fidelity import compare, converged_gradient
from pipeline.data.synthetic import draw_tasks
from pipeline.runs.device import DTYPES

REFERENCE_RTOL = 1e-8
WORK = ("gradients", "hvps", "accepted", "rejected", "kept_states", "kept_bytes")
TRAINING_TASKS = 100  # of whose rows the scaling statistics are, as in the paper's settings


@dataclass(frozen=True)
class StudyTasks:
    """Tasks of one family: x (tasks, points, 2) and y (tasks, points), scaled, in float64."""

    x: np.ndarray
    y: np.ndarray
    support: int

    def batch(self, tasks: slice | np.ndarray, dtype: torch.dtype) -> TaskBatch:
        """Some of the tasks; numbers are rounded to float32 first, so that types agree."""
        x, y = self.x[tasks].astype(np.float32), self.y[tasks].astype(np.float32)
        n = self.support
        return TaskBatch.from_arrays(x[:, :n], y[:, :n], x[:, n:], y[:, n:], dtype=dtype)


def draw_study_tasks(
    family: str, seed: int, *, tasks: int, support: int, query: int, standardise: bool = True
) -> tuple[StudyTasks, StudyTasks]:
    """Meta-training tasks, and `tasks` others to probe with, scaled by the former's statistics."""
    drawn = draw_tasks(
        family,
        n_train=TRAINING_TASKS,
        n_test=tasks,
        points=support + query,
        generator=np.random.default_rng(seed),
    )
    x = drawn.rows[["x0", "x1"]].to_numpy().reshape(-1, support + query, 2)
    y = drawn.rows["y"].to_numpy().reshape(-1, support + query)
    if standardise:
        known_x, known_y = x[:TRAINING_TASKS], y[:TRAINING_TASKS]
        x = (x - known_x.mean((0, 1))) / known_x.std((0, 1))
        y = (y - known_y.mean()) / known_y.std()
    n = TRAINING_TASKS
    return StudyTasks(x[:n], y[:n], support), StudyTasks(x[n:], y[n:], support)


def initialisations(
    model: MLP, tasks: StudyTasks, training: Mapping[str, Any], seed: int
) -> dict[str, Tensor]:
    """Theta (P,): `untrained`, as drawn, and `trained`, after a short meta-training.

    Args:
        training: method, settings, outer_lr, meta_batch and updates of the latter; its dtype,
            float32 where none is named.
    """
    dtype = DTYPES[training.get("dtype", "float32")]
    theta = model.init(torch.Generator().manual_seed(seed), dtype=dtype)
    trainer = MetaTrainer(
        training["method"],
        model,
        theta,
        settings=dict(training["settings"]),
        outer_lr=training["outer_lr"],
    )
    draw = np.random.default_rng([seed, 1])
    for _ in range(training["updates"]):
        chosen = draw.choice(len(tasks.y), training["meta_batch"], replace=False)
        trainer.step(tasks.batch(chosen, dtype))
    return {"untrained": theta, "trained": trainer.theta}


def record_count(recipe: Mapping[str, Any], *axes: str) -> int:
    """How many records a study has: one per family, initialisation and point of the axes."""
    return 2 * math.prod(len(recipe[axis]) for axis in ("families", *axes))


def truth(
    model: MLP, theta: Tensor, batch: TaskBatch, horizon: float, omega: float = 0.0
) -> Tensor:
    """The converged meta-gradient (P,) of a float64 batch, to about 1e-5 of its norm."""
    return converged_gradient(
        model, theta, batch, horizon=horizon, omega=omega, rtol=REFERENCE_RTOL
    )


def measured(
    method: str,
    settings: Mapping[str, Any],
    model: MLP,
    theta: Tensor,
    batch: TaskBatch,
    reference: Tensor,
) -> tuple[dict[str, Any], Tensor | None]:
    """One meta-gradient against a reference (P,), with what it took; and the gradient itself.

    Divergence is a result: `status` is then `diverged`, `message` says why, and what was not
    reached is None.
    """
    try:
        out = meta_gradient(method, model, theta, batch, **settings)
    except Diverged as gone:
        blank = dict.fromkeys(("cosine", "relative_error", *WORK))
        message = str(gone).split("\n")[0]
        return {"status": "diverged", "message": message} | blank, None
    found: dict[str, Any] = {name: getattr(out.work, name) for name in WORK}
    cosine, error = compare(out.gradient, reference)
    if not math.isfinite(error):
        found |= {"status": "diverged", "message": "the meta-gradient is not finite"}
        return found | {"cosine": None, "relative_error": None}, None
    found |= {"status": "ok", "message": None, "relative_error": error}
    return found | {"cosine": cosine if math.isfinite(cosine) else None}, out.gradient
