"""MAML's exact gradient without a graph: a reverse sweep over kept states."""

import torch

from pipeline.core.adjoints import sweep_gradient_descent
from pipeline.core.methods.problem import Adapted, Problem, check_memory
from pipeline.core.recording import budget_of
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.gradient_descent import recorded_descent


def maml_sweep(
    problem: Problem, *, inner_steps: int, inner_lr: float, memory_mb: float | None = None
) -> Adapted:
    """lambda_k = lambda_{k+1} - alpha Hess(u_k) lambda_{k+1}: one product a step.

    Args:
        memory_mb: what kept states and activations may take, in 10^6 bytes; beyond it they are
            thinned and computed again. By default `recording.usual_budget`.
    """
    check_memory(memory_mb)
    flow = Flow(problem.support, problem.start, torch.ones_like(problem.start[:, :1]))
    recording, end = recorded_descent(
        flow, steps=inner_steps, lr=inner_lr, budget=budget_of(memory_mb, flow, problem.query)
    )
    for work in problem.works:
        work.kept_states += recording.kept_states + 1
        work.kept_bytes = max(work.kept_bytes, recording.peak)
    lam = problem.query.at(end).gradient()
    return Adapted(sweep_gradient_descent(recording, lam), end)
