"""A-MAML on a stabilised Chebyshev solver, with its exact discrete adjoint.

The true meta-gradient of a long training for fewer evaluations than its first-order stand-in
needs: cost grows as the square root of the horizon (solvers/chebyshev.py). The way back is the
transpose of the recurrence that went forward, so it is the gradient of the numbers computed.
"""

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from pipeline.core.adjoints import sweep
from pipeline.core.problem import Adapted, Problem, flow_of
from pipeline.core.recording import Recording, Step, budget_of
from pipeline.core.registry import method
from pipeline.core.seeds import per_row, take
from pipeline.core.settings import Horizon, Megabytes, NotNegative, Positive, Share, Switch
from pipeline.core.solvers.chebyshev import solve_chebyshev
from pipeline.core.solvers.chebyshev_graphs import Captured
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.solvers.flow import Flow
from pipeline.core.stopping import Stopping

STOPPED_STATES = 3  # u_n(T_n), the query gradient there, and a copy on its way


@method("amaml_rkc")
def amaml_rkc(
    problem: Problem,
    *,
    horizon: Horizon,
    rtol: Positive = 1e-3,
    atol: Positive = 1e-5,
    omega: Share = 0.0,
    regulariser: NotNegative = 0.0,
    memory_mb: Megabytes = None,
    early_stopping: Switch = False,
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
        early_stopping: each task's horizon is the end of the step, among those up to T, at
            which its query loss is least (core/stopping.py); a running cost ends there too.
    """
    flow, longest = flow_of(problem, horizon, regulariser)
    captured = None
    if problem.graphs is not None and problem.seeds == 1:
        captured = Captured(flow, problem.graphs, rtol, atol)
    budget, stopping = budget_of(memory_mb, flow, problem.query), None
    if early_stopping:
        stopping = Stopping(problem.query, flow.anchor, problem.seeds)
        state = flow.anchor.numel() * flow.anchor.element_size()
        budget = replace(budget, aside=STOPPED_STATES * state)
    recording, end = solve_chebyshev(
        flow,
        longest,
        rtol=rtol,
        atol=atol,
        works=problem.works,
        memory=problem.memory or ChebyshevMemory(),
        budget=budget,
        captured=captured,
        stopping=stopping,
    )
    for seed, work in enumerate(problem.works):
        taken = [step.plan for step in recording.steps if seed in step.plan.seeds]
        stages = sum(plan.stages[plan.seeds.index(seed)] for plan in taken)
        work.keep(stages + 1, recording.peak)
    if stopping is not None:
        return _stopped(problem, flow, recording, stopping, longest, omega)
    lam = (1 - omega) * problem.query.at(end).gradient()
    if not omega:
        return Adapted(sweep(recording, lam), end)
    density = omega / longest
    _, widths, last = _histories(recording, problem.seeds)

    def running_cost(number: int, step: Step) -> Tensor:
        seeds = step.plan.seeds
        state = take(recording.start_of(number), seeds, problem.seeds)
        gain = problem.query.of(seeds, end).at(state).gradient()
        return gain * per_row([density * w / 2 for w in widths[number]], state)

    ending = per_row([density * h / 2 for h in last], end)
    lam = lam + ending * problem.query.at(end).gradient()
    return Adapted(sweep(recording, lam, running_cost), end)


amaml_anytime = method("amaml_anytime")(partial(amaml_rkc, omega=0.5))


def _stopped(
    problem: Problem,
    flow: Flow,
    recording: Recording,
    stopping: Stopping,
    longest: float,
    omega: float,
) -> Adapted:
    """The gradient of J with T_n held fixed: lambda of a task is zero after T_n.

    At T_n it gains (1 - omega) dL_query, and the trapezoid rule's share of the running cost;
    before, where omega > 0, the running cost's as ever.
    """
    seeds, counts = problem.seeds, stopping.counts
    gain = problem.query.at(stopping.states).gradient()
    gain = gain * (1 - omega + omega / 2 * stopping.sizes / stopping.times)
    places, widths, _ = _histories(recording, seeds)

    def jump(number: int, step: Step) -> Tensor:
        part = step.plan.seeds
        stop = take(counts, part, seeds)
        place = per_row(places[number], stop)
        gained = torch.where(stop == place, take(gain, part, seeds), 0.0)
        if not omega:
            return gained
        state = take(recording.start_of(number), part, seeds)
        running = problem.query.of(part, gain).at(state).gradient()
        weight = omega / 2 * per_row(widths[number], state) / take(stopping.times, part, seeds)
        return gained + torch.where(place < stop, weight, 0.0) * running

    lam = torch.where(counts == per_row(stopping.taken, counts), gain, 0.0)
    lam = sweep(recording, lam, jump)
    stopped = flow.rate * stopping.times.clamp(max=longest)  # sums of sizes are rounded
    return Adapted(lam, stopping.states, stopped.squeeze(1))


def _histories(
    recording: Recording, seeds: int
) -> tuple[list[list[int]], list[list[float]], list[float]]:
    """For each step and seed in it how many steps the seed had taken before, and the sizes of the
    last of them and of this one, added; and the size of each seed's very last step. Sizes are
    twice the trapezoid weights.
    """
    taken, last = [0] * seeds, [0.0] * seeds
    places, widths = [], []
    for plan in (step.plan for step in recording.steps):
        places.append([taken[seed] for seed in plan.seeds])
        widths.append([last[seed] + h for seed, h in zip(plan.seeds, plan.sizes, strict=True)])
        for seed, h in zip(plan.seeds, plan.sizes, strict=True):
            taken[seed], last[seed] = taken[seed] + 1, h
    return places, widths, last
