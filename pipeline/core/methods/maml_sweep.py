"""MAML's exact gradient without a graph: a reverse sweep over kept states."""

from pipeline.core.adjoints import sweep_gradient_descent
from pipeline.core.methods.problem import Adapted, Problem
from pipeline.core.solvers.gradient_descent import gradient_descent


def maml_sweep(problem: Problem, *, inner_steps: int, inner_lr: float) -> Adapted:
    """lambda_k = lambda_{k+1} - alpha Hess(u_k) lambda_{k+1}: one product a step."""
    states = [problem.start]
    states += gradient_descent(problem.support, problem.start, steps=inner_steps, lr=inner_lr)
    problem.work.kept_states += len(states)
    end = states.pop()
    lam = problem.query.at(end).gradient()
    return Adapted(sweep_gradient_descent(problem.support, states, lam, inner_lr), end)
