"""Gradient flow by Runge-Kutta-Chebyshev steps whose sizes hold the local error to a tolerance.

Gradient flow has a symmetric Jacobian -Hess, real spectrum, for which the cost of a horizon T
grows as sqrt(T rho), where explicit Euler (gradient descent) and RK45 need T rho. Seeds in one
batch step together, each with its own step size, stages and time, as if it were alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pipeline.core.interface import Point
from pipeline.core.recording import Budget, Recording, Step
from pipeline.core.seeds import not_finite, put, take
from pipeline.core.solvers.chebyshev_graphs import Captured
from pipeline.core.solvers.chebyshev_step import ChebyshevScheme, Plan, rows_within, step
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.spectral import SpectralRadius
from pipeline.core.solvers.step_control import Walk, first_steps, step_errors
from pipeline.core.stopping import Stopping
from pipeline.core.work import Work

MAX_REJECTIONS = 60  # in a row
RENEW = 3  # accepted steps between two estimates of the spectral radius


@dataclass
class Chebyshev:
    """What outlives a solve: the spectral radius and the first step's size, of each seed."""

    radius: SpectralRadius = field(default_factory=SpectralRadius)
    first_steps: list[float] = field(default_factory=list)  # 0: none yet

    def fit(self, seeds: int) -> None:
        """Forget what belongs to another number of seeds."""
        if len(self.first_steps) != seeds:
            self.first_steps = [0.0] * seeds
        if len(self.radius.values) != seeds:
            self.radius.direction, self.radius.values = None, [0.0] * seeds

    def snapshot(self) -> "Chebyshev":
        """What is remembered now; a solve replaces these numbers and tensors, it changes none."""
        radius = SpectralRadius(self.radius.direction, list(self.radius.values))
        return Chebyshev(radius, list(self.first_steps))

    def keep(self, seeds: Sequence[int]) -> None:
        """Go on with these seeds only."""
        of = len(self.radius.values)
        if self.radius.direction is not None:
            self.radius.direction = take(self.radius.direction, tuple(seeds), of)
        if of:
            self.radius.values = [self.radius.values[seed] for seed in seeds]
            self.first_steps = [self.first_steps[seed] for seed in seeds]

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs, so that a resumed run repeats every bit."""
        direction = self.radius.direction
        return {
            "direction": None if direction is None else direction.cpu().clone(),
            "values": list(self.radius.values),
            "first_steps": list(self.first_steps),
        }

    def load_state_dict(self, state: dict[str, Any], like: Tensor) -> None:
        """Go on from a checkpoint, on the device of `like`."""
        direction = state["direction"]
        self.radius.direction = None if direction is None else direction.to(like.device)
        self.radius.values = list(state["values"])
        self.first_steps = list(state["first_steps"])


def solve_chebyshev(
    flow: Flow,
    horizon: float,
    *,
    rtol: float,
    atol: float,
    works: Sequence[Work],
    memory: Chebyshev,
    budget: Budget | None = None,
    captured: Captured | None = None,
    stopping: Stopping | None = None,
) -> tuple[Recording, Tensor]:
    """Integrate the flow to `horizon` with steps that hold the local error to the tolerance.

    The error of a step is estimated by 0.8 (u - u_new) + 0.4 h (F(u) + F(u_new)), the largest
    over a seed's tasks (`relative_size`). A radius that was estimated too low shows as a large
    error: the step is rejected and the radius estimated anew.

    Args:
        works: one a seed. memory: warm start from the last solve, and for the next.
        budget: what the recording may take.
        captured: takes the steps of one seed as graphs; the recording then has no points.
        stopping: is shown the end of every accepted step.

    Returns:
        The accepted steps, and u(T) (R, Q).

    Raises:
        Diverged: naming the seed, and the task whose state is not finite, or when steps are
            rejected without end.
    """
    everyone, scheme = tuple(range(flow.seeds)), ChebyshevScheme()
    memory.fit(flow.seeds)
    u, head = flow.anchor, everyone
    begin = flow.loss.at(u)
    point: Point | None = begin
    slope = flow.descent(begin, u)  # -F_0
    if bad := not_finite(slope):
        raise flow.diverged("the gradient at the start is not finite", bad[0])
    radii = _radii(flow, memory, everyone, u, slope, point)
    first = memory.first_steps
    if not all(first):
        first = first_steps(flow, u, slope, radii, horizon, rtol, atol)
    walks = [Walk(min(h, horizon), rho) for h, rho in zip(first, radii, strict=True)]
    recording = Recording(flow, budget, scheme, points=captured is None)
    while going := [s for s in everyone if walks[s].t < horizon * (1 - 1e-12)]:
        plan = _plan(walks, going, horizon)
        part = flow.of(plan.seeds)
        here, its_slope = (take(x, plan.seeds, flow.seeds) for x in (u, slope))
        points: list[Point] = []
        if captured is not None:
            inner, new, new_slope, error = captured.attempt(here, its_slope, plan)
            errors, new_point, head = [error], None, ()
        else:
            if plan.seeds != head:
                point, head = part.loss.at(here), plan.seeds
            keep = recording.may_keep_points(plan.stages[0])
            inner, points, new = step(flow, here, point, its_slope, plan, keep)
            new_point = part.loss.at(new)
            new_slope = part.descent(new_point, new)
            errors = step_errors(part, plan, here, new, its_slope, new_slope, rtol, atol)
        good = [k for k, error in enumerate(errors) if error <= 1]
        if good:
            done = _only(plan, good)
            whole = len(good) == len(errors)
            chosen = tuple(good)
            if not whole:
                inner, points = rows_within(inner, plan, good), []
            recording.append(Step(done, u, inner, points or None))
            u, slope = (
                put(old, done.seeds, take(fresh, chosen, len(errors)), flow.seeds)
                for old, fresh in ((u, new), (slope, new_slope))
            )
            point, head = (new_point, head) if whole else (point, ())
            if stopping is not None:
                stopping.watch(done.seeds, done.sizes, take(new, chosen, len(errors)))
        for h, seed, error in zip(plan.sizes, plan.seeds, errors, strict=True):
            walk, work = walks[seed], works[seed]
            if error <= 1:
                if not walk.t:  # the next solve starts where the error would be at its target
                    memory.first_steps[seed] = h * min(2.0, 0.9 / max(error, 1e-8) ** (1 / 3))
                walk.accept(h, error)
                work.accepted += 1
                continue
            walk.reject(h, error)
            work.rejected += 1
            if walk.rejected > MAX_REJECTIONS:
                raise _endless(flow, walk, seed, h, horizon, new - here, plan)
        _renew(flow, memory, walks, u, slope, point if head else None, head, horizon)
    if bad := not_finite(u):
        raise flow.diverged(f"the flow is not finite at T = {horizon:g}", bad[0])
    return recording, u


def _plan(walks: Sequence[Walk], going: Sequence[int], horizon: float) -> Plan:
    moves = [(*walks[seed].move(horizon), seed) for seed in going]
    moves.sort(key=lambda move: (-move[1], move[2]))
    sizes, stages, seeds = zip(*moves, strict=True)
    return Plan(seeds, sizes, stages)


def _only(plan: Plan, places: Sequence[int]) -> Plan:
    """The steps at some places of a plan."""
    if len(places) == len(plan.seeds):
        return plan
    parts = (plan.seeds, plan.sizes, plan.stages)
    return Plan(*(tuple(part[k] for k in places) for part in parts))  # type: ignore[arg-type]


def _renew(
    flow: Flow,
    memory: Chebyshev,
    walks: Sequence[Walk],
    u: Tensor,
    slope: Tensor,
    point: Any,
    head: tuple[int, ...],
    horizon: float,
) -> None:
    """Estimate the radius anew where it is old, or where it may have been too low."""
    unfinished = [s for s, walk in enumerate(walks) if walk.t < horizon * (1 - 1e-12)]
    due = tuple(
        s
        for s in unfinished
        if walks[s].age >= RENEW or (walks[s].rejected and (walks[s].age or not walks[s].t))
    )
    if not due:
        return
    order = head if set(head) == set(due) else due
    radii = _radii(flow, memory, order, u, slope, point if order == head else None)
    for seed, rho in zip(order, radii, strict=True):
        walk = walks[seed]
        walk.rho = max(walk.rho, rho) if walk.rejected else rho
        walk.age = 0


def _radii(
    flow: Flow, memory: Chebyshev, seeds: tuple[int, ...], u: Tensor, slope: Tensor, point: Any
) -> list[float]:
    """Of the flow's Jacobian: rates are at most 1, so the Hessian's bounds it."""
    found = memory.radius.estimate(flow, seeds, u, slope, point)
    return [rho + flow.regulariser for rho in found]


def _endless(
    flow: Flow, walk: Walk, seed: int, h: float, horizon: float, change: Tensor, plan: Plan
) -> Exception:
    change = take(change, (plan.seeds.index(seed),), len(plan.seeds))
    bad = not_finite(change)
    worst = bad[0] if bad else int(change.abs().amax(1).argmax())
    return flow.of((seed,)).diverged(
        f"the Chebyshev solver rejected {walk.rejected} steps in a row at t = {walk.t:g} of "
        f"{horizon:g} (step {h:g}, spectral radius {walk.rho:g}), the largest one by task {worst} "
        "of the batch; use a shorter horizon, a looser tolerance, or standardised data",
        bad[0] if bad else None,
    )
