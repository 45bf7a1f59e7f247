"""A-MAML on a stabilised Chebyshev solver, with its exact discrete adjoint.

The true meta-gradient of a long training for fewer evaluations than its first-order stand-in
needs: cost grows as the square root of the horizon (solvers/chebyshev.py). The way back is the
transpose of the recurrence that went forward, so it is the gradient of the numbers computed.
"""

import math
from functools import partial

from torch import Tensor

from pipeline.core.adjoints import chebyshev_sweep
from pipeline.core.methods.problem import Adapted, Problem
from pipeline.core.recording import Recording
from pipeline.core.solvers.chebyshev import Chebyshev, solve_chebyshev
from pipeline.core.solvers.flow import Flow, horizons


def amaml_rkc(
    problem: Problem,
    *,
    horizon: float | Tensor,
    rtol: float = 1e-3,
    atol: float = 1e-5,
    omega: float = 0.0,
    regulariser: float = 0.0,
    memory_mb: float = 64.0,
) -> Adapted:
    """The gradient through gradient flow over `horizon`, as Chebyshev steps compute it.

    Args:
        horizon: T > 0 for all tasks, or (B,), one for each.
        rtol, atol: of the local error.
        omega: weight of the running cost in [0, 1], with the trapezoid weights of the
            solver's own steps.
        regulariser: mu of mu/2 |u - theta|² in the inner loss.
        memory_mb: what kept stages and activations may take, in 10^6 bytes; beyond it they
            are thinned and computed again.
    """
    for name, number in (("rtol", rtol), ("atol", atol), ("memory_mb", memory_mb)):
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name} must be positive and finite, found {number}.")
    if not 0 <= omega <= 1:
        raise ValueError(f"omega must lie in [0, 1], found {omega}.")
    longest, rate = horizons(horizon, problem.start)
    uniform = not isinstance(horizon, Tensor) or horizon.ndim == 0
    flow = Flow(problem.support, problem.start, rate, regulariser, uniform)
    memory = problem.memory if isinstance(problem.memory, Chebyshev) else Chebyshev()
    recording, end = solve_chebyshev(
        flow,
        longest,
        rtol=rtol,
        atol=atol,
        work=problem.work,
        memory=memory,
        budget=memory_mb * 1e6,
    )
    problem.work.kept_states += sum(step.stages for step in recording.steps) + 1
    problem.work.kept_bytes = max(problem.work.kept_bytes, recording.peak)
    lam = problem.query.at(end).gradient()
    jump = partial(_running_cost, problem, recording, end, omega / longest) if omega else None
    return Adapted(chebyshev_sweep(flow, recording, (1 - omega) * lam, jump), end)


amaml_anytime = partial(amaml_rkc, omega=0.5)


def _running_cost(
    problem: Problem, recording: Recording, end: Tensor, density: float, k: int
) -> Tensor:
    """The trapezoid weight of accepted state k times the query gradient there."""
    steps = recording.steps
    width = (steps[k - 1].h if k else 0.0) + (steps[k].h if k < len(steps) else 0.0)
    state = recording.start_of(k) if k < len(steps) else end
    return (density * width / 2) * problem.query.at(state).gradient()
