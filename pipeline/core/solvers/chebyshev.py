"""Second-order Runge-Kutta-Chebyshev: s stages are stable to about 0.65 s² (RKC2).

Sommeijer, Shampine, Verwer, J. Comput. Appl. Math. 88 (1998) 315-326. Gradient flow has a
symmetric Jacobian -Hess, real spectrum, for which the cost of a horizon T grows as
sqrt(T rho), where explicit Euler (gradient descent) and RK45 need T rho.
"""

import math
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import torch
from torch import Tensor

from pipeline.core.losses import Point
from pipeline.core.recording import Recording, Step
from pipeline.core.solvers.flow import Diverged, Flow
from pipeline.core.solvers.spectral import SpectralRadius
from pipeline.core.work import Work

EPSILON = 2 / 13  # damping
MAX_STAGES = 250
SAFETY = 0.9  # of the step controller
MAX_REJECTIONS = 60  # in a row
RENEW = 3  # accepted steps between two estimates of the spectral radius


@dataclass(frozen=True)
class Coefficients:
    """Of s stages, 1-based: index j holds stage j's, as in the reference."""

    mu: tuple[float, ...]
    nu: tuple[float, ...]
    mu_tilde: tuple[float, ...]
    gamma_tilde: tuple[float, ...]


@cache
def coefficients(stages: int) -> Coefficients:
    """mu_j, nu_j, mu_j~ and gamma_j~ of the method with `stages` >= 2 stages."""
    w0 = 1 + EPSILON / stages**2
    t, dt, ddt = [1.0, w0], [0.0, 1.0], [0.0, 0.0]  # T_j, T_j', T_j'' at w0
    for _ in range(2, stages + 1):
        ddt.append(2 * w0 * ddt[-1] - ddt[-2] + 4 * dt[-1])
        dt.append(2 * w0 * dt[-1] - dt[-2] + 2 * t[-1])
        t.append(2 * w0 * t[-1] - t[-2])
    w1 = dt[stages] / ddt[stages]
    b = [ddt[j] / dt[j] ** 2 if j >= 2 else ddt[2] / dt[2] ** 2 for j in range(stages + 1)]
    a = [1 - b[j] * t[j] for j in range(stages + 1)]
    mu, nu, mu_tilde, gamma_tilde = [0.0, 0.0], [0.0, 0.0], [0.0, b[1] * w1], [0.0, 0.0]
    for j in range(2, stages + 1):
        mu.append(2 * b[j] * w0 / b[j - 1])
        nu.append(-b[j] / b[j - 2])
        mu_tilde.append(2 * b[j] * w1 / b[j - 1])
        gamma_tilde.append(-a[j - 1] * mu_tilde[j])
    return Coefficients(tuple(mu), tuple(nu), tuple(mu_tilde), tuple(gamma_tilde))


@dataclass
class Chebyshev:
    """What outlives a solve: the spectral radius and the first step's size."""

    radius: SpectralRadius = field(default_factory=SpectralRadius)
    first_step: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs, so that a resumed run repeats every bit."""
        direction = self.radius.direction
        return {
            "direction": None if direction is None else direction.cpu().clone(),
            "value": self.radius.value,
            "first_step": self.first_step,
        }

    def load_state_dict(self, state: dict[str, Any], like: Tensor) -> None:
        """Go on from a checkpoint, on the device of `like`."""
        direction = state["direction"]
        self.radius.direction = None if direction is None else direction.to(like.device)
        self.radius.value = state["value"]
        self.first_step = state["first_step"]


def solve_chebyshev(
    flow: Flow,
    horizon: float,
    *,
    rtol: float,
    atol: float,
    work: Work,
    memory: Chebyshev,
    budget: float | None = None,
) -> tuple[Recording, Tensor]:
    """Integrate the flow to `horizon` with steps that hold the local error to the tolerance.

    The error of a step is estimated by 0.8 (u - u_new) + 0.4 h (F(u) + F(u_new)), the largest
    over tasks (`_size`). A radius that was estimated too low shows as a large error: the step
    is rejected and the radius estimated anew.

    Args:
        memory: warm start from the last solve, and for the next.
        budget: bytes that the recording may take.

    Returns:
        The accepted steps, and u(T) (B, P).

    Raises:
        Diverged: naming the task whose state is not finite, or when steps are rejected
            without end.
    """
    u = flow.anchor
    point = flow.loss.at(u)
    slope = _checked(flow.descent(point, u), "start")  # -F_0
    rho = _radius(flow, memory, point, slope)
    h = _first_step(flow, u, slope, rho, horizon, rtol, atol, memory)
    recording = Recording(flow, budget, repeat)
    t, last_h, last_error, rejected, age = 0.0, 0.0, 0.0, 0, 0
    while t < horizon * (1 - 1e-12):
        left = horizon - t
        h = left if h > 0.9 * left else min(h, left / 2 if h > 0.5 * left else h)
        h, stages = _stages(h, rho)
        keep = recording.may_keep_points(stages)
        states, points = _advance(flow, u, point, slope, h, stages, keep)
        new = states.pop()
        new_point = flow.loss.at(new)
        new_slope = flow.descent(new_point, new)
        defect = (slope + new_slope).mul_(-0.4 * h).add_(u, alpha=0.8).sub_(new, alpha=0.8)
        error = float(_size(defect, new, rtol, atol))
        if error <= 1:
            recording.append(Step(h, stages, u, states[1:], points or None))
            work.accepted += 1
            if not t:  # the next solve starts where this one's error would be at its target
                memory.first_step = h * min(2.0, 0.9 / max(error, 1e-8) ** (1 / 3))
            factor = SAFETY / max(error, 1e-8) ** (1 / 3)
            if last_error:  # the controller of the reference looks back one step
                memory_factor = (h / last_h) * (last_error / max(error, 1e-8)) ** (1 / 3)
                factor = min(factor, factor * memory_factor) if rejected else factor * memory_factor
            t, u, point, slope = t + h, new, new_point, new_slope
            last_h, last_error, rejected, age = h, max(error, 1e-8), 0, age + 1
            if age >= RENEW:
                rho, age = _radius(flow, memory, point, slope), 0
            h *= min(10.0, max(0.1, factor))
            continue
        work.rejected += 1
        rejected += 1
        if rejected > MAX_REJECTIONS:
            raise Diverged(
                f"the Chebyshev solver rejected {rejected} steps in a row at t = {t:g} of "
                f"{horizon:g} (step {h:g}, spectral radius {rho:g}){_blame(new)}; "
                "use a shorter horizon, a looser tolerance, or standardised data"
            )
        if age or not recording.steps:  # the curvature may have grown since it was measured
            rho, age = max(rho, _radius(flow, memory, point, slope)), 0
        h *= max(0.1, SAFETY / error ** (1 / 3)) if math.isfinite(error) else 0.1
    if not bool(torch.isfinite(u).all()):
        raise Diverged(f"the flow is not finite at T = {horizon:g}{_blame(u)}")
    return recording, u


def repeat(
    flow: Flow, u: Tensor, h: float, stages: int, keep: bool
) -> tuple[list[Tensor], list[Point]]:
    """A recorded step again, from its start u (B, P): as `_advance`."""
    point = flow.loss.at(u)
    return _advance(flow, u, point, flow.descent(point, u), h, stages, keep)


def _advance(
    flow: Flow, u: Tensor, point: Point, slope: Tensor, h: float, stages: int, keep: bool
) -> tuple[list[Tensor], list[Point]]:
    """Y_0, ..., Y_s, and the points of Y_0, ..., Y_{s-1}, or none if they are not kept."""
    c = coefficients(stages)
    states = [u, torch.add(u, slope, alpha=-c.mu_tilde[1] * h)]
    points = [point] if keep else []
    before, now = torch.zeros_like(u), states[1] - u  # Y_{j-2} - Y_0, Y_{j-1} - Y_0
    for j in range(2, stages + 1):
        point = flow.loss.at(states[-1])
        if keep:
            points.append(point)
        inner = flow.descent(point, states[-1])
        after = inner.mul_(-c.mu_tilde[j] * h).add_(slope, alpha=-c.gamma_tilde[j] * h)
        after.add_(now, alpha=c.mu[j]).add_(before, alpha=c.nu[j])
        before, now = now, after
        states.append(u + after)
    return states, points


def _radius(flow: Flow, memory: Chebyshev, point: Point, slope: Tensor) -> float:
    """Of the flow's Jacobian: rates are at most 1, so the Hessian's bounds it."""
    return memory.radius.estimate(point, slope) + flow.regulariser


def _stages(h: float, rho: float) -> tuple[float, int]:
    """Stages for a step of size h, which is cut where it would need too many."""
    longest = (MAX_STAGES**2 - 1) / 1.54 / max(rho, 1e-30)
    h = min(h, longest)
    return h, max(3, math.ceil(math.sqrt(1 + 1.54 * h * rho)))


def _first_step(
    flow: Flow,
    u: Tensor,
    slope: Tensor,
    rho: float,
    horizon: float,
    rtol: float,
    atol: float,
    memory: Chebyshev,
) -> float:
    """That of the last solve, or one whose estimated error is a tenth of the tolerance."""
    if memory.first_step is not None:
        return min(memory.first_step, horizon)
    h = min(horizon, 1 / max(rho, 1e-30))
    ahead = u - h * slope
    change = h * (flow.descent(flow.loss.at(ahead), ahead) - slope)
    size = float(_size(change, u, rtol, atol))
    return min(horizon, max(0.1 * h / max(math.sqrt(size), 1e-8), 1e-6 * horizon))


def _size(defect: Tensor, u: Tensor, rtol: float, atol: float) -> Tensor:
    """The largest task's |defect| / (atol sqrt(P) + rtol |u|), 2-norms over its parameters.

    A norm over the whole vector, not one ratio per parameter: biases near zero would otherwise
    decide the step, and they do not decide the gradient.
    """
    norm = torch.linalg.vector_norm
    return (norm(defect, dim=1) / (atol * u.shape[1] ** 0.5 + rtol * norm(u, dim=1))).max()


def _checked(slope: Tensor, where: str) -> Tensor:
    if not bool(torch.isfinite(slope).all()):
        raise Diverged(f"the gradient at the {where} is not finite{_blame(slope)}")
    return slope


def _blame(values: Tensor) -> str:
    bad = (~torch.isfinite(values).all(1)).nonzero().flatten().tolist()
    return f"; task {bad[0]} of the batch is not finite" if bad else ""
