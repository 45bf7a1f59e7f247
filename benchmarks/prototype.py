"""A-MAML in the form that our `amaml` started from: the baseline its speed is measured by.

The backward sweep asks a fresh point for every Hessian-vector product, so each one repeats the
forward and backward pass at its state.
"""

import math

import torch

from benchmarks.problem import Work
from pipeline.core.losses import Counted
from pipeline.core.methods.problem import Adapted, Problem
from pipeline.core.solvers.flow import Flow, solve_flow
from pipeline.core.work import Work as Counts


def amaml_prototype(
    problem: Problem, *, horizon: float, step: float, rtol: float, atol: float
) -> Adapted:
    """Dopri5 forward, kept states at spacing `step`, modified Euler backward (Algorithm 2)."""
    flow = Flow(problem.support, problem.start, torch.ones_like(problem.start[:, :1]))
    count = max(1, math.ceil(horizon / step - 1e-9))
    h = horizon / count
    times = torch.linspace(0.0, horizon, count + 1).to(problem.start)
    states = solve_flow(flow, times, solver="dopri5", rtol=rtol, atol=atol, work=problem.work)
    problem.work.kept_states += len(states)
    lam = problem.query.at(states[-1]).gradient()
    for j in range(count, 0, -1):
        a = problem.support.at(states[j]).hvp(lam)
        b = problem.support.at(states[j - 1]).hvp(lam - h * a)
        lam = lam - h / 2 * (a + b)
    return Adapted(lam, states[-1])


class PrototypeUpdate:
    """Meta-updates with `amaml_prototype`, as `MetaTrainer` makes them."""

    def __init__(self, work: Work, settings: dict[str, float], outer_lr: float) -> None:
        self._work, self._settings = work, settings
        self._theta = work.theta.clone()
        self._adam = torch.optim.Adam([self._theta], lr=outer_lr)
        self.counts = Counts()

    def run(self) -> None:
        work, self.counts = self._work, Counts()
        support = Counted(work.model.loss(work.batch.support), self.counts)
        query = Counted(work.model.loss(work.batch.query), self.counts)
        start = self._theta.repeat(len(work.batch), 1)
        with torch.no_grad():
            found = amaml_prototype(Problem(support, query, start, self.counts), **self._settings)
        self._theta.grad = found.gradient.mean(0)
        self._adam.step()

    def gradient(self) -> torch.Tensor:
        """The last update's meta-gradient (P,)."""
        if self._theta.grad is None:
            raise ValueError("run an update first")
        return self._theta.grad
