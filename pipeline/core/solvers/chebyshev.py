"""Gradient flow by Runge-Kutta-Chebyshev steps whose sizes hold the local error to a tolerance.

Gradient flow has a symmetric Jacobian -Hess, real spectrum, for which the cost of a horizon T
grows as sqrt(T rho), where explicit Euler (gradient descent) and RK45 need T rho. Seeds in one
batch step together, each with its own step size, stages and time, as if it were alone.

This file is the loop. A step and its transpose stand in `chebyshev_step.py`, how long steps are in
`step_control.py`, rho in `spectral.py`, what is kept in `recording.py`, CUDA graphs in
`chebyshev_graphs.py`, what outlives a solve in `chebyshev_memory.py`. The way back is
`adjoints.sweep`.
"""

from collections.abc import Sequence

from torch import Tensor

from pipeline.core.recording import Budget, Recording, Step
from pipeline.core.seeds import Seeds, not_finite, take
from pipeline.core.solvers.chebyshev_graphs import Captured
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.solvers.chebyshev_step import ChebyshevScheme, Front, Plan, Tried, step
from pipeline.core.solvers.flow import Diverged, Flow
from pipeline.core.solvers.step_control import Walk, first_steps, next_plan, step_errors
from pipeline.core.stopping import Stopping
from pipeline.core.work import Work

MAX_REJECTIONS = 60  # in a row
MAX_STAGES_IN_ALL = 100_000  # of a seed's solve, each a gradient; 50 times what a study ever took


def solve_chebyshev(
    flow: Flow,
    horizon: float,
    *,
    rtol: float,
    atol: float,
    works: Sequence[Work],
    memory: ChebyshevMemory,
    budget: Budget | None = None,
    captured: Captured | None = None,
    stopping: Stopping | None = None,
) -> tuple[Recording, Tensor]:
    """Integrate the flow to `horizon` with steps that hold the local error to the tolerance.

    A radius that was estimated too low shows as a large error: the step is rejected and the
    radius estimated anew.

    Args:
        works: one a seed. memory: warm start from the last solve, and for the next.
        budget: what the recording may take.
        captured: takes the steps of one seed as graphs; the recording then has no points.
        stopping: is shown the end of every accepted step.

    Returns:
        The accepted steps, and u(T) (R, Q).

    Raises:
        Diverged: naming the seed, and the task whose state is not finite, or when steps are
            rejected without end, or more than `MAX_STAGES_IN_ALL` stages are needed.
    """
    everyone = tuple(range(flow.seeds))
    memory.fit(flow.seeds)
    front = _start(flow)
    radii = _radii(flow, memory, everyone, front)
    sizes = memory.first_steps
    if not all(sizes):
        sizes = first_steps(flow, front.u, front.slope, radii, horizon, rtol, atol)
    walks = [Walk(min(h, horizon), rho) for h, rho in zip(sizes, radii, strict=True)]
    scheme = ChebyshevScheme() if captured is None else captured
    recording = Recording(flow, budget, scheme, points=captured is None)
    while plan := next_plan(walks, horizon):
        if captured is not None:
            tried = captured.attempt(front, plan)
        else:
            keep = recording.may_keep_points(plan.stages[0])
            tried = _attempt(flow, front, plan, keep, rtol, atol)
        if done := tried.accepted():
            recording.append(Step(done.plan, front.u, done.inner, done.points or None))
            front.advance(done, flow.seeds)
            if stopping is not None:
                stopping.watch(done.plan.seeds, done.plan.sizes, done.end)
        for seed, h, stages, error in zip(
            plan.seeds, plan.sizes, plan.stages, tried.errors, strict=True
        ):
            walk, work = walks[seed], works[seed]
            walk.stages += stages
            if error <= 1:
                if not walk.t:  # the next solve starts where the error would be at its target
                    memory.first_steps[seed] = h * min(2.0, 0.9 / max(error, 1e-8) ** (1 / 3))
                walk.accept(h, error)
                work.accepted += 1
            else:
                walk.reject(h, error)
                work.rejected += 1
                if walk.rejected > MAX_REJECTIONS:
                    raise _endless(flow, front, tried, walk, seed, h, horizon)
            if walk.stages > MAX_STAGES_IN_ALL and not walk.arrived(horizon):
                raise flow.of((seed,)).diverged(
                    f"the Chebyshev solver has come to t = {walk.t:g} of {horizon:g} with "
                    f"{walk.stages} stages (step {h:g}, spectral radius {walk.rho:g}) and takes no "
                    "more; use a shorter horizon, a looser tolerance, or standardised data"
                )
        del tried, done  # the recording may have let go of their points
        due = tuple(seed for seed in everyone if walks[seed].wants_radius(horizon))
        if due:
            due = front.order if set(front.order) == set(due) else due  # their point is at hand
            for seed, rho in zip(due, _radii(flow, memory, due, front), strict=True):
                walks[seed].renew(rho)
    if bad := not_finite(front.u):
        raise flow.diverged(f"the flow is not finite at T = {horizon:g}", bad[0])
    return recording, front.u


def _start(flow: Flow) -> Front:
    """All seeds at theta."""
    point = flow.loss.at(flow.anchor)
    slope = flow.descent(point, flow.anchor)
    if bad := not_finite(slope):
        raise flow.diverged("the gradient at the start is not finite", bad[0])
    return Front(flow.anchor, slope, point, tuple(range(flow.seeds)))


def _radii(flow: Flow, memory: ChebyshevMemory, seeds: Seeds, front: Front) -> list[float]:
    """Of the flow's Jacobian: rates are at most 1, so the Hessian's bounds it."""
    point = front.point if seeds == front.order else None
    found = memory.radius.estimate(flow, seeds, front.u, front.slope, point)
    return [rho + flow.regulariser for rho in found]


def _attempt(flow: Flow, front: Front, plan: Plan, keep: bool, rtol: float, atol: float) -> Tried:
    """Try the steps of a plan; with their points where `keep`."""
    part = flow.of(plan.seeds)
    u, slope = (take(values, plan.seeds, flow.seeds) for values in (front.u, front.slope))
    if front.order != plan.seeds:
        front.point, front.order = part.loss.at(u), plan.seeds
    inner, points, end = step(flow, u, front.point, slope, plan, keep)
    point = part.loss.at(end)
    end_slope = part.descent(point, end)
    errors = step_errors(part, plan, u, end, slope, end_slope, rtol, atol)
    return Tried(plan, inner, points, end, end_slope, errors, point)


def _endless(
    flow: Flow, front: Front, tried: Tried, walk: Walk, seed: int, h: float, horizon: float
) -> Diverged:
    """The error that names the task whose step is the wildest."""
    seeds = tried.plan.seeds
    end = take(tried.end, (seeds.index(seed),), len(seeds))
    change = end - take(front.u, (seed,), flow.seeds)
    bad = not_finite(change)
    worst = bad[0] if bad else int(change.abs().amax(1).argmax())
    return flow.of((seed,)).diverged(
        f"the Chebyshev solver rejected {walk.rejected} steps in a row at t = {walk.t:g} of "
        f"{horizon:g} (step {h:g}, spectral radius {walk.rho:g}), the largest one by task {worst} "
        "of the batch; use a shorter horizon, a looser tolerance, or standardised data",
        bad[0] if bad else None,
    )
