"""MAML and MAML-1: autograd through the unrolled inner steps (Finn et al., ICML 2017)."""

import torch

from pipeline.core.problem import Adapted, Problem
from pipeline.core.registry import method
from pipeline.core.settings import Count, Positive
from pipeline.core.solvers.gradient_descent import gradient_descent


@method("maml", "maml1")  # the second with one inner step
def maml(problem: Problem, *, inner_steps: Count, inner_lr: Positive) -> Adapted:
    """Exact meta-gradient; the graph of all K steps is what its memory goes to."""
    with torch.enable_grad():
        start = problem.start.detach().requires_grad_()
        u = start
        for state in gradient_descent(problem.support, start, steps=inner_steps, lr=inner_lr):
            u = state
        loss = problem.query.at(u).value().sum()
        (gradient,) = torch.autograd.grad(loss, start)
    return Adapted(gradient, u.detach())
