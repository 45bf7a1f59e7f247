"""A-MAML: gradient flow and its adjoint (Li et al., AISTATS 2023, arXiv:2110.08432).

With omega > 0 the objective is the anytime one,
J = omega/T * integral_0^T L_query(u(t)) dt + (1 - omega) L_query(u(T)),
and the adjoint gains w_k dL_query(u_k) at each kept state, w_k trapezoid weights.
"""

import math
from typing import Annotated

import torch
from torch import Tensor

from pipeline.core.adjoints import backsolve, modified_euler, runge_kutta_sweep
from pipeline.core.plain_euler import plain_euler
from pipeline.core.problem import Adapted, Problem, flow_of
from pipeline.core.recording import Recording, Step, budget_of
from pipeline.core.registry import method
from pipeline.core.seeds import take
from pipeline.core.settings import Megabytes, NotNegative, Positive, Share, one_of
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.runge_kutta import ADAPTIVE, SOLVERS, solve_flow
from pipeline.core.solvers.runge_kutta_step import states_backward
from pipeline.core.solvers.tableaux import TABLEAUX

BACKWARD = ("modified_euler", "discrete", "backsolve", "euler", "released")
CHUNK_BYTES = 4e6  # of points made in one batch: more does not fit a processor's cache


@method("amaml")
def amaml(
    problem: Problem,
    *,
    horizon: float | Tensor,
    step: Positive = 0.01,
    solver: Annotated[str, one_of(SOLVERS)] = "dopri5",
    rtol: Positive = 1e-3,
    atol: Positive = 1e-5,
    backward: Annotated[str, one_of(BACKWARD)] = "modified_euler",
    omega: Share = 0.0,
    regulariser: NotNegative = 0.0,
    outer_regulariser: NotNegative = 0.0,
    memory_mb: Megabytes = None,
) -> Adapted:
    """The gradient through a flow over `horizon`, with states at spacing `step` on the way back.

    Args:
        horizon: T > 0 for all tasks, or (R,), one for each (early stopping).
        step: spacing of the backward solve's states, and of fixed-step solvers; made a little
            smaller if T is not a multiple.
        solver: forward solver of torchdiffeq; rtol, atol: its tolerances if adaptive.
        backward: `modified_euler` on the forward solution, the paper's; `discrete`, the
            transpose of the solver's own steps, exact for the numbers computed; `backsolve`,
            storing nothing; `euler`, plain Euler on the forward solution; or `released`, the
            same with one step too many at u(0), as in the authors' code.
        omega: weight of the running cost, in [0, 1].
        regulariser: mu of mu/2 |u - theta|² in the inner loss.
        outer_regulariser: nu of nu/2 |u(T) - theta|² in the outer loss, not in what is reported.
        memory_mb: what is kept for the way back may take, in 10^6 bytes; beyond it steps are
            thinned and computed again. By default `recording.usual_budget`.
    """
    flow, longest = flow_of(problem, horizon, regulariser)
    if omega and backward == "backsolve":
        raise ValueError("`backsolve` keeps no states for a running cost; set omega to 0.")
    if omega and backward == "released":
        raise ValueError("`released` has no running cost; set omega to 0 or backward to euler.")
    count = max(1, math.ceil(longest / step - 1e-9))
    h = longest / count
    if backward == "backsolve" and solver in ADAPTIVE:
        count = 1
    times = torch.linspace(0.0, longest, count + 1, dtype=torch.float64)
    exact = backward == "discrete"
    budget = budget_of(memory_mb, flow, problem.query)
    parts = [flow.of((seed,)) for seed in range(problem.seeds)]
    solved = [
        solve_flow(
            part, times.to(part.anchor.device), solver=solver, rtol=rtol, atol=atol, work=work,
            budget=budget.part(1.0 if exact else 0.5, problem.seeds), points=exact,
        )
        for part, work in zip(parts, problem.works, strict=True)
    ]  # fmt: skip
    for work, (recording, _) in zip(problem.works, solved, strict=True):
        work.kept_states += recording.kept_states + 1
        work.kept_bytes = max(work.kept_bytes, recording.peak)
    end = torch.cat([state for _, state in solved])
    lam = (1 - omega) * problem.query.at(end).gradient()
    pull = outer_regulariser * (end - flow.anchor) if outer_regulariser else None
    if pull is not None:
        lam = lam + pull

    def answer(through_flow: Tensor) -> Adapted:
        return Adapted(through_flow if pull is None else through_flow - pull, end)

    if backward == "backsolve":
        lams = [
            backsolve(
                *(part, state, take(lam, (seed,), problem.seeds), longest),
                solver=solver,
                rtol=rtol,
                atol=atol,
            )
            for seed, (part, (_, state)) in enumerate(zip(parts, solved, strict=True))
        ]
        return answer(torch.cat(lams))
    if exact:
        lams = [
            _discrete(problem, seed, part, *solved[seed], lam, solver, omega)
            for seed, part in enumerate(parts)
        ]
        return answer(torch.cat(lams))

    size = problem.support.point_bytes(flow.anchor) + 3 * flow.anchor.numel() * end.element_size()
    chunk = max(1, min(count, int(min(CHUNK_BYTES, budget.total / 4) // size)))
    trails = [
        states_backward(recording, times.tolist(), state, solver, chunk)
        for recording, state in solved
    ]
    states = (torch.cat(at) if len(at) > 1 else at[0] for at in zip(*trails, strict=True))

    def running_cost(number: int, u: Tensor) -> Tensor:
        weight = omega / count * (0.5 if number in (0, count) else 1.0)
        return weight * problem.query.at(u).gradient()

    jump = running_cost if omega else None
    if backward == "modified_euler":
        lam = modified_euler(flow, states, lam, h, chunk=chunk, graphs=problem.graphs, jump=jump)
    else:
        more = backward == "released"
        lam = plain_euler(flow, states, lam, h, chunk=chunk, jump=jump, one_more=more)
    return answer(lam)


def _discrete(
    problem: Problem,
    seed: int,
    flow: Flow,
    recording: Recording,
    end: Tensor,
    lam: Tensor,
    solver: str,
    omega: float,
) -> Tensor:
    """The transpose of one seed's steps, (B, Q); lam: of all seeds at T, without the jump."""
    query = problem.query.of((seed,), lam)
    lam = take(lam, (seed,), problem.seeds)
    sizes = [step.plan for step in recording.steps]
    density = omega / sum(sizes)

    def running_cost(number: int, step: Step) -> Tensor:
        width = (sizes[number - 1] if number else 0.0) + sizes[number]
        return (density * width / 2) * query.at(recording.start_of(number)).gradient()

    if omega:
        lam = lam + (density * sizes[-1] / 2) * query.at(end).gradient()
    return runge_kutta_sweep(
        flow, recording, TABLEAUX[solver], lam, running_cost if omega else None
    )
