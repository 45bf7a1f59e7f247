"""How the meta-gradients of a meta-batch's tasks become one.

True meta-gradients are heavy-tailed: where few tasks are stiff, their norms are many times those
of the others, and a mean over a small meta-batch is the direction of one of them. Each rule here
scales the tasks' meta-gradients g_b before the mean over b,

    g = (1 / B) sum_b s_b g_b,   s_b >= 0 from the norms |g_1|, ..., |g_B| of the meta-batch.

That MAML's objective asks for normalised or clipped steps: Chayti, Jaggi, arXiv:2409.03682.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

FLOOR = 1e-4  # of the median: a norm below is rounding, of a task that is solved


def _unit(norms: Tensor) -> Tensor:
    """s_b = 1 / max(|g_b|, FLOOR m), m the median of the meta-batch's norms."""
    floor = FLOOR * torch.quantile(norms, 0.5, dim=1, keepdim=True)
    return torch.where(norms == 0, 0.0, 1 / torch.maximum(norms, floor))


def _clip(norms: Tensor) -> Tensor:
    """s_b = min(1, m / |g_b|), m the median of the meta-batch's norms."""
    median = torch.quantile(norms, 0.5, dim=1, keepdim=True)
    return torch.where(norms <= median, 1.0, median / norms)


# Scales (S, B) of norms (S, B), each seed's by itself; None leaves the tasks as they are.
AGGREGATES: dict[str, Callable[[Tensor], Tensor] | None] = {
    "mean": None,
    "unit": _unit,
    "clip": _clip,
}


def task_norms(gradient: Tensor, seeds: int) -> Tensor:
    """|g_b| of (R, Q), as (S, B) in float64: a square of float32 leaves its range."""
    return torch.linalg.vector_norm(gradient, dim=1, dtype=torch.float64).view(seeds, -1)


def scaled(gradient: Tensor, norms: Tensor, aggregate: str) -> Tensor:
    """The tasks' meta-gradients (R, Q), scaled by a rule of `AGGREGATES`.

    A norm that is not finite makes its task's scale NaN, so that divergence shows.
    """
    rule = AGGREGATES[aggregate]
    if rule is None:
        return gradient
    scales = torch.where(torch.isfinite(norms), rule(norms), torch.nan)
    return gradient * scales.view(-1, 1).to(gradient.dtype)


class Spread(NamedTuple):
    """How the norms |g_b| of a meta-batch are spread: heavy tails show in the last two.

    Quantiles are the norms of those ranks, without interpolation; `largest_share` is
    max_b |g_b|^2 / sum_b |g_b|^2, 1 / B where all are alike and NaN where all are zero.
    """

    norm_low: float  # the 10 % quantile
    norm_median: float
    norm_high: float  # the 90 % quantile
    norm_largest: float
    largest_share: float


def spreads(norms: Tensor) -> list[Spread]:
    """The spread of each seed's norms (S, B)."""
    ranked = norms.sort(dim=1).values
    last = ranked.shape[1] - 1
    places = [round(share * last) for share in (0.1, 0.5, 0.9)] + [last]
    relative = ranked / ranked[:, -1:]  # a square of a small norm is zero
    share = 1 / (relative**2).sum(1, keepdim=True)
    return [Spread(*row) for row in torch.cat([ranked[:, places], share], 1).tolist()]
