"""The way back: from dJ/du(T) to dJ/dtheta, for gradient descent and for gradient flow.

Signs: with Hess = d²L_support/du² the adjoint of du/dt = -dL/du is dlambda/dt = +Hess lambda,
solved from T down to 0 (the paper's eq. (11) writes -H lambda with H = df/du = -Hess).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from torch import Tensor

from pipeline.core.graphs import Graphs
from pipeline.core.interface import Point
from pipeline.core.recording import Recording, Step
from pipeline.core.seeds import Seeds, put, take
from pipeline.core.solvers.chebyshev_graphs import Captured
from pipeline.core.solvers.chebyshev_step import step_back
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.runge_kutta import integrate
from pipeline.core.solvers.tableaux import Tableau

Jump = Callable[[int, Tensor], Tensor]  # number and state -> what lambda gains there, (R, Q)
StepJump = Callable[[int, Step], Tensor]  # a step's number and itself -> its start's gain


def sweep_gradient_descent(recording: Recording, lam: Tensor) -> Tensor:
    """lambda_k = lambda_{k+1} - alpha Hess(u_k) lambda_{k+1}, the transpose of each step.

    Args:
        lam: lambda_K = dJ/du_K, (R, Q).

    Returns:
        lambda_0 (R, Q): the exact gradient of J in u_0 through the K steps.
    """
    for _, step, points in recording.backward():
        lam = torch.sub(lam, points[0].hvp(lam), alpha=step.plan)
    return lam


def modified_euler(
    flow: Flow,
    states: Iterator[Tensor],
    lam: Tensor,
    step: float,
    *,
    chunk: int,
    jump: Jump | None = None,
    graphs: Graphs | None = None,
) -> Tensor:
    """Algorithm 2: the adjoint on kept states, backward by modified Euler (Heun's method).

        a = Hess(u_{j+1}) lambda_{j+1};  p = lambda_{j+1} - h a
        lambda_j = lambda_{j+1} - h/2 (a + Hess(u_j) p)

    The regulariser adds mu to Hess, and mu times the integral of lambda to the gradient,
    for the flow then depends on theta as its anchor too.

    Args:
        states: u_n, ..., u_0 at times n h, ..., 0, each (R, Q). Forward and backward passes
            of `chunk` of them are made in one large batch.
        lam: lambda(T) (R, Q), without the jump at n.
        jump: what a running cost adds to lambda at state number n - j, counted from the end.
        graphs: captures the steps of a chunk, without jump and regulariser.

    Returns:
        dJ/dtheta of each task, (R, Q).
    """
    h = step if flow.uniform else step * flow.rate
    anchored = torch.zeros_like(lam) if flow.regulariser else None
    above: Tensor | None = None  # u_{j+1}, and the point there
    point: Point | None = None
    number = 0
    while some := list(islice(states, chunk)):
        if graphs is not None and jump is None and above is not None and anchored is None:
            lam = _captured_heun(flow, graphs, lam, h, [above, *some])
            above = some[-1]
            continue
        for u, below in zip(some, flow.loss.at_states(some), strict=True):
            if point is not None:
                lam = _heun(flow, lam, h, point, below, anchored)
            if jump is not None:
                lam = lam + jump(number, u)
            above, point, number = u, below, number + 1
    return lam if anchored is None else lam + anchored


def _heun(
    flow: Flow,
    lam: Tensor,
    h: float | Tensor,
    above: Point,
    below: Point,
    anchored: Tensor | None = None,
) -> Tensor:
    """One step back, from the point at u_{j+1} to that at u_j."""
    mu = flow.regulariser
    a = _curved(above.hvp(lam), lam, mu)
    predicted = _less(lam, a, h)
    b = _curved(below.hvp(predicted), predicted, mu)
    if anchored is not None:
        anchored += (lam + predicted) * (h * mu / 2)
    return _less(lam, a.add_(b), h, 0.5)


def _captured_heun(
    flow: Flow, graphs: Graphs, lam: Tensor, h: float | Tensor, states: Sequence[Tensor]
) -> Tensor:
    """Steps back from the first of `states` to the last, as one graph."""

    def run(lam: Tensor, size: Tensor, *states: Tensor) -> tuple[Tensor]:
        above = flow.loss.at(states[0])
        for u in states[1:]:
            below = flow.loss.at(u)
            lam, above = _heun(flow, lam, size, above, below), below
        return (lam,)

    size = torch.as_tensor(h, dtype=lam.dtype, device=lam.device)
    (lam,) = graphs.run(("heun", len(states)), run, lam, size, *states)
    return lam.clone()


def _curved(image: Tensor, lam: Tensor, mu: float) -> Tensor:
    return image.add_(lam, alpha=mu) if mu else image


def _less(lam: Tensor, slope: Tensor, h: float | Tensor, share: float = 1.0) -> Tensor:
    """lam - share h slope; h a number or each row's, (R, 1)."""
    if isinstance(h, Tensor):
        return torch.addcmul(lam, slope, h, value=-share)
    return torch.sub(lam, slope, alpha=share * h)


def runge_kutta_sweep(
    flow: Flow, recording: Recording, tableau: Tableau, lam: Tensor, jump: StepJump | None = None
) -> Tensor:
    """The transpose of explicit Runge-Kutta steps, last stage first: their discrete adjoint.

    With w_i = J(Y_i)^T m_i and J the flow's Jacobian, for i = s, ..., 1:
        m_i = h b_i lambda + h sum_{j > i} a_ji w_j;   lambda += sum_i w_i
    one Hessian-vector product a stage. Step sizes are held fixed.

    Args:
        lam: dJ/du(T) (R, Q), without the jump at the last state.
        jump: what a running cost adds at each accepted state, from the last down to 0.

    Returns:
        dJ/dtheta of each task, (R, Q).
    """
    mu = flow.regulariser
    through_anchor = torch.zeros_like(lam)
    rows = ((), *tableau.a)
    for number, step, points in recording.backward():
        h, pulled = step.plan, [torch.empty(0)] * tableau.stages
        total = lam
        for i in range(tableau.stages - 1, -1, -1):
            m = lam * (h * tableau.b[i])
            for j in range(i + 1, tableau.stages):
                if rows[j][i]:
                    m.add_(pulled[j], alpha=h * rows[j][i])
            if mu:
                through_anchor.add_(flow.rate * m, alpha=mu)
            pulled[i] = flow.pull_back(points[i], m).neg_()
            total = total + pulled[i]
        lam = total
        del points, pulled  # before the next step's are made
        if jump is not None:
            lam = lam + jump(number, step)
    return lam + through_anchor if mu else lam


def chebyshev_sweep(
    flow: Flow,
    recording: Recording,
    lam: Tensor,
    jump: StepJump | None = None,
    captured: Captured | None = None,
) -> Tensor:
    """The transpose of the Chebyshev recurrence, last stage first: its exact discrete adjoint.

    With eta_j = dJ/dY_j and gamma = dJ/dF_0, for j = s, ..., 2:
        eta_{j-1} += mu_j eta_j + h mu_j~ F'(Y_{j-1}) eta_j;   eta_{j-2} += nu_j eta_j
        eta_0 += (1 - mu_j - nu_j) eta_j;                      gamma += h gamma_j~ eta_j
    then eta_0 += eta_1, gamma += h mu_1~ eta_1 and eta_0 += F'(Y_0) gamma: one
    Hessian-vector product a stage. Step sizes and stage counts are held fixed.

    Args:
        lam: dJ/du(T) (R, Q), without the jump at the last state.
        jump: what a running cost adds at each accepted state, from the last down to 0; for
            the seeds of the step, in their order.
        captured: makes the points of a step itself; the recording then has none.

    Returns:
        dJ/dtheta of each task, (R, Q).
    """
    through_anchor = torch.zeros_like(lam)
    for number, step, points in recording.backward():
        seeds: Seeds = step.plan.seeds
        part = take(lam, seeds, flow.seeds)
        anchored = torch.zeros_like(part) if flow.regulariser else None
        if captured is not None:
            part, anchored = captured.back(
                step.plan, recording.start_of(number), step.inner or (), part
            )
        else:
            part = step_back(flow, step.plan, points, part, anchored)
        del points  # before the next step's are made
        if jump is not None:
            part = part + jump(number, step)
        lam = put(lam, seeds, part, flow.seeds)
        if anchored is not None:
            anchored += take(through_anchor, seeds, flow.seeds)
            through_anchor = put(through_anchor, seeds, anchored, flow.seeds)
    return lam + through_anchor if flow.regulariser else lam


def backsolve(
    flow: Flow, end: Tensor, lam: Tensor, horizon: float, *, solver: str, rtol: float, atol: float
) -> Tensor:
    """Solve (5) and (11) jointly backward from T, storing nothing.

    Reversed gradient flow amplifies every error by exp(rho t): it diverges for long
    horizons, which is why the kept states exist.

    Args:
        end: u(T), (R, Q). lam: lambda(T), (R, Q). Of one seed.

    Raises:
        Diverged: when the reversed flow leaves the range of floating point.
    """
    mu = flow.regulariser

    def field(s: Tensor, state: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        u, lam, _ = state
        point = flow.loss.at(u)
        curved = point.hvp(lam) + mu * lam
        slope = point.gradient() + mu * (u - flow.anchor)
        return flow.rate * slope, -flow.rate * curved, mu * flow.rate * lam

    span = torch.tensor([0.0, horizon], dtype=end.dtype, device=end.device)
    start = (end, lam, torch.zeros_like(lam))
    _, lams, anchored = integrate(field, start, span, solver, rtol, atol, {}, flow.diverged)
    gradient: Tensor = lams[-1] + anchored[-1]
    if not bool(torch.isfinite(gradient).all()):
        raise flow.diverged(
            f"`backsolve` reached NaN or infinity over T = {horizon:g}: reversed gradient flow "
            "is unstable; use backward: modified_euler, which keeps the states"
        )
    return gradient
