"""How long the steps of the Chebyshev solver are: error estimate and controller.

Both are those of Sommeijer, Shampine, Verwer (1998), but for the norm (`relative_size`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.core.seeds import largest_of_each
from pipeline.core.solvers.chebyshev_step import Plan, longest_step, stages_for
from pipeline.core.solvers.flow import Flow

SAFETY = 0.9
RENEW = 3  # accepted steps between two estimates of the spectral radius


@dataclass
class Walk:
    """How far a seed has come, and how it goes on."""

    h: float  # the next step's size
    rho: float
    t: float = 0.0
    last_h: float = 0.0
    last_error: float = 0.0
    rejected: int = 0  # in a row
    age: int = 0  # accepted steps since rho was estimated
    stages: int = 0  # of all steps, those rejected too

    def accept(self, h: float, error: float) -> None:
        """Go on by h; the controller looks back one step."""
        error = max(error, 1e-8)
        factor = SAFETY / error ** (1 / 3)
        if self.last_error:
            trend = (h / self.last_h) * (self.last_error / error) ** (1 / 3)
            factor *= min(1.0, trend) if self.rejected else trend
        self.t, self.last_h, self.last_error = self.t + h, h, error
        self.rejected, self.age = 0, self.age + 1
        self.h = h * min(10.0, max(0.1, factor))

    def reject(self, h: float, error: float) -> None:
        """Try again with less."""
        self.rejected += 1
        self.h = h * (max(0.1, SAFETY / error ** (1 / 3)) if math.isfinite(error) else 0.1)

    def move(self, horizon: float) -> tuple[float, int]:
        """Size and stages of the next step; the last steps are evened out."""
        left, h = horizon - self.t, self.h
        if h > 0.9 * left:
            h = left
        elif h > 0.5 * left:
            h = left / 2
        h = min(h, longest_step(self.rho))
        return h, stages_for(h * self.rho)

    def arrived(self, horizon: float) -> bool:
        return self.t >= horizon * (1 - 1e-12)

    def wants_radius(self, horizon: float) -> bool:
        """Whether rho is old, or may have been too low for the step that was rejected."""
        doubtful = bool(self.rejected and (self.age or not self.t))
        return not self.arrived(horizon) and (self.age >= RENEW or doubtful)

    def renew(self, rho: float) -> None:
        """Take a new estimate; after a rejection the larger one counts."""
        self.rho = max(self.rho, rho) if self.rejected else rho
        self.age = 0


def next_plan(walks: Sequence[Walk], horizon: float) -> Plan | None:
    """The next steps of the seeds that have not arrived, the most stages first."""
    moves = [
        (*walk.move(horizon), seed) for seed, walk in enumerate(walks) if not walk.arrived(horizon)
    ]
    if not moves:
        return None
    moves.sort(key=lambda move: (-move[1], move[2]))
    sizes, stages, seeds = zip(*moves, strict=True)
    return Plan(seeds, sizes, stages)


def first_steps(
    flow: Flow,
    u: Tensor,
    slope: Tensor,
    radii: Sequence[float],
    horizon: float,
    rtol: float,
    atol: float,
) -> list[float]:
    """First steps of each seed, whose estimated error is a tenth of the tolerance."""
    trial = [min(horizon, 1 / max(rho, 1e-30)) for rho in radii]
    h = torch.tensor(trial, dtype=u.dtype, device=u.device)
    h = h.repeat_interleave(len(u) // flow.seeds).unsqueeze(1)
    ahead = u - h * slope
    change = h * (flow.descent(flow.loss.at(ahead), ahead) - slope)
    sizes = largest_of_each(relative_size(flow, change, u, rtol, atol), flow.seeds)
    return [
        min(horizon, max(0.1 * h / max(math.sqrt(size), 1e-8), 1e-6 * horizon))
        for h, size in zip(trial, sizes, strict=True)
    ]


def step_errors(
    part: Flow,
    plan: Plan,
    old: Tensor,
    new: Tensor,
    slope: Tensor,
    new_slope: Tensor,
    rtol: float,
    atol: float,
) -> list[float]:
    """The estimated error of each seed's step, in units of the tolerance: the largest over tasks.

    0.8 (u - u_new) + 0.4 h (F(u) + F(u_new))
    """
    factor: float | Tensor = -0.4 * plan.sizes[0]
    if len(plan.seeds) > 1:
        sizes = torch.tensor(plan.sizes, dtype=old.dtype, device=old.device)
        factor = -0.4 * sizes.repeat_interleave(len(old) // len(plan.seeds)).unsqueeze(1)
    defect = (slope + new_slope).mul_(factor).add_(old, alpha=0.8).sub_(new, alpha=0.8)
    return largest_of_each(relative_size(part, defect, new, rtol, atol), part.seeds)


def relative_size(flow: Flow, defect: Tensor, u: Tensor, rtol: float, atol: float) -> Tensor:
    """Each task's |defect| / (atol sqrt(P) + rtol |u|), 2-norms over its P parameters, (R,).

    A norm over the whole vector, not one ratio per parameter: biases near zero would otherwise
    decide the step, and they do not decide the gradient.
    """
    norm = torch.linalg.vector_norm
    size = norm(u, dim=1)
    if flow.left_out is not None:
        size = (size.square() + flow.left_out).sqrt()
    return norm(defect, dim=1) / (atol * (flow.size or u.shape[1]) ** 0.5 + rtol * size)
