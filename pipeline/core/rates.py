"""Inner learning rates learned beside the initialisation, by the same meta-gradient.

Each parameter has a rate r > 0: du/dt = -r o dL(u), in steps u - alpha r o dL(u) (Meta-SGD, Li,
Zhou, Chen, Li, arXiv:1707.09835, through the whole training). In the coordinates v = u / s with
s = sqrt(r) this is the gradient flow of L(s o v), or its gradient descent, so every solver, every
way back and the spectrum of the curvature stay what they are.

The derivative by s comes out of the same way back. Coordinates sigma, which start at zero, stand
beside v, and the loss is

    L'(v, sigma) = L((s + eps sigma) o v),   dL'/dv = s o g,   dL'/dsigma = eps v o g,   g = dL(u).

They move by O(eps) in training, so s moves by O(eps^2), which rounding does not see, and

    dJ/ds = dJ/dsigma_0 / eps,   of one more gradient wherever there is a Hessian-vector product.

What is learned is rho, r = exp(b tanh(rho / b)) with exp(b) the bound of the rates: rho = 0 is
r = 1, the plain inner rate. A rate may be one parameter's, one parameter tensor's (a layer's
weight, or its bias), or that of all: then it is the horizon that is learned, T r. With G rates the
parameters of the model here are (theta, rho), P + G numbers.
Right for methods whose answer is the derivative of what they train; first-order ones leave out how
training depends on the rates, and are refused (`refuse_first_order`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.core.coordinates import OtherLoss
from pipeline.core.interface import Coordinates, Loss, Model, Point
from pipeline.core.registry import FIRST_ORDER, METHODS
from pipeline.core.settings import check_positive, one_of
from pipeline.core.tasks import Rows

PER = ("parameter", "tensor", "all")
BOUND = 20.0  # of the rates, and one over it


class Rated:
    """A model with learned inner rates beside its parameters: (theta, rho), P + G numbers.

    Args:
        model: of P parameters.
        per: what has a rate of its own: each `parameter` (G = P), each `tensor` of them, or `all`
            together (G = 1).
        bound: rates stay between 1 / bound and bound.

    Raises:
        ValueError: for a bound of at most 1, or another `per`.
    """

    capturable = False
    learned = "the inner rates"  # beside theta

    def __init__(self, model: Model, *, per: str = "parameter", bound: float = BOUND) -> None:
        one_of(PER)("per", per)
        check_positive("bound", bound)
        if bound <= 1:
            raise ValueError(f"bound must be above 1, found {bound!r}.")
        self.model = model
        size = model.n_parameters
        groups = {"parameter": [1] * size, "tensor": model.sizes, "all": [size]}[per]
        self.sizes: Sequence[int] = [*model.sizes, len(groups)]
        self.n_parameters = sum(self.sizes)
        self._group = torch.arange(len(groups)).repeat_interleave(torch.tensor(groups))
        self._log_bound = math.log(bound)

    def start(self, theta: Tensor) -> Tensor:
        """(theta, rho) of theta (P,) or (S, P) with the plain inner rate, r = 1."""
        rho = theta.new_zeros(*theta.shape[:-1], self.sizes[-1])
        return torch.cat([theta, rho], -1)

    def theta(self, parameters: Tensor) -> Tensor:
        """The initialisation in (theta, rho), (..., P + G) -> (..., P)."""
        return parameters[..., : self.model.n_parameters]

    def rho(self, parameters: Tensor) -> Tensor:
        """What is learned of the rates, (..., P + G) -> (..., G)."""
        return parameters[..., self.model.n_parameters :]

    def rates(self, parameters: Tensor) -> Tensor:
        """The rate of each parameter, (..., P + G) -> (..., P)."""
        rho = self.rho(parameters)
        rates = (self._log_bound * torch.tanh(rho / self._log_bound)).exp()
        return rates[..., self._group.to(rates.device)]

    def coordinates(self, theta: Tensor, support: Rows, query: Rows | None) -> Coordinates:
        """Of tasks that start from (theta, rho), (S, P + G); without query rows to train alone."""
        inner = self.model.coordinates(self.theta(theta), support, query)
        scale = inner.of(self.rates(theta).sqrt())
        if query is None:
            return _Scaled(self, inner, theta, scale)
        return _Rated(self, inner, theta, scale)

    def loss(self, rows: Rows) -> Loss:
        """Refused: a loss at parameters (B, P + G) has no one gradient; use `coordinates`."""
        raise NotImplementedError("A model with rates is trained by its coordinates.")

    def predict(self, u: Tensor, x: Tensor) -> Tensor:
        """Those of the model at the parameters in u, (B, P + G)."""
        return self.model.predict(self.theta(u), x)

    def by_rho(self, parameters: Tensor, by_s: Tensor) -> Tensor:
        """dJ/drho (S, G) of dJ/ds (S, P): ds/drho = s (1 - tanh^2(rho / b)) / 2, summed."""
        group = self._group.to(by_s.device)
        rho = self.rho(parameters)
        flat = (1 - torch.tanh(rho / self._log_bound).square()) / 2
        each = by_s * self.rates(parameters).sqrt()
        return torch.zeros_like(rho).index_add_(1, group, each) * flat


def refuse_first_order(method: str, model: Model) -> None:
    """Raise ValueError where a method has no derivative by what is learned beside theta."""
    learned = getattr(model, "learned", None)
    if learned and method in FIRST_ORDER:
        able = ", ".join(name for name in METHODS if name not in FIRST_ORDER)
        raise ValueError(
            f"`{method}` has no derivative by {learned}: it leaves out how training depends on "
            f"that. Learn it with one of {able}."
        )


@dataclass(frozen=True)
class _Scaled:
    """v = u / s, (R, Q): to train with the rates as they are."""

    model: Rated
    inner: Coordinates
    parameters: Tensor  # (S, P + G)
    scale: Tensor  # s, (R, Q)

    @property
    def start(self) -> Tensor:
        return self.inner.start / self.scale

    @property
    def support(self) -> Loss:
        return _ScaledLoss(self.inner.support, self.scale, 0.0)

    @property
    def query(self) -> Loss:
        return _ScaledLoss(self.inner.query, self.scale, 0.0)

    def of(self, theta: Tensor) -> Tensor:
        raise NotImplementedError("Rates of rates.")

    def mean(self, gradient: Tensor) -> Tensor:
        raise NotImplementedError("There is no meta-gradient without query rows.")

    def full(self, u: Tensor) -> Tensor:
        whole = self.inner.full(u[:, : self.scale.shape[1]] * self.scale)
        rho = self.model.rho(self.parameters)
        return torch.cat([whole, rho.repeat_interleave(len(u) // len(rho), 0)], 1)

    def left_out(self) -> Tensor | None:
        if self.inner.left_out() is None:
            return None
        theta = self.model.theta(self.parameters) / self.model.rates(self.parameters).sqrt()
        every = theta.square().sum(1).repeat_interleave(len(self.scale) // len(theta), 0)
        return (every - (self.inner.start / self.scale).square().sum(1)).clamp_min(0)


@dataclass(frozen=True)
class _Rated(_Scaled):
    """(v, sigma), (R, 2 Q): what gives the derivative by the rates, too."""

    @property
    def start(self) -> Tensor:
        v = self.inner.start / self.scale
        return torch.cat([v, torch.zeros_like(v)], 1)

    @property
    def support(self) -> Loss:
        return _RatedLoss(self.inner.support, self.scale, _eps(self.scale))

    @property
    def query(self) -> Loss:
        return _RatedLoss(self.inner.query, self.scale, _eps(self.scale))

    def mean(self, gradient: Tensor) -> Tensor:
        """(S, P + G) of dJ_b/d(v_0, sigma_0): v_0 = theta / s depends on s, too."""
        by_v, by_sigma = gradient.chunk(2, 1)
        by_theta = by_v / self.scale
        by_s = by_sigma / _eps(self.scale) - by_theta * self.inner.start / self.scale
        by_rho = self.model.by_rho(self.parameters, self.inner.mean(by_s))
        return torch.cat([self.inner.mean(by_theta), by_rho], 1)


def _eps(like: Tensor) -> float:
    return math.sqrt(torch.finfo(like.dtype).eps)


@dataclass(frozen=True)
class _ScaledLoss(OtherLoss):
    """L(s o v) in v (R, Q)."""

    scale: Tensor
    eps: float

    def select(self, tasks: Tensor | slice) -> Loss:
        return type(self)(self.inner.select(tasks), self.scale[tasks], self.eps)

    def point_bytes(self, u: Tensor) -> int:
        return self.inner.point_bytes(self._u(u)) + 4 * u.numel() * u.element_size()

    def _u(self, v: Tensor) -> Tensor:
        return self.scale * v

    def _point(self, u: Tensor, inner: Point) -> Point:
        return _ScaledPoint(inner, self.scale)


@dataclass(frozen=True)
class _ScaledPoint:
    inner: Point
    scale: Tensor

    def value(self) -> Tensor:
        return self.inner.value()

    def gradient(self) -> Tensor:
        return self.scale * self.inner.gradient()

    def hvp(self, v: Tensor) -> Tensor:
        return self.scale * self.inner.hvp(self.scale * v)


class _RatedLoss(_ScaledLoss):
    """L((s + eps sigma) o v) in (v, sigma), (R, 2 Q)."""

    def _u(self, v: Tensor) -> Tensor:
        first, sigma = v.chunk(2, 1)
        return (self.scale + self.eps * sigma) * first

    def _point(self, u: Tensor, inner: Point) -> Point:
        v, sigma = u.chunk(2, 1)
        return _RatedPoint(inner, v, self.scale + self.eps * sigma, self.eps)


class _RatedPoint:
    """Keeps g, which each Hessian-vector product wants again."""

    def __init__(self, inner: Point, v: Tensor, scale: Tensor, eps: float) -> None:
        self._inner = inner
        self._scale = scale  # s + eps sigma
        self._shift = eps * v
        self._eps = eps
        self._slope: Tensor | None = None

    def value(self) -> Tensor:
        return self._inner.value()

    def gradient(self) -> Tensor:
        slope = self._gradient()
        return torch.cat([self._scale * slope, self._shift * slope], 1)

    def hvp(self, v: Tensor) -> Tensor:
        """Of du = s o p + eps q o v for (p, q): one Hessian-vector product and one gradient."""
        p, q = v.chunk(2, 1)
        slope = self._gradient()
        curved = self._inner.hvp(torch.addcmul(self._scale * p, self._shift, q))
        by_v = torch.addcmul(self._scale * curved, q, slope, value=self._eps)
        by_sigma = torch.addcmul(self._shift * curved, p, slope, value=self._eps)
        return torch.cat([by_v, by_sigma], 1)

    def _gradient(self) -> Tensor:
        if self._slope is None:
            self._slope = self._inner.gradient()
        return self._slope
