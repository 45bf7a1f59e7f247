"""The work that is measured: standardised CosMixture tasks and a 2-32-32-1 net; and ratings."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.core import MLP, TaskBatch
from pipeline.data.synthetic import draw_tasks

ALPHA = 0.01  # inner step size: K steps of gradient descent correspond to a flow over T = K ALPHA
HORIZONS = (50, 200, 500, 2_000, 5_000)  # gradient-descent steps
QUICK_HORIZONS = (5,)
TASKS = 5
ROWS = 100  # support rows, and as many query rows
HIDDEN = (32, 32)
ITEMS, RATING_HIDDEN = 100, (40, 40)  # of the rating tasks
RATING_SUPPORT, RATING_QUERY = 10, 15  # rows


@dataclass(frozen=True)
class Work:
    """A model, its initialisation (P,) and one meta-batch."""

    model: MLP
    hidden: tuple[int, ...]
    theta: Tensor
    batch: TaskBatch


def cos_mixture(
    n_tasks: int = TASKS,
    *,
    hidden: Sequence[int] = HIDDEN,
    rows: int = ROWS,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Work:
    """The same numbers in every dtype: drawn in float64, rounded to float32, then cast."""
    drawn = draw_tasks(
        "cosmixture",
        n_train=n_tasks,
        n_test=0,
        points=2 * rows,
        generator=np.random.default_rng(0),
    )
    x = drawn.rows[["x0", "x1"]].to_numpy().reshape(n_tasks, 2 * rows, 2)
    y = drawn.rows["y"].to_numpy().reshape(n_tasks, 2 * rows)
    x = ((x - x.mean((0, 1))) / x.std((0, 1))).astype(np.float32)
    y = ((y - y.mean()) / y.std()).astype(np.float32)
    batch = TaskBatch.from_arrays(
        x[:, :rows], y[:, :rows], x[:, rows:], y[:, rows:], dtype=dtype, device=device
    )
    model = MLP(2, hidden)
    theta = model.init(torch.Generator().manual_seed(0), dtype=torch.float32)
    return Work(model, tuple(hidden), theta.to(dtype=dtype, device=device), batch)


def ratings(n_tasks: int = TASKS) -> tuple[Tensor, Tensor]:
    """Items (B, N) that each task rates, none twice, and ratings (B, N): worth and noise."""
    generator = torch.Generator().manual_seed(0)
    rows = RATING_SUPPORT + RATING_QUERY
    items = torch.rand(n_tasks, ITEMS, generator=generator).argsort(1)[:, :rows]
    worth = torch.randn(ITEMS, generator=generator)
    return items, worth[items] + torch.randn(n_tasks, rows, generator=generator)


def split(x: Tensor, y: Tensor, support: int, device: torch.device) -> TaskBatch:
    """The first `support` of rows x (B, N, ...), y (B, N) as support, the others as query."""
    return TaskBatch.from_arrays(
        x[:, :support], y[:, :support], x[:, support:], y[:, support:], device=device
    )


def digest(work: Work) -> str:
    """SHA-256 of theta and the rows as float32: what a reference solution belongs to."""
    support, query = work.batch.support, work.batch.query
    found = hashlib.sha256(repr((work.hidden, tuple(support.x.shape))).encode())
    for part in (work.theta, support.x, support.y, query.x, query.y):
        found.update(part.detach().cpu().to(torch.float32).contiguous().numpy().tobytes())
    return found.hexdigest()
