"""The Runge-Kutta-Chebyshev step and its transpose live here: `step` and `step_back`.

Of second order; s stages are stable to 0.65 s². Sommeijer, Shampine, Verwer, J. Comput. Appl.
Math. 88 (1998) 315-326, RKC2. Several seeds take a step together, each with its own size and
number of stages: those with more stages come first, so that the rows still at work are always
the first ones.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from pipeline.core.interface import Point
from pipeline.core.recording import Advanced, Step
from pipeline.core.seeds import Seeds, put, take
from pipeline.core.solvers.flow import Flow

EPSILON = 2 / 13  # damping
MAX_STAGES = 250
Number = float | Tensor  # a coefficient: of one seed, or of each row, (K B, 1)


@dataclass(frozen=True)
class Coefficients:
    """Of s stages, 1-based: index j holds stage j's, as in the reference."""

    mu: tuple[float, ...]
    nu: tuple[float, ...]
    mu_tilde: tuple[float, ...]
    gamma_tilde: tuple[float, ...]


@cache
def coefficients(stages: int) -> Coefficients:
    """mu_j, nu_j, mu_j~ and gamma_j~ of the method with `stages` >= 2 stages.

    With T_j the Chebyshev polynomials, w0 = 1 + epsilon/s² and w1 = T_s'(w0) / T_s''(w0):
    b_j = T_j''(w0) / T_j'(w0)² and a_j = 1 - b_j T_j(w0).
    """
    w0 = 1 + EPSILON / stages**2
    t, dt, ddt = [1.0, w0], [0.0, 1.0], [0.0, 0.0]  # T_j, T_j', T_j'' at w0
    for _ in range(2, stages + 1):
        ddt.append(2 * w0 * ddt[-1] - ddt[-2] + 4 * dt[-1])
        dt.append(2 * w0 * dt[-1] - dt[-2] + 2 * t[-1])
        t.append(2 * w0 * t[-1] - t[-2])
    w1 = dt[stages] / ddt[stages]
    b = [ddt[j] / dt[j] ** 2 if j >= 2 else ddt[2] / dt[2] ** 2 for j in range(stages + 1)]
    a = [1 - b[j] * t[j] for j in range(stages + 1)]
    mu, nu, mu_tilde, gamma_tilde = [0.0, 0.0], [0.0, 0.0], [0.0, b[1] * w1], [0.0, 0.0]
    for j in range(2, stages + 1):
        mu.append(2 * b[j] * w0 / b[j - 1])
        nu.append(-b[j] / b[j - 2])
        mu_tilde.append(2 * b[j] * w1 / b[j - 1])
        gamma_tilde.append(-a[j - 1] * mu_tilde[j])
    return Coefficients(tuple(mu), tuple(nu), tuple(mu_tilde), tuple(gamma_tilde))


def stages_for(stiffness: float) -> int:
    """The fewest stages that are stable at h rho, at least 3."""
    return max(3, math.ceil(math.sqrt(1 + 1.54 * stiffness)))


def longest_step(rho: float) -> float:
    """What `MAX_STAGES` are stable for."""
    return (MAX_STAGES**2 - 1) / 1.54 / max(rho, 1e-30)


@dataclass(frozen=True)
class Plan:
    """Steps that seeds take together: sizes and stage counts, the most stages first."""

    seeds: Seeds
    sizes: tuple[float, ...]
    stages: tuple[int, ...]
    _tables: dict[str, Tensor] = field(default_factory=dict, repr=False, compare=False)

    def only(self, places: Sequence[int]) -> "Plan":
        """The steps at some places of the plan."""
        if len(places) == len(self.seeds):
            return self
        parts = (self.seeds, self.sizes, self.stages)
        return Plan(*(tuple(part[k] for k in places) for part in parts))  # type: ignore[arg-type]

    def active(self, stage: int) -> int:
        """How many of the seeds have a stage of that number."""
        return sum(count >= stage for count in self.stages)

    def at(self, stage: int, each: int, like: Tensor) -> tuple[Number, ...]:
        """mu, nu, 1 - mu - nu, h mu~, h gamma~ of stage j, for the seeds that have it.

        Args:
            each: rows of a seed. like: for dtype and device.
        """
        if len(self.seeds) == 1:
            return _of_stage(self.sizes[0], self.stages[0], stage)
        if "table" not in self._tables:  # (stages, 5, rows)
            numbers = [
                [
                    _of_stage(h, stages, min(j, stages))
                    for h, stages in zip(self.sizes, self.stages, strict=True)
                ]
                for j in range(1, self.stages[0] + 1)
            ]
            table = torch.tensor(numbers, dtype=like.dtype).to(like.device).mT
            self._tables["table"] = table.repeat_interleave(each, 2)
        rows = self.active(stage) * each
        return self._tables["table"][stage - 1, :, :rows].unsqueeze(2).unbind(0)


def _of_stage(h: float, stages: int, j: int) -> tuple[float, float, float, float, float]:
    c = coefficients(stages)
    return c.mu[j], c.nu[j], 1 - c.mu[j] - c.nu[j], h * c.mu_tilde[j], h * c.gamma_tilde[j]


def _add(into: Tensor, values: Tensor, factor: Number, sign: int = 1) -> Tensor:
    """into += sign * factor * values, in place."""
    if isinstance(factor, Tensor):
        return into.addcmul_(values, factor, value=sign)
    return into.add_(values, alpha=sign * factor)


def step(
    flow: Flow, u: Tensor, point: Point | None, slope: Tensor, plan: Plan, keep: bool
) -> tuple[list[Tensor], list[Point], Tensor]:
    """Take the steps of `plan` from u (K B, Q), rows in the plan's order.

        Y_0 = u;  Y_1 = Y_0 + h mu_1~ F_0;  for j = 2, ..., s:
        Y_j = (1 - mu_j - nu_j) Y_0 + mu_j Y_{j-1} + nu_j Y_{j-2} + h mu_j~ F_{j-1} + h gamma_j~ F_0

    computed as Y_j - Y_0, so that small steps lose no digits.

    Args:
        flow: of all seeds. point, slope: at u; -F_0.

    Returns:
        Y_1, ..., Y_{s-1}, each of the rows that have a next stage; the points of Y_0, ...,
        Y_{s-1}, or none if they are not kept; and the ends (K B, Q).
    """
    each = len(u) // len(plan.seeds)
    before, now = torch.zeros_like(u), slope * -plan.at(1, each, u)[3]  # less Y_0: Y_{j-2}, Y_{j-1}
    state, done = u + now, len(plan.seeds)
    inner: list[Tensor] = []
    points = [point] if keep and point is not None else []
    ends: list[Tensor] = []  # of the seeds that are through, the last first
    for j in range(2, plan.stages[0] + 1):
        count = plan.active(j)
        if count < done:
            rows = count * each
            ends.append(state[rows:])
            u, slope, before, now, state = (x[:rows] for x in (u, slope, before, now, state))
            done = count
        part = flow.of(plan.seeds[:count])
        point = part.loss.at(state)
        inner.append(state)
        if keep:
            points.append(point)
        mu, nu, _, h_mu, h_gamma = plan.at(j, each, state)
        after = part.descent(point, state).mul_(-h_mu)
        _add(after, slope, h_gamma, -1)
        _add(after, now, mu)
        _add(after, before, nu)
        before, now = now, after
        state = u + after
    end = torch.cat([state, *ends[::-1]]) if ends else state
    return inner, points, end


def step_back(
    flow: Flow, plan: Plan, points: Sequence[Point], lam: Tensor, anchored: Tensor | None
) -> Tensor:
    """The transpose of `step`, last stage first: one Hessian-vector product a stage.

    With eta_j = dJ/dY_j and gamma = dJ/dF_0, for j = s, ..., 2:
        eta_{j-1} += mu_j eta_j + h mu_j~ F'(Y_{j-1}) eta_j;   eta_{j-2} += nu_j eta_j
        eta_0 += (1 - mu_j - nu_j) eta_j;                      gamma += h gamma_j~ eta_j
    then eta_0 += eta_1, gamma += h mu_1~ eta_1 and eta_0 += F'(Y_0) gamma.

    Args:
        points: at Y_0, ..., Y_{s-1}, as from `step`.
        lam: dJ/du at the step's end, (K B, Q).
        anchored: gains what goes through the regulariser's anchor.

    Returns:
        dJ/du at its start, (K B, Q).
    """
    each, mu_r = len(lam) // len(plan.seeds), flow.regulariser
    start, gamma = torch.zeros_like(lam), torch.zeros_like(lam)  # of Y_0 and F_0
    rows = 0
    eta = eta_below = lam[:0]  # of Y_j and Y_{j-1}
    for j in range(plan.stages[0], 1, -1):
        count = plan.active(j)
        if count * each > rows:  # seeds with fewer stages join
            eta = torch.cat([eta, lam[rows : count * each]])
            eta_below = torch.cat([eta_below, torch.zeros_like(lam[rows : count * each])])
            rows = count * each
        part = flow.of(plan.seeds[:count])
        mu, nu, rest, h_mu, h_gamma = plan.at(j, each, lam)
        pulled = part.pull_back(points[j - 1], eta)
        if anchored is not None:
            _add(anchored[:rows], part.rate * eta, mu_r * h_mu)
        _add(start[:rows], eta, rest)
        _add(gamma[:rows], eta, h_gamma)
        below = _add(_add(eta_below, eta, mu), pulled, h_mu, -1)
        eta, eta_below = below, nu * eta
    start.add_(eta).add_(eta_below)  # of Y_1 = Y_0 + h mu_1~ F_0, and nu_2 of Y_2
    _add(gamma, eta, plan.at(1, each, lam)[3])
    whole = flow.of(plan.seeds)
    if anchored is not None:
        anchored.add_(whole.rate * gamma, alpha=mu_r)
    return start.sub_(whole.pull_back(points[0], gamma))


def rows_within(inner: list[Tensor], plan: Plan, places: Sequence[int]) -> list[Tensor]:
    """Y_1, ..., Y_{s-1} of the seeds at some places of a plan only, as `step` gives them."""
    kept = []
    for j, state in enumerate(inner, start=2):  # Y_{j-1} has the rows of stage j
        count = plan.active(j)
        chosen = tuple(place for place in places if place < count)
        if chosen:
            kept.append(take(state, chosen, count))
    return kept


@dataclass
class Tried:
    """The steps of a plan as they were tried, rows in the plan's order.

    inner, points, end: as `step` returns them. end_slope: -F at the end, (K B, Q). errors: of
    each seed's step, in units of the tolerance. end_point: at the end, if it is at hand.
    """

    plan: Plan
    inner: list[Tensor]
    points: list[Point]
    end: Tensor
    end_slope: Tensor
    errors: list[float]
    end_point: Point | None

    def accepted(self) -> "Tried | None":
        """The steps within the tolerance, if there are any; points are let go unless all are."""
        places = tuple(k for k, error in enumerate(self.errors) if error <= 1)
        of = len(self.errors)
        if len(places) in (0, of):
            return self if places else None
        return Tried(
            self.plan.only(places),
            rows_within(self.inner, self.plan, places),
            [],
            take(self.end, places, of),
            take(self.end_slope, places, of),
            [self.errors[k] for k in places],
            None,
        )


@dataclass
class Front:
    """Where all seeds stand.

    u: (R, Q). slope: -F(u), (R, Q). point: the loss at u of the seeds `order`, in that order;
    of none where it is not at hand.
    """

    u: Tensor
    slope: Tensor
    point: Point | None
    order: Seeds

    def advance(self, done: Tried, of: int) -> None:
        """Move the seeds of some steps to their ends; `of` seeds there are."""
        seeds = done.plan.seeds
        self.u = put(self.u, seeds, done.end, of)
        self.slope = put(self.slope, seeds, done.end_slope, of)
        self.point, self.order = done.end_point, seeds if done.end_point is not None else ()


class ChebyshevScheme:
    """A recorded step, and how it is computed again (recording.Scheme)."""

    own_states = False

    def seeds(self, plan: Plan) -> Seeds:
        return plan.seeds

    def stages(self, plan: Plan) -> int:
        return plan.stages[0]

    def vectors(self, stages: int) -> int:
        return stages + 16

    def advance(self, flow: Flow, start: Tensor, plan: Plan, keep: bool) -> Advanced:
        part = flow.of(plan.seeds)
        u = take(start, plan.seeds, flow.seeds)
        point = part.loss.at(u)
        inner, points, end = step(flow, u, point, part.descent(point, u), plan, keep)
        return Advanced(inner, points, put(start, plan.seeds, end, flow.seeds))

    def states(
        self, flow: Flow, start: Tensor, inner: list[Tensor], plan: Plan
    ) -> list[tuple[Flow, Tensor]]:
        whole = (flow.of(plan.seeds), take(start, plan.seeds, flow.seeds))
        each = len(start) // flow.seeds
        return [whole] + [(flow.of(plan.seeds[: len(y) // each]), y) for y in inner]

    def back(
        self, flow: Flow, step: Step, points: Sequence[Point], lam: Tensor, anchored: Tensor | None
    ) -> Tensor:
        return step_back(flow, step.plan, points, lam, anchored)
