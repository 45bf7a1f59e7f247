"""The weight of a regulariser of inner training, learned beside the initialisation.

Inner training minimises L(u) + mu/2 |u - theta|^2, which keeps a task that has few rows near its
start; mu = exp(kappa) > 0 comes out of the same meta-gradient as theta does.

Three kinds of coordinates stand for it: u, alpha and sigma, of which alpha (as many as u) and sigma
(one of a task) start at zero,

    L'(u, alpha, sigma) = L(u) + w/2 |d|^2,   w = mu (1 + eps sigma),   d = u - theta - eps alpha,

    dL'/du = g + w d,   dL'/dalpha = -eps w d,   dL'/dsigma = eps mu |d|^2 / 2,   g = dL(u).

As with learned rates (pipeline/core/rates.py) the last two move by O(eps) in training, so anchor
and weight move by O(eps^2), which rounding does not see, and the way back that gives dJ/du_0 gives

    dJ/dtheta = dJ/du_0 + dJ/dalpha_0 / eps,   dJ/dkappa = dJ/dsigma_0 / eps

of no more gradients or Hessian-vector products of L. Right for methods whose answer is the
derivative of what they train; first-order ones are refused.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.core.coordinates import OtherLoss
from pipeline.core.interface import Coordinates, Loss, Model, Point
from pipeline.core.settings import check_positive
from pipeline.core.tasks import Rows


class Regularised:
    """A model with the weight of its inner regulariser: (theta, kappa), P + 1 numbers.

    Args:
        model: of P parameters.
    """

    capturable = False
    learned = "the regulariser's weight"  # beside theta

    def __init__(self, model: Model) -> None:
        self.model = model
        self.sizes: Sequence[int] = [*model.sizes, 1]
        self.n_parameters = model.n_parameters + 1

    def start(self, theta: Tensor, weight: float) -> Tensor:
        """(theta, kappa) of theta (P,) or (S, P), with mu = `weight`.

        Raises:
            ValueError: for a weight that is not positive.
        """
        check_positive("weight", weight)
        kappa = theta.new_full((*theta.shape[:-1], 1), math.log(weight))
        return torch.cat([theta, kappa], -1)

    def theta(self, parameters: Tensor) -> Tensor:
        """The initialisation in (theta, kappa), (..., P + 1) -> (..., P)."""
        return parameters[..., :-1]

    def weight(self, parameters: Tensor) -> Tensor:
        """mu in (theta, kappa), (..., P + 1) -> (...)."""
        return parameters[..., -1].exp()

    def coordinates(self, theta: Tensor, support: Rows, query: Rows | None) -> Coordinates:
        """Of tasks that start from (theta, kappa), (S, P + 1); no query rows: to train alone."""
        inner = self.model.coordinates(self.theta(theta), support, query)
        tasks = len(inner.start) // len(theta)
        weight = self.weight(theta).repeat_interleave(tasks).unsqueeze(1)
        return (_Held if query is None else _Regularised)(self, inner, theta, weight)

    def loss(self, rows: Rows) -> Loss:
        """Refused: the regulariser pulls towards where a task started; use `coordinates`."""
        raise NotImplementedError("A regularised model is trained by its coordinates.")

    def predict(self, u: Tensor, x: Tensor) -> Tensor:
        """Those of the model at the parameters in u, (B, P + 1)."""
        return self.model.predict(self.theta(u), x)


@dataclass(frozen=True)
class _Held:
    """u, (R, Q): to train with the weight as it is."""

    model: Regularised
    inner: Coordinates
    parameters: Tensor  # (S, P + 1)
    weight: Tensor  # mu, (R, 1)

    @property
    def start(self) -> Tensor:
        return self.inner.start

    @property
    def support(self) -> Loss:
        return _HeldLoss(self.inner.support, self.inner.start, self.weight)

    @property
    def query(self) -> Loss:
        return self.inner.query

    def of(self, theta: Tensor) -> Tensor:
        raise NotImplementedError("A regulariser of what has learned rates.")

    def mean(self, gradient: Tensor) -> Tensor:
        raise NotImplementedError("There is no meta-gradient without query rows.")

    def full(self, u: Tensor) -> Tensor:
        whole = self.inner.full(u[:, : self.inner.start.shape[1]])
        kappa = self.parameters[:, -1:]
        return torch.cat([whole, kappa.repeat_interleave(len(u) // len(kappa), 0)], 1)

    def left_out(self) -> Tensor | None:
        return self.inner.left_out()


@dataclass(frozen=True)
class _Regularised(_Held):
    """(u, alpha, sigma), (R, 2 Q + 1): what gives the derivative by kappa, too."""

    @property
    def start(self) -> Tensor:
        u = self.inner.start
        return torch.cat([u, torch.zeros_like(u), u.new_zeros(len(u), 1)], 1)

    @property
    def support(self) -> Loss:
        eps = math.sqrt(torch.finfo(self.weight.dtype).eps)
        return _RegularisedLoss(self.inner.support, self.inner.start, self.weight, eps)

    @property
    def query(self) -> Loss:
        return _OfU(self.inner.query, self.inner.start.shape[1])

    def mean(self, gradient: Tensor) -> Tensor:
        """(S, P + 1) of dJ_b/d(u_0, alpha_0, sigma_0), (R, 2 Q + 1)."""
        eps = math.sqrt(torch.finfo(gradient.dtype).eps)
        by_u, by_alpha, by_sigma = _parts(gradient)
        by_theta = self.inner.mean(by_u + by_alpha / eps)
        by_kappa = (by_sigma / eps).unflatten(0, (len(self.parameters), -1)).mean(1)
        return torch.cat([by_theta, by_kappa], 1)


def _parts(whole: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    size = (whole.shape[1] - 1) // 2
    return whole[:, :size], whole[:, size:-1], whole[:, -1:]


@dataclass(frozen=True)
class _HeldLoss(OtherLoss):
    """L(u) + mu/2 |u - theta|^2."""

    anchor: Tensor  # theta, (R, Q)
    weight: Tensor
    eps: float = 0.0

    def select(self, tasks: Tensor | slice) -> Loss:
        inner = self.inner.select(tasks)
        return type(self)(inner, self.anchor[tasks], self.weight[tasks], self.eps)

    def point_bytes(self, u: Tensor) -> int:
        return self.inner.point_bytes(self._u(u)) + 2 * u.numel() * u.element_size()

    def _u(self, u: Tensor) -> Tensor:
        return u

    def _point(self, u: Tensor, inner: Point) -> Point:
        return _HeldPoint(inner, u - self.anchor, self.weight)


@dataclass(frozen=True)
class _HeldPoint:
    inner: Point
    away: Tensor  # d
    weight: Tensor  # mu

    def value(self) -> Tensor:
        return self.inner.value() + (self.weight * self.away.square()).sum(1) / 2

    def gradient(self) -> Tensor:
        return self.inner.gradient() + self.weight * self.away

    def hvp(self, v: Tensor) -> Tensor:
        return self.inner.hvp(v) + self.weight * v


class _RegularisedLoss(_HeldLoss):
    """L(u) + w/2 |d|^2 in (u, alpha, sigma)."""

    def _u(self, u: Tensor) -> Tensor:
        return _parts(u)[0]

    def _point(self, u: Tensor, inner: Point) -> Point:
        first, alpha, sigma = _parts(u)
        away = first - self.anchor - self.eps * alpha
        return _RegularisedPoint(inner, away, self.weight, sigma, self.eps)


@dataclass(frozen=True)
class _RegularisedPoint:
    inner: Point
    away: Tensor  # d
    weight: Tensor  # mu
    sigma: Tensor
    eps: float

    def value(self) -> Tensor:
        return self.inner.value() + (self._w() * self.away.square()).sum(1) / 2

    def gradient(self) -> Tensor:
        pull = self._w() * self.away
        by_sigma = self.eps * self.weight * self.away.square().sum(1, keepdim=True) / 2
        return torch.cat([self.inner.gradient() + pull, -self.eps * pull, by_sigma], 1)

    def hvp(self, v: Tensor) -> Tensor:
        """Of (p, q, r): with dd = p - eps q the change of d, and dw = eps mu r that of w."""
        p, q, r = _parts(v)
        change = p - self.eps * q
        pull = self._w() * change + self.eps * self.weight * r * self.away
        by_sigma = self.eps * self.weight * (self.away * change).sum(1, keepdim=True)
        return torch.cat([self.inner.hvp(p) + pull, -self.eps * pull, by_sigma], 1)

    def _w(self) -> Tensor:
        return self.weight * (1 + self.eps * self.sigma)


@dataclass(frozen=True)
class _OfU(OtherLoss):
    """A loss in u as one in (u, alpha, sigma)."""

    size: int  # Q

    def select(self, tasks: Tensor | slice) -> Loss:
        return _OfU(self.inner.select(tasks), self.size)

    def point_bytes(self, u: Tensor) -> int:
        return self.inner.point_bytes(self._u(u)) + u.numel() * u.element_size()

    def _u(self, u: Tensor) -> Tensor:
        return u[:, : self.size]

    def _point(self, u: Tensor, inner: Point) -> Point:
        return _PointOfU(inner, self.size)


@dataclass(frozen=True)
class _PointOfU:
    inner: Point
    size: int

    def value(self) -> Tensor:
        return self.inner.value()

    def gradient(self) -> Tensor:
        return self._filled(self.inner.gradient())

    def hvp(self, v: Tensor) -> Tensor:
        return self._filled(self.inner.hvp(v[:, : self.size]))

    def _filled(self, part: Tensor) -> Tensor:
        return torch.nn.functional.pad(part, (0, self.size + 1))
