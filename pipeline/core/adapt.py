"""Meta-test training: adapt an initialisation to tasks and look at it on the way."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from pipeline.core.ambient import ordinary, own_modes
from pipeline.core.interface import Coordinates, Model
from pipeline.core.meta_gradient import check_theta
from pipeline.core.settings import check_positive, one_of
from pipeline.core.tasks import Rows

OPTIMISERS = ("gd", "adam")
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
        steps: numbers of steps in ascending order, 0 allowed.
        optimiser: `gd`, or `adam` (the authors' code), each task with moments of its own.

    Raises:
        ValueError: for steps, a rate or an optimiser that cannot be, and a theta that is not finite
            or does not fit the model or the rows; at the call, before any training.
    """
    check_theta(model, theta, support)
    if theta.ndim != 1:
        raise ValueError(f"theta must have shape ({model.n_parameters},), found 2 dimensions.")
    check_positive("lr", lr)
    one_of(OPTIMISERS)("optimiser", optimiser)
    wanted = _ascending(steps)
    with own_modes(theta.device):
        place = model.coordinates(ordinary(theta.detach()).unsqueeze(0), support.ordinary, None)
    return _trained(place, wanted, lr, optimiser)


def _ascending(steps: Sequence[int]) -> list[int]:
    """The steps as whole numbers."""
    try:
        given = list(steps)
        found = [int(step) for step in given]
        whole = all(int(step) == step and not isinstance(step, bool) for step in given)
    except (TypeError, ValueError, OverflowError):
        found, whole = [], False
    if not whole or not found or found[0] < 0 or found != sorted(set(found)):
        raise ValueError(
            f"steps must be whole numbers of at least 0 in ascending order, found {steps!r}."
        )
    return found


def _trained(
    place: Coordinates, steps: Sequence[int], lr: float, optimiser: str
) -> Iterator[tuple[int, Tensor]]:
    loss, u = place.support, place.start
    first, second = torch.zeros_like(u), torch.zeros_like(u)
    done = 0
    for wanted in steps:
        with own_modes(u.device):
            while done < wanted:
                slope = loss.at(u).gradient()
                done += 1
                if optimiser == "adam":
                    first = BETAS[0] * first + (1 - BETAS[0]) * slope
                    second = BETAS[1] * second + (1 - BETAS[1]) * slope**2
                    scale = (second / (1 - BETAS[1] ** done)).sqrt() + EPS
                    slope = first / (1 - BETAS[0] ** done) / scale
                u = torch.sub(u, slope, alpha=lr)
            found = place.full(u)
        yield wanted, found
