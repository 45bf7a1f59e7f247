"""The interface that every method works on: a loss of R tasks at R parameter vectors.

`Model.loss(rows)` gives a `Loss`; `loss.at(u)` a `Point` that shares what its value, gradient
and Hessian-vector products have in common. `MLP` has closed forms (closed_forms.py), any other
`nn.Module` goes through `torch.func` (module_model.py); tests hold the two equal.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from pipeline.core.seeds import Seeds, rows_of
from pipeline.core.tasks import Rows
from pipeline.core.work import Work

if TYPE_CHECKING:
    from pipeline.core.coordinates import Coordinates


class Point(Protocol):
    """A loss at u, shape (R, Q)."""

    def value(self) -> Tensor:
        """L_b(u_b), shape (R,)."""

    def gradient(self) -> Tensor:
        """dL_b/du_b, shape (R, Q)."""

    def hvp(self, v: Tensor) -> Tensor:
        """(d²L_b/du_b²) v_b for v of shape (R, Q), shape (R, Q)."""


class Loss(Protocol):
    """L_b(u) = 1/2 sum_i weight_bi (yhat_bi - y_bi)², or another per-row loss."""

    def at(self, u: Tensor) -> Point:
        """The loss at u, shape (R, Q)."""

    def at_states(self, states: Sequence[Tensor]) -> Sequence[Point]:
        """The loss at each of several u, (R, Q) each: in one large batch where that is faster."""

    def select(self, tasks: Tensor | slice) -> "Loss":
        """The loss of some of the tasks."""

    def point_bytes(self, u: Tensor) -> int:
        """Bytes that a point at u (R, Q) keeps once its gradient has been taken."""


class Model(Protocol):
    """A regressor whose P parameters are one flat vector, as in `parameters_to_vector`."""

    n_parameters: int

    def coordinates(self, theta: Tensor, support: Rows, query: Rows | None) -> "Coordinates":
        """How tasks are trained from theta (S, P), R / S of them from each."""

    def loss(self, rows: Rows) -> Loss:
        """The loss on rows of B tasks, at parameters (B, P)."""

    def predict(self, u: Tensor, x: Tensor) -> Tensor:
        """Predictions (B, N) of parameters (B, P) on x, (B, N, D) or item indices (B, N)."""


class Counted:
    """A loss of S seeds' tasks that counts each seed's gradients and Hessian-vector products."""

    def __init__(self, loss: Loss, works: Sequence[Work]) -> None:
        self._loss = loss
        self.works = works
        self._parts: dict[Seeds, Counted] = {}

    def at(self, u: Tensor) -> "CountedPoint":
        return CountedPoint(self._loss.at(u), self.works)

    def at_states(self, states: Sequence[Tensor]) -> "list[CountedPoint]":
        return [CountedPoint(point, self.works) for point in self._loss.at_states(states)]

    def of(self, seeds: Seeds, like: Tensor) -> "Counted":
        """The loss of some seeds' tasks, in their order; `like` has a row for every task."""
        if seeds == tuple(range(len(self.works))):
            return self
        if seeds not in self._parts:
            rows = rows_of(seeds, len(like) // len(self.works), like.device)
            works = [self.works[seed] for seed in seeds]
            self._parts[seeds] = Counted(self._loss.select(rows), works)
        return self._parts[seeds]

    def forget_parts(self) -> None:
        """After the rows of the loss have changed."""
        self._parts.clear()

    def point_bytes(self, u: Tensor) -> int:
        return self._loss.point_bytes(u)


class CountedPoint:
    """A point of a `Counted` loss."""

    def __init__(self, point: Point, works: Sequence[Work]) -> None:
        self._point = point
        self._works = works

    def value(self) -> Tensor:
        return self._point.value()

    def gradient(self) -> Tensor:
        for work in self._works:
            work.gradients += 1
        return self._point.gradient()

    def hvp(self, v: Tensor) -> Tensor:
        for work in self._works:
            work.hvps += 1
        return self._point.hvp(v)
