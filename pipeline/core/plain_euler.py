"""The adjoint on kept states by plain Euler: what the released code of A-MAML does."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from pipeline.core.adjoints import Jump
from pipeline.core.interface import Point
from pipeline.core.solvers.flow import Flow


def plain_euler(
    flow: Flow,
    states: Iterator[Tensor],
    lam: Tensor,
    step: float,
    *,
    chunk: int,
    jump: Jump | None = None,
    one_more: bool = False,
) -> Tensor:
    """lambda_j = lambda_{j+1} - h (Hess(u_{j+1}) + mu) lambda_{j+1} for j = n - 1, ..., 0.

    The regulariser also adds mu times the integral of lambda to the gradient, for the flow
    depends on theta as its anchor too.

    Args:
        states: u_n, ..., u_0 at times n h, ..., 0, each (R, Q). Forward and backward passes
            of `chunk` of them are made in one large batch.
        lam: lambda(T) (R, Q), without the jump at n.
        jump: what a running cost adds to lambda at state number n - j, counted from the end.
        one_more: take step n + 1 too, at u_0, as the released code does by mistake.

    Returns:
        dJ/dtheta of each task, (R, Q).
    """
    h = step if flow.uniform else step * flow.rate
    mu = flow.regulariser
    anchored = torch.zeros_like(lam)

    def back(lam: Tensor, point: Point) -> Tensor:
        if not mu:
            return lam - h * point.hvp(lam)
        anchored.add_(h * mu * lam)
        return lam - h * (point.hvp(lam) + mu * lam)

    above: Point | None = None  # at u_{j+1}
    number = 0
    while some := list(islice(states, chunk)):
        for u, point in zip(some, flow.loss.at_states(some), strict=True):
            if above is not None:
                lam = back(lam, above)
            if jump is not None:
                lam = lam + jump(number, u)
            above, number = point, number + 1
    if one_more and above is not None:
        lam = back(lam, above)
    return lam + anchored if mu else lam
