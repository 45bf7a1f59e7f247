"""A-MAML: gradient flow and its adjoint (Li et al., AISTATS 2023, arXiv:2110.08432).

With omega > 0 the objective is the anytime one,
J = omega/T * integral_0^T L_query(u(t)) dt + (1 - omega) L_query(u(T)),
and the adjoint gains w_k dL_query(u_k) at each kept state, w_k trapezoid weights.
"""

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from torch import Tensor

from pipeline.core.adjoint_flow import backsolve, modified_euler, plain_euler
from pipeline.core.adjoints import sweep
from pipeline.core.problem import Adapted, Problem, flow_of
from pipeline.core.recording import Recording, Step, budget_of
from pipeline.core.registry import method
from pipeline.core.seeds import take
from pipeline.core.settings import Horizon, Megabytes, NotNegative, Positive, Share, one_of
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.runge_kutta import ADAPTIVE, SOLVERS, solve_flow
from pipeline.core.solvers.runge_kutta_step import states_backward

BACKWARD = ("modified_euler", "discrete", "backsolve", "euler", "released")
CHUNK_BYTES = 4e6  # of points made in one batch: more does not fit a processor's cache

Solved = tuple[Recording, Tensor]  # a seed's steps and u(T)


@method("amaml")
def amaml(
    problem: Problem,
    *,
    horizon: Horizon,
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
    if omega and backward == "backsolve":
        raise ValueError("`backsolve` keeps no states for a running cost; set omega to 0.")
    if omega and backward == "released":
        raise ValueError("`released` has no running cost; set omega to 0 or backward to euler.")
    flow, longest = flow_of(problem, horizon, regulariser)
    exact = backward == "discrete"
    count = max(1, math.ceil(longest / step - 1e-9))
    spacings = 1 if backward == "backsolve" and solver in ADAPTIVE else count
    times = torch.linspace(0.0, longest, spacings + 1, dtype=torch.float64)
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
        work.keep(recording.kept_states + 1, recording.peak)
    end = torch.cat([state for _, state in solved])
    lam = (1 - omega) * problem.query.at(end).gradient()
    pull = outer_regulariser * (end - flow.anchor) if outer_regulariser else None
    if pull is not None:
        lam = lam + pull
    if backward == "backsolve":
        tolerance = {"rtol": rtol, "atol": atol}
        lams = [
            backsolve(part, state, own, longest, solver=solver, **tolerance)
            for part, (_, state), own in zip(parts, solved, _each_seed(problem, lam), strict=True)
        ]
        lam = torch.cat(lams)
    elif exact:
        lams = [
            _discrete(problem, seed, *solved[seed], own, omega)
            for seed, own in enumerate(_each_seed(problem, lam))
        ]
        lam = torch.cat(lams)
    else:
        size = problem.support.point_bytes(end) + 3 * end.numel() * end.element_size()
        chunk = max(1, min(count, int(min(CHUNK_BYTES, budget.total / 4) // size)))
        lam = _on_states(problem, flow, solved, lam, times.tolist(), solver, backward, omega, chunk)
    return Adapted(lam if pull is None else lam - pull, end)


def _each_seed(problem: Problem, values: Tensor) -> list[Tensor]:
    """The rows of each seed, (B, Q)."""
    return [take(values, (seed,), problem.seeds) for seed in range(problem.seeds)]


def _discrete(
    problem: Problem, seed: int, recording: Recording, end: Tensor, lam: Tensor, omega: float
) -> Tensor:
    """The transpose of one seed's steps, (B, Q), from its lambda(T) without the jump."""
    if not omega:
        return sweep(recording, lam)
    query = problem.query.of((seed,), problem.start)
    sizes = [step.plan for step in recording.steps]
    density = omega / sum(sizes)

    def running_cost(number: int, step: Step) -> Tensor:
        width = (sizes[number - 1] if number else 0.0) + sizes[number]
        return (density * width / 2) * query.at(recording.start_of(number)).gradient()

    lam = lam + (density * sizes[-1] / 2) * query.at(end).gradient()
    return sweep(recording, lam, running_cost)


def _on_states(
    problem: Problem,
    flow: Flow,
    solved: Sequence[Solved],
    lam: Tensor,
    times: Sequence[float],
    solver: str,
    backward: str,
    omega: float,
    chunk: int,
) -> Tensor:
    """The adjoint flow of all seeds on the states at `times`, (R, Q), `chunk` of them at once."""
    count = len(times) - 1
    h = times[-1] / count
    trails = [states_backward(steps, times, end, solver, chunk) for steps, end in solved]
    states = (torch.cat(at) if len(at) > 1 else at[0] for at in zip(*trails, strict=True))

    def running_cost(number: int, u: Tensor) -> Tensor:
        weight = omega / count * (0.5 if number in (0, count) else 1.0)
        return weight * problem.query.at(u).gradient()

    jump = running_cost if omega else None
    if backward == "modified_euler":
        return modified_euler(flow, states, lam, h, chunk=chunk, graphs=problem.graphs, jump=jump)
    more = backward == "released"
    return plain_euler(flow, states, lam, h, chunk=chunk, jump=jump, one_more=more)
