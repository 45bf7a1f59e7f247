"""Implicit MAML (Rajeswaran et al., NeurIPS 2019, arXiv:1909.04630)."""

import torch
from torch import Tensor

from pipeline.core.problem import Adapted, Problem
from pipeline.core.registry import method
from pipeline.core.settings import Count, NotNegative, Positive
from pipeline.core.solvers.gradient_descent import descend


@method("imaml")
def imaml(
    problem: Problem,
    *,
    inner_steps: Count,
    inner_lr: Positive,
    proximal: Positive,
    cg_steps: Count,
    cg_regulariser: NotNegative = 0.0,
    cg_damping: NotNegative = 0.0,
) -> Adapted:
    """Solve (I + H(psi)/lambda) g = dL_query(psi) by conjugate gradients, task by task.

    psi minimises L + lambda/2 |u - theta|² as far as K steps go; H is the Hessian of the
    unregularised support loss.

    Args:
        cg_regulariser, cg_damping: rho and delta >= 0 of the authors' system in its place,
            ((1 + rho) I + H/(lambda + delta)) g = dL_query(psi); their code has 1 and 10.
    """
    psi = descend(
        problem.support,
        problem.start,
        steps=inner_steps,
        lr=inner_lr,
        proximal=proximal,
        graphs=problem.graphs,
    )
    point = problem.support.at(psi)
    right = problem.query.at(psi).gradient()
    gradient = torch.zeros_like(right)
    residual, direction = right, right
    square = _dot(residual, residual)
    for _ in range(cg_steps):
        curved = point.hvp(direction) / (proximal + cg_damping)
        image = torch.add(curved, direction, alpha=1 + cg_regulariser)
        along = _safe(square, _dot(direction, image))
        gradient = gradient + along * direction
        residual = residual - along * image
        next_square = _dot(residual, residual)
        direction = residual + _safe(next_square, square) * direction
        square = next_square
    return Adapted(gradient, psi)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(1, keepdim=True)


def _safe(numerator: Tensor, denominator: Tensor) -> Tensor:
    """The quotient, or 0 where a task has converged and both vanish."""
    return torch.where(denominator == 0, torch.zeros_like(numerator), numerator / denominator)
