"""FOMAML and Reptile: gradient descent without a way back (Nichol et al. 2018, 1803.02999)."""

from torch import Tensor

from pipeline.core.problem import Adapted, Problem
from pipeline.core.registry import method
from pipeline.core.settings import Count, Positive
from pipeline.core.solvers.gradient_descent import descend


@method("fomaml", first_order=True)
def fomaml(problem: Problem, *, inner_steps: Count, inner_lr: Positive) -> Adapted:
    """The query gradient at psi, with the Jacobian of the training taken as identity."""
    psi = _train(problem, inner_steps, inner_lr)
    return Adapted(problem.query.at(psi).gradient(), psi)


@method("reptile", first_order=True)
def reptile(problem: Problem, *, inner_steps: Count, inner_lr: Positive) -> Adapted:
    """theta - psi: the direction in which the training went, reversed.

    Li et al. (2023) print another formula, a misprint.
    """
    psi = _train(problem, inner_steps, inner_lr)
    return Adapted(problem.start - psi, psi)


def _train(problem: Problem, steps: int, lr: float) -> Tensor:
    return descend(problem.support, problem.start, steps=steps, lr=lr, graphs=problem.graphs)
