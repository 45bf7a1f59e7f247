"""Inner training by gradient descent: u_{k+1} = u_k - alpha * dL/du(u_k)."""

from collections.abc import Iterator

import torch
from torch import Tensor

from pipeline.core.losses import Loss


def gradient_descent(
    loss: Loss,
    u: Tensor,
    *,
    steps: int,
    lr: float,
    proximal: float = 0.0,
    anchor: Tensor | None = None,
) -> Iterator[Tensor]:
    """Yield u_1, ..., u_K, each (B, P), from u_0 = `u`.

    With `proximal` = lambda > 0 the loss is L + lambda/2 |u - anchor|², anchor (B, P).
    Works under autograd as well: nothing is done in place.
    """
    for _ in range(steps):
        slope = loss.at(u).gradient()
        if proximal and anchor is not None:
            slope = slope + proximal * (u - anchor)
        u = torch.sub(u, slope, alpha=lr)
        yield u
