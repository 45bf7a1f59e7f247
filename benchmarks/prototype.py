"""A-MAML in the form that our `amaml` started from: the baseline its speed is measured by.

The backward sweep repeats the forward and backward pass in every Hessian-vector product. Two
kinds of closed forms fit in: `frozen`, which stays as it was (plain_tanh.py), and `repeated`,
today's of `pipeline.core`. The first against the second tells what leaner closed forms gain,
the second against `amaml` what it gains not to repeat the passes.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torchdiffeq import odeint

from benchmarks import plain_tanh
from benchmarks.problem import Work
from pipeline.core import Rows
from pipeline.core.work import Work as Counts

MAX_STEPS = 3_000  # of dopri5 between two kept times, as `amaml` allows


@dataclass(frozen=True)
class Side:
    """A loss on the support or the query rows: u (B, P) and v (B, P) to (B, P)."""

    gradient: Callable[[Tensor], Tensor]  # dL/du at u
    product: Callable[[Tensor, Tensor], Tensor]  # the Hessian at u times v


Form = Callable[[Work, Rows], Side]


def frozen(work: Work, rows: Rows) -> Side:
    """The prototype's own closed form."""
    widths = (work.model.in_features, *work.hidden, 1)
    return Side(
        lambda u: plain_tanh.gradient(u, widths, rows),
        lambda u, v: plain_tanh.product(u, v, widths, rows),
    )


def repeated(work: Work, rows: Rows) -> Side:
    """Today's closed form, asked for a fresh point each time."""
    loss = work.model.loss(rows)
    return Side(lambda u: loss.at(u).gradient(), lambda u, v: loss.at(u).hvp(v))


def amaml_prototype(
    support: Side,
    query: Side,
    start: Tensor,
    *,
    horizon: float,
    step: float,
    rtol: float,
    atol: float,
) -> Tensor:
    """dJ_b/dtheta (B, P) from start (B, P): Algorithm 2.

    Dopri5 forward, states kept at spacing `step`, modified Euler backward.
    """
    count = max(1, math.ceil(horizon / step - 1e-9))
    h = horizon / count
    times = torch.linspace(0.0, horizon, count + 1, dtype=start.dtype, device=start.device)
    states = odeint(
        lambda t, u: -support.gradient(u),
        start,
        times,
        method="dopri5",
        rtol=rtol,
        atol=atol,
        options={"max_num_steps": MAX_STEPS},
    )
    lam = query.gradient(states[-1])
    for j in range(count, 0, -1):
        a = support.product(states[j], lam)
        b = support.product(states[j - 1], lam - h * a)
        lam = lam - h / 2 * (a + b)
    return lam


def _counted(side: Side, counts: Counts) -> Side:
    def gradient(u: Tensor) -> Tensor:
        counts.gradients += 1
        return side.gradient(u)

    def product(u: Tensor, v: Tensor) -> Tensor:
        counts.hvps += 1
        return side.product(u, v)

    return Side(gradient, product)


class PrototypeUpdate:
    """Meta-updates with `amaml_prototype`, as `MetaTrainer` makes them."""

    def __init__(self, form: Form, work: Work, settings: dict[str, float], outer_lr: float) -> None:
        self._settings, self.counts = settings, Counts()
        self._support = form(work, work.batch.support)
        self._query = form(work, work.batch.query)
        self._n_tasks = len(work.batch)
        self._theta = work.theta.clone()
        self._adam = torch.optim.Adam([self._theta], lr=outer_lr)

    def run(self) -> None:
        self.counts = Counts()
        support, query = (_counted(side, self.counts) for side in (self._support, self._query))
        start = self._theta.repeat(self._n_tasks, 1)
        with torch.no_grad():
            found = amaml_prototype(support, query, start, **self._settings)
        self._theta.grad = found.mean(0)
        self._adam.step()

    def gradient(self) -> Tensor:
        """The last update's meta-gradient (P,)."""
        if self._theta.grad is None:
            raise ValueError("run an update first")
        return self._theta.grad
