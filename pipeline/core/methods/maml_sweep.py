"""MAML's exact gradient without a graph: a reverse sweep over kept states."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from pipeline.core.adjoints import sweep
from pipeline.core.graphs import Graphs
from pipeline.core.problem import Adapted, Problem
from pipeline.core.recording import budget_of
from pipeline.core.registry import method
from pipeline.core.settings import Count, Megabytes, Positive
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.gradient_descent import CHUNK, gradient_descent, recorded_descent


@method("maml_sweep")
def maml_sweep(
    problem: Problem, *, inner_steps: Count, inner_lr: Positive, memory_mb: Megabytes = None
) -> Adapted:
    """lambda_k = lambda_{k+1} - alpha Hess(u_k) lambda_{k+1}: one product a step.

    Args:
        memory_mb: what kept states and activations may take, in 10^6 bytes; beyond it they are
            thinned and computed again. By default `recording.usual_budget`.
    """
    if problem.graphs is not None and memory_mb is None:
        return captured_sweep(problem, problem.graphs, inner_steps, inner_lr)
    flow = Flow(problem.support, problem.start, torch.ones_like(problem.start[:, :1]))
    recording, end = recorded_descent(
        flow, steps=inner_steps, lr=inner_lr, budget=budget_of(memory_mb, flow, problem.query)
    )
    for work in problem.works:
        work.keep(recording.kept_states + 1, recording.peak)
    lam = problem.query.at(end).gradient()
    return Adapted(sweep(recording, lam), end)


def captured_sweep(problem: Problem, graphs: Graphs, steps: int, lr: float) -> Adapted:
    """The same in captured runs of `CHUNK` steps, all states kept."""

    def forward(count: int, u: Tensor) -> Sequence[Tensor]:
        states = [u, *gradient_descent(problem.support, u, steps=count, lr=lr)]
        return [torch.stack(states[:-1]), states[-1]]

    def back(lam: Tensor, states: Tensor) -> tuple[Tensor]:
        for u in states.flip(0):
            lam = torch.sub(lam, problem.support.at(u).hvp(lam), alpha=lr)
        return (lam,)

    u, kept = problem.start, []
    for done in range(0, steps, CHUNK):
        count = min(CHUNK, steps - done)
        states, u = graphs.run(("sweep", count, lr), partial(forward, count), u)
        kept.append(states.clone())
    end = u.clone()
    for work in problem.works:
        work.kept_states += steps + 1
    lam = problem.query.at(end).gradient()
    for states in kept[::-1]:
        (lam,) = graphs.run(("sweep back", len(states), lr), back, lam, states)
    return Adapted(lam.clone(), end)
