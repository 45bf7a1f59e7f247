"""Gradient flow by explicit Runge-Kutta methods: torchdiffeq chooses the steps, we keep them."""

import math
import warnings
from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor

from pipeline.core.interface import Point
from pipeline.core.recording import Budget, Recording, Step
from pipeline.core.seeds import not_finite
from pipeline.core.solvers.flow import Diverged, Flow
from pipeline.core.solvers.runge_kutta_step import RungeKuttaScheme
from pipeline.core.solvers.tableaux import TABLEAUX
from pipeline.core.work import Work

FIXED_STEP = ("euler", "midpoint", "rk4")
ADAPTIVE = ("dopri5", "bosh3")
SOLVERS = FIXED_STEP + ADAPTIVE
MAX_STEPS = 3_000  # of an adaptive solver; more means a blow-up


def first_step(flow: Flow, solver: str, rtol: float, atol: float) -> float:
    """A first step for an adaptive solver (Hairer, Norsett, Wanner, Solving Ordinary
    Differential Equations I, II.4), but for the trial step: 1% of |u| / |f|, 2-norms.
    """
    order = {"dopri5": 5, "bosh3": 3}[solver]
    u, norm = flow.anchor, _norm(flow)
    slope = flow.slope(u)
    if bad := not_finite(slope):
        raise flow.diverged("the gradient at the start is not finite", bad[0])
    size = u.square().sum()
    if flow.left_out is not None:
        size = size + flow.left_out.sum()
    scale = atol + rtol * u.abs()
    speed = float(norm(slope / scale))
    trial = 0.01 * float(size.sqrt()) / max(float(torch.linalg.vector_norm(slope)), 1e-30)
    trial = max(min(trial, 1e6), 1e-6)
    bend = float(norm((flow.slope(u + trial * slope) - slope) / scale)) / trial
    steepest = max(speed, bend)
    if not math.isfinite(steepest):
        worst = int(torch.nan_to_num(slope.abs()).amax(1).argmax())
        raise flow.diverged("the gradient at the start overflows", worst)
    if not steepest > 1e-15:
        return max(1e-6, trial * 1e-3)
    return min(100 * trial, (0.01 / steepest) ** (1 / order))


def solve_flow(
    flow: Flow,
    times: Tensor,
    *,
    solver: str,
    rtol: float,
    atol: float,
    work: Work,
    budget: Budget | None = None,
    points: bool = False,
) -> tuple[Recording, Tensor]:
    """Integrate the flow of one seed over times (n+1,); steps end at the last one.

    Fixed-step solvers step from time to time; adaptive ones choose their steps for all tasks
    of the seed together.

    Args:
        points: whether the way back wants the stages' points.

    Returns:
        The accepted steps, and the state at the last time (R, Q).

    Raises:
        Diverged: when the solver's step size underflows or a state is not finite.
    """
    recording = Recording(flow, budget, RungeKuttaScheme(solver), points=points)
    if solver in FIXED_STEP:
        end = _fixed(flow, recording, times, work, points)
    else:
        end = _adaptive(flow, recording, times, solver, rtol, atol, work, points)
    if bad := not_finite(end):
        raise flow.diverged(
            f"the flow reached NaN or infinity before T = {float(times[-1]):g} with {solver}; "
            "use a smaller step, an adaptive solver, a shorter horizon, or standardised data",
            bad[0],
        )
    return recording, end


def _fixed(flow: Flow, recording: Recording, times: Tensor, work: Work, points: bool) -> Tensor:
    u, scheme = flow.anchor, recording.scheme
    h = float(times[-1]) / (len(times) - 1)
    for _ in range(len(times) - 1):
        keep = recording.may_keep_points(scheme.stages(h))
        again = scheme.advance(flow, u, h, keep)
        # without points only the starts are asked for
        recording.append(Step(h, u, again.inner if points else [], again.points or None))
        work.accepted += 1
        u = again.end
    return u


def _adaptive(
    flow: Flow,
    recording: Recording,
    times: Tensor,
    solver: str,
    rtol: float,
    atol: float,
    work: Work,
    points: bool,
) -> Tensor:
    tableau = TABLEAUX[solver]
    keep = points and recording.may_keep_points(tableau.stages + 1)
    seen: list[tuple[Tensor, Point | None]] = []  # evaluations since the last accepted step

    class Field:
        """The right-hand side, with the callbacks that torchdiffeq looks for.

        Attributes:
            latest: where it was evaluated last. end: of the last accepted step, whose last
                evaluation is there. What torchdiffeq returns is its quartic at 1, which rounds.
        """

        latest = end = flow.anchor

        def __call__(self, t: Tensor, u: Tensor) -> Tensor:
            point = flow.loss.at(u)
            slope = flow.descent(point, u).neg_()
            seen.append((slope, point if keep else None))
            self.latest = u
            return slope

        def callback_accept_step(self, t: Tensor, u: Tensor, h: Tensor) -> None:
            # the slope at the start, then this step's: the last is the next one's first
            used = [seen[0], *seen[-tableau.stages :]]
            points = [point for _, point in used[:-1] if point is not None]
            recording.append(Step(float(h), u, [slope for slope, _ in used], points or None))
            work.accepted += 1
            self.end = self.latest
            seen[:] = [used[-1]]

        def callback_reject_step(self, *_: object) -> None:
            work.rejected += 1
            del seen[1:]

    span = torch.stack([times[0], times[-1]])
    options = {
        "step_t": span[-1:],
        "norm": _norm(flow),
        "first_step": first_step(flow, solver, rtol, atol),
    }

    def diverged(message: str) -> Diverged:
        bad = not_finite(seen[-1][0]) if seen else ()
        return flow.diverged(message, bad[0] if bad else None)

    field = Field()
    integrate(field, flow.anchor, span, solver, rtol, atol, options, diverged)
    return field.end


def _norm(flow: Flow) -> Callable[[Tensor], Tensor]:
    """The root mean square over P parameters a task, where Q of them are integrated."""
    share = flow.anchor.shape[1] / flow.size if flow.size else 1.0

    def norm(values: Tensor) -> Tensor:
        return (values.square().mean() * share).sqrt()

    return norm


def integrate(
    field: object,
    start: object,
    times: Tensor,
    solver: str,
    rtol: float,
    atol: float,
    options: dict[str, Any],
    diverged: Callable[[str], Diverged],
) -> Any:
    """`torchdiffeq.odeint`; what it would only assert of an adaptive solver ends as `Diverged`."""
    # here, since it loads SciPy's integrators: half a second that most jobs do without
    from torchdiffeq import odeint

    def diverge(why: str) -> NoReturn:
        span = f"between t = {float(times[0]):g} and {float(times[-1]):g}"
        raise diverged(f"{solver} gave up {span}: {why}")

    with warnings.catch_warnings():
        # torchdiffeq warns about callbacks that a solver does not know
        warnings.filterwarnings("ignore", message=".*callback.*")
        watched = _Watched(field, diverge) if solver in ADAPTIVE else field
        return odeint(watched, start, times, method=solver, rtol=rtol, atol=atol, options=options)


class _Watched:
    """A right-hand side that looks before each step of an adaptive solver.

    torchdiffeq asserts the same a moment later, but `python -O` takes assertions out, and then a
    step of size 0 is repeated for ever.
    """

    def __init__(self, field: Any, diverge: Callable[[str], NoReturn]) -> None:
        self._field = field
        self._diverge = diverge
        self._steps = 0

    def __call__(self, t: Tensor, u: Any) -> Any:
        return self._field(t, u)

    def __getattr__(self, name: str) -> Any:  # other callbacks
        return getattr(self._field, name)

    def callback_step(self, t: Tensor, u: Any, h: Tensor) -> None:
        if self._steps >= MAX_STEPS:
            self._diverge(f"max_num_steps exceeded ({self._steps}>={MAX_STEPS})")
        self._steps += 1
        if not bool(t + h > t):
            self._diverge(f"underflow in dt {h.item()}")
        if not all(bool(torch.isfinite(part).all()) for part in (u if type(u) is tuple else (u,))):
            self._diverge("non-finite values in state `y`")
