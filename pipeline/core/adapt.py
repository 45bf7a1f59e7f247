"""Meta-test training: adapt an initialisation to tasks and look at it on the way."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pipeline.core.interface import Model
from pipeline.core.tasks import Rows

BETAS, EPS = (0.9, 0.999), 1e-8  # Adam's, as in torch.optim


def adapt(
    model: Model,
    theta: Tensor,
    support: Rows,
    *,
    steps: Sequence[int],
    lr: float,
    optimiser: str = "gd",
) -> Iterator[tuple[int, Tensor]]:
    """Yield (n, u_n) for each n in `steps`, u_n (B, P) after n steps from theta (P,).

    Args:
        support: rows of B tasks.
        steps: ascending numbers of steps, 0 allowed.
        optimiser: `gd`, or `adam` (the authors' code), each task with moments of its own.
    """
    with torch.no_grad():
        place = model.coordinates(theta.detach().unsqueeze(0), support, None)
        loss, u = place.support, place.start
        first, second = torch.zeros_like(u), torch.zeros_like(u)
        done = 0
        for wanted in steps:
            while done < wanted:
                slope = loss.at(u).gradient()
                done += 1
                if optimiser == "adam":
                    first = BETAS[0] * first + (1 - BETAS[0]) * slope
                    second = BETAS[1] * second + (1 - BETAS[1]) * slope**2
                    scale = (second / (1 - BETAS[1] ** done)).sqrt() + EPS
                    slope = first / (1 - BETAS[0] ** done) / scale
                u = torch.sub(u, slope, alpha=lr)
            yield wanted, place.full(u)
