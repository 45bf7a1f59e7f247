"""A-MAML: gradient flow and its adjoint (Li et al., AISTATS 2023, arXiv:2110.08432).

With omega > 0 the objective is the anytime one,
J = omega/T * integral_0^T L_query(u(t)) dt + (1 - omega) L_query(u(T)),
and the adjoint gains w_k dL_query(u_k) at each kept state, w_k trapezoid weights.
"""

import math

import torch
from torch import Tensor

from pipeline.core.adjoints import backsolve, modified_euler
from pipeline.core.methods.problem import Adapted, Problem
from pipeline.core.solvers.flow import SOLVERS, Flow, horizons, solve_flow

BACKWARD = ("modified_euler", "backsolve")


def amaml(
    problem: Problem,
    *,
    horizon: float | Tensor,
    step: float = 0.01,
    solver: str = "dopri5",
    rtol: float = 1e-3,
    atol: float = 1e-5,
    backward: str = "modified_euler",
    omega: float = 0.0,
    regulariser: float = 0.0,
) -> Adapted:
    """The gradient through a flow over `horizon`, states kept at spacing `step`.

    Args:
        horizon: T > 0 for all tasks, or (B,), one for each (early stopping).
        step: spacing of kept states; made a little smaller if T is not a multiple.
        solver: forward solver of torchdiffeq; rtol, atol: its tolerances if adaptive.
        backward: `modified_euler` on kept states, or `backsolve`, storing nothing.
        omega: weight of the running cost, in [0, 1].
        regulariser: mu of mu/2 |u - theta|² in the inner loss.
    """
    start = problem.start
    longest, rate = horizons(horizon, start)
    _check(solver, backward, omega, step, rtol, atol)
    uniform = not isinstance(horizon, Tensor) or horizon.ndim == 0
    flow = Flow(problem.support, start, rate, regulariser, uniform)
    count = max(1, math.ceil(longest / step - 1e-9))
    if backward == "backsolve":
        count = 1 if solver in ("dopri5", "bosh3") else count
    times = torch.linspace(0.0, longest, count + 1, dtype=start.dtype, device=start.device)
    states = solve_flow(flow, times, solver=solver, rtol=rtol, atol=atol, work=problem.work)
    end = states[-1]
    lam = problem.query.at(end).gradient()
    if backward == "backsolve":
        lam = backsolve(flow, end, lam, longest, solver=solver, rtol=rtol, atol=atol)
        return Adapted(lam, end)
    problem.work.kept_states += len(states)

    def running_cost(j: int) -> Tensor | None:
        weight = omega / count * (0.5 if j in (0, count) else 1.0)
        return weight * problem.query.at(states[j]).gradient()

    lam = modified_euler(
        flow,
        states.unbind(0),
        (1 - omega) * lam,
        longest / count,
        running_cost if omega else None,
    )
    return Adapted(lam, end)


def _check(solver: str, backward: str, omega: float, step: float, rtol: float, atol: float) -> None:
    for name, value, allowed in (("solver", solver, SOLVERS), ("backward", backward, BACKWARD)):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, found '{value}'.")
    for name, number in (("step", step), ("rtol", rtol), ("atol", atol)):
        if not (math.isfinite(number) and number > 0):
            raise ValueError(f"{name} must be positive and finite, found {number}.")
    if not 0 <= omega <= 1:
        raise ValueError(f"omega must lie in [0, 1], found {omega}.")
    if omega and backward == "backsolve":
        raise ValueError("`backsolve` keeps no states for a running cost; set omega to 0.")
