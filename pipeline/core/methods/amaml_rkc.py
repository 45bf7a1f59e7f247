"""A-MAML on a stabilised Chebyshev solver, with its exact discrete adjoint.

The true meta-gradient of a long training for fewer evaluations than its first-order stand-in
needs: cost grows as the square root of the horizon (solvers/chebyshev.py). The way back is the
transpose of the recurrence that went forward, so it is the gradient of the numbers computed.
"""

from functools import partial

import torch
from torch import Tensor

from pipeline.core.adjoints import chebyshev_sweep
from pipeline.core.methods.problem import (
    Adapted,
    Problem,
    check_memory,
    check_omega,
    check_positive,
    flow_of,
)
from pipeline.core.recording import Recording, Step, budget_of
from pipeline.core.seeds import take
from pipeline.core.solvers.chebyshev import Chebyshev, solve_chebyshev
from pipeline.core.solvers.chebyshev_graphs import Captured


def amaml_rkc(
    problem: Problem,
    *,
    horizon: float | Tensor,
    rtol: float = 1e-3,
    atol: float = 1e-5,
    omega: float = 0.0,
    regulariser: float = 0.0,
    memory_mb: float | None = None,
) -> Adapted:
    """The gradient through gradient flow over `horizon`, as Chebyshev steps compute it.

    Args:
        horizon: T > 0 for all tasks, or (R,), one for each.
        rtol, atol: of the local error.
        omega: weight of the running cost in [0, 1], with the trapezoid weights of the
            solver's own steps.
        regulariser: mu of mu/2 |u - theta|² in the inner loss.
        memory_mb: what kept stages and activations may take, in 10^6 bytes; beyond it they
            are thinned and computed again. By default `recording.usual_budget`.
    """
    check_positive(rtol=rtol, atol=atol)
    check_memory(memory_mb)
    check_omega(omega)
    flow, longest = flow_of(problem, horizon, regulariser)
    memory = problem.memory if isinstance(problem.memory, Chebyshev) else Chebyshev()
    captured = None
    if problem.graphs is not None and problem.seeds == 1:
        captured = Captured(flow, problem.graphs, rtol, atol)
    recording, end = solve_chebyshev(
        flow,
        longest,
        rtol=rtol,
        atol=atol,
        works=problem.works,
        memory=memory,
        budget=budget_of(memory_mb, flow, problem.query),
        captured=captured,
    )
    for seed, work in enumerate(problem.works):
        taken = [step.plan for step in recording.steps if seed in step.plan.seeds]
        work.kept_states += 1 + sum(plan.stages[plan.seeds.index(seed)] for plan in taken)
        work.kept_bytes = max(work.kept_bytes, recording.peak)
    lam = (1 - omega) * problem.query.at(end).gradient()
    if not omega:
        return Adapted(chebyshev_sweep(flow, recording, lam, None, captured), end)
    density = omega / longest
    widths, last = _widths(recording, problem.seeds)

    def running_cost(number: int, step: Step) -> Tensor:
        seeds = step.plan.seeds
        state = take(recording.start_of(number), seeds, problem.seeds)
        gain = problem.query.of(seeds, end).at(state).gradient()
        return gain * _per_row([density * w / 2 for w in widths[number]], state)

    ending = _per_row([density * h / 2 for h in last], end)
    lam = lam + ending * problem.query.at(end).gradient()
    return Adapted(chebyshev_sweep(flow, recording, lam, running_cost, captured), end)


amaml_anytime = partial(amaml_rkc, omega=0.5)


def _widths(recording: Recording, seeds: int) -> tuple[list[list[float]], list[float]]:
    """For each step and seed in it the sizes of its own step before and this one, added; and
    the size of each seed's last step: twice the trapezoid weights.
    """
    last = [0.0] * seeds
    widths = []
    for step in recording.steps:
        row = []
        for seed, h in zip(step.plan.seeds, step.plan.sizes, strict=True):
            row.append(last[seed] + h)
            last[seed] = h
        widths.append(row)
    return widths, last


def _per_row(weights: list[float], like: Tensor) -> float | Tensor:
    """A weight of each seed as one of each row, (R, 1); a number for one seed."""
    if len(weights) == 1:
        return weights[0]
    each = torch.tensor(weights, dtype=like.dtype, device=like.device)
    return each.repeat_interleave(len(like) // len(weights)).unsqueeze(1)
