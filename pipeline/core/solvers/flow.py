"""Inner training as gradient flow, du/dt = -r (dL/du + mu (u - theta)), by torchdiffeq.

r, shape (B, 1), is each task's share of the longest horizon: task b runs to T_b = r_b T.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor
from torchdiffeq import odeint

from pipeline.core.losses import Loss, Point
from pipeline.core.work import Work

FIXED_STEP = ("euler", "midpoint", "rk4")
ADAPTIVE = ("dopri5", "bosh3")
SOLVERS = FIXED_STEP + ADAPTIVE
MAX_STEPS = 3_000  # of an adaptive solver between two kept times; more means a blow-up


class Diverged(FloatingPointError):
    """The inner training or its adjoint left the range of floating point."""


@dataclass(frozen=True)
class Flow:
    """Gradient flow of B tasks from the anchor theta (B, P), with regulariser mu."""

    loss: Loss
    anchor: Tensor
    rate: Tensor  # (B, 1)
    regulariser: float = 0.0
    uniform: bool = True  # every rate is 1

    def slope(self, u: Tensor) -> Tensor:
        """du/dt, shape (B, P)."""
        return -self.descent(self.loss.at(u), u)

    def descent(self, point: Point, u: Tensor) -> Tensor:
        """-du/dt at u, given the loss's point there; a tensor of its own, (B, P)."""
        gradient = point.gradient()
        if self.regulariser:
            gradient = gradient + self.regulariser * (u - self.anchor)
        return gradient if self.uniform else self.rate * gradient

    def pull_back(self, point: Point, weight: Tensor) -> Tensor:
        """The transposed Jacobian of `descent` times `weight`; a tensor of its own, (B, P)."""
        if not self.uniform:
            weight = self.rate * weight
        image = point.hvp(weight)
        return image + self.regulariser * weight if self.regulariser else image


def horizons(horizon: float | Tensor, start: Tensor) -> tuple[float, Tensor]:
    """The longest horizon, and each task's share of it, (B, 1)."""
    each = torch.as_tensor(horizon, dtype=start.dtype, device=start.device)
    if each.ndim > 1 or (each.ndim == 1 and len(each) != len(start)):
        raise ValueError(
            f"horizon must be one number or have shape ({len(start)},), found {tuple(each.shape)}."
        )
    if not bool(((each > 0) & torch.isfinite(each)).all()):
        raise ValueError(f"horizon must be positive and finite, found {horizon}.")
    longest = float(each.max())
    return longest, (each / longest).expand(len(start)).unsqueeze(1)


def solve_flow(
    flow: Flow, times: Tensor, *, solver: str, rtol: float, atol: float, work: Work
) -> Tensor:
    """States at `times` (n+1,), shape (n+1, B, P); the first is the anchor.

    Fixed-step solvers step from time to time; adaptive ones choose their steps for all
    tasks together and interpolate.

    Raises:
        Diverged: when the solver's step size underflows or a state is not finite.
    """

    class Field:
        """The right-hand side with the callbacks that torchdiffeq looks for."""

        def __call__(self, t: Tensor, u: Tensor) -> Tensor:
            return flow.slope(u)

        def callback_accept_step(self, *_: object) -> None:
            work.accepted += 1

        def callback_reject_step(self, *_: object) -> None:
            work.rejected += 1

    with warnings.catch_warnings():
        # torchdiffeq warns about callbacks that fixed-step solvers do not know
        warnings.filterwarnings("ignore", message=".*callback.*")
        states = integrate(Field(), flow.anchor, times, solver=solver, rtol=rtol, atol=atol)
    if solver in FIXED_STEP:
        work.accepted += len(times) - 1
    if not bool(torch.isfinite(states[-1]).all()):
        raise Diverged(
            f"the flow reached NaN or infinity before T = {float(times[-1]):g} with {solver}; "
            "use a smaller step, an adaptive solver, a shorter horizon, or standardised data"
        )
    return states


def integrate(
    field: object, start: object, times: Tensor, *, solver: str, rtol: float, atol: float
) -> Tensor:
    """`torchdiffeq.odeint`, with its assertions turned into `Diverged`."""
    options = {"max_num_steps": MAX_STEPS} if solver in ADAPTIVE else {}
    try:
        return odeint(field, start, times, method=solver, rtol=rtol, atol=atol, options=options)
    except AssertionError as error:
        raise Diverged(
            f"{solver} gave up between t = {float(times[0]):g} and {float(times[-1]):g}: {error}"
        ) from None
