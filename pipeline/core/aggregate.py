"""How the meta-gradients of a meta-batch's tasks become one.

True meta-gradients are heavy-tailed: where few tasks are stiff, their norms are many times those
of the others, and a mean over a small meta-batch is the direction of one of them. Each rule here
scales the tasks' meta-gradients g_b before the mean over b,

    g = (1 / B) sum_b s_b g_b,   s_b >= 0 from the norms |g_1|, ..., |g_B| of the meta-batch.

That MAML's objective asks for normalised or clipped steps: Chayti, Jaggi, arXiv:2409.03682.
"""

from collections.abc import Callable

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
