"""Inner training by gradient descent, u_{k+1} = u_k - alpha dL/du(u_k), and a step's transpose."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from pipeline.core.graphs import Graphs
from pipeline.core.interface import Loss, Point
from pipeline.core.recording import Advanced, Budget, Recording, Step
from pipeline.core.seeds import Seeds
from pipeline.core.solvers.flow import Flow
from pipeline.core.work import Counted

CHUNK = 50  # steps in a captured graph


def gradient_descent(
    loss: Loss | Counted,
    u: Tensor,
    *,
    steps: int,
    lr: float,
    proximal: float = 0.0,
    anchor: Tensor | None = None,
) -> Iterator[Tensor]:
    """Yield u_1, ..., u_K, each (R, Q), from u_0 = `u`.

    With `proximal` = lambda > 0 the loss is L + lambda/2 |u - anchor|², anchor (R, Q).
    Works under autograd as well: nothing is done in place.
    """
    for _ in range(steps):
        slope = loss.at(u).gradient()
        if proximal and anchor is not None:
            slope = slope + proximal * (u - anchor)
        u = torch.sub(u, slope, alpha=lr)
        yield u


def descend(
    loss: Counted,
    u: Tensor,
    *,
    steps: int,
    lr: float,
    proximal: float = 0.0,
    graphs: Graphs | None = None,
) -> Tensor:
    """u_K (R, Q); with `graphs` in captured runs of `CHUNK` steps."""
    start = u

    def some(count: int, u: Tensor, anchor: Tensor) -> tuple[Tensor]:
        for state in gradient_descent(
            loss, u, steps=count, lr=lr, proximal=proximal, anchor=anchor
        ):
            u = state
        return (u,)

    if graphs is None:
        return some(steps, u, start)[0]
    while steps:
        count = min(CHUNK, steps)
        name = ("descent", count, lr, proximal)
        (u,) = graphs.run(name, partial(some, count), u, start)
        steps -= count
    return u.clone()


class DescentScheme:
    """A recorded step and its transpose (recording.Scheme); its plan is the learning rate."""

    own_states = False

    def seeds(self, plan: float) -> Seeds:
        return (0,)  # the same step for all

    def stages(self, plan: float) -> int:
        return 1

    def vectors(self, stages: int) -> int:
        return stages + 16

    def advance(self, flow: Flow, start: Tensor, plan: float, keep: bool) -> Advanced:
        point = flow.loss.at(start)
        end = torch.sub(start, point.gradient(), alpha=plan)
        return Advanced([], [point] if keep else [], end)

    def states(
        self, flow: Flow, start: Tensor, inner: list[Tensor], plan: float
    ) -> list[tuple[Flow, Tensor]]:
        return [(flow, start)]

    def back(
        self, flow: Flow, step: Step, points: Sequence[Point], lam: Tensor, anchored: Tensor | None
    ) -> Tensor:
        """lambda_k = lambda_{k+1} - alpha Hess(u_k) lambda_{k+1}."""
        return torch.sub(lam, points[0].hvp(lam), alpha=step.plan)


def recorded_descent(
    flow: Flow, *, steps: int, lr: float, budget: Budget | None
) -> tuple[Recording, Tensor]:
    """K steps of gradient descent with what their way back needs, and u_K (R, Q)."""
    recording = Recording(flow, budget, DescentScheme())
    u = flow.anchor
    for _ in range(steps):
        again = recording.scheme.advance(flow, u, lr, recording.may_keep_points(1))
        recording.append(Step(lr, u, again.inner, again.points or None))
        u = again.end
    return recording, u
