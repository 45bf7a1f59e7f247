"""The interface that every method works on: a loss of B tasks at B parameter vectors.

`Model.loss(rows)` gives a `Loss`; `loss.at(u)` a `Point` that shares what its value, gradient
and Hessian-vector products have in common. `MLP` has closed forms (mlp.py), any other
`nn.Module` goes through `torch.func` (module_model.py); tests hold the two equal.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from pipeline.core.tasks import Rows
from pipeline.core.work import Work


class Point(Protocol):
    """A loss at u, shape (B, P)."""

    def value(self) -> Tensor:
        """L_b(u_b), shape (B,)."""

    def gradient(self) -> Tensor:
        """dL_b/du_b, shape (B, P)."""

    def hvp(self, v: Tensor) -> Tensor:
        """(d²L_b/du_b²) v_b for v of shape (B, P), shape (B, P)."""


class Loss(Protocol):
    """L_b(u) = 1/2 sum_i weight_bi (yhat_bi - y_bi)², or another per-row loss."""

    def at(self, u: Tensor) -> Point:
        """The loss at u, shape (B, P)."""

    def at_states(self, states: Sequence[Tensor]) -> Sequence[Point]:
        """The loss at each of several u, (B, P) each: in one large batch where that is faster."""

    def point_bytes(self, u: Tensor) -> int:
        """Bytes that a point at u (B, P) keeps once its gradient has been taken."""


class Model(Protocol):
    """A regressor whose P parameters are one flat vector, as in `parameters_to_vector`."""

    n_parameters: int

    def loss(self, rows: Rows) -> Loss:
        """The loss on rows of B tasks."""

    def predict(self, u: Tensor, x: Tensor) -> Tensor:
        """Predictions (B, N) of parameters (B, P) on x, (B, N, D) or item indices (B, N)."""


class Counted:
    """A loss that counts its gradients and Hessian-vector products."""

    def __init__(self, loss: Loss, work: Work) -> None:
        self._loss = loss
        self._work = work

    def at(self, u: Tensor) -> "CountedPoint":
        return CountedPoint(self._loss.at(u), self._work)

    def at_states(self, states: Sequence[Tensor]) -> "list[CountedPoint]":
        return [CountedPoint(point, self._work) for point in self._loss.at_states(states)]

    def point_bytes(self, u: Tensor) -> int:
        return self._loss.point_bytes(u)


class CountedPoint:
    """A point of a `Counted` loss."""

    def __init__(self, point: Point, work: Work) -> None:
        self._point = point
        self._work = work

    def value(self) -> Tensor:
        return self._point.value()

    def gradient(self) -> Tensor:
        self._work.gradients += 1
        return self._point.gradient()

    def hvp(self, v: Tensor) -> Tensor:
        self._work.hvps += 1
        return self._point.hvp(v)
