"""The adjoint of gradient flow as a differential equation of its own, solved from T down to 0.

Signs: with Hess = d²L_support/du² the adjoint of du/dt = -dL/du is dlambda/dt = +Hess lambda
(eq. (11) of Li et al., arXiv:2110.08432, writes -H lambda with H = df/du = -Hess). A regulariser
adds mu to Hess, and mu times the integral of lambda to the gradient, for the flow then depends
on theta as its anchor too.
"""

from collections.abc import Callable, Iterator
from itertools import islice

import torch
from torch import Tensor

from pipeline.core.graphs import Graphs
from pipeline.core.interface import Point
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.runge_kutta import integrate

# a state's number, counted from the last one, and the state -> what lambda gains there, (R, Q)
StateJump = Callable[[int, Tensor], Tensor]


def modified_euler(
    flow: Flow,
    states: Iterator[Tensor],
    lam: Tensor,
    step: float,
    *,
    chunk: int,
    jump: StateJump | None = None,
    graphs: Graphs | None = None,
) -> Tensor:
    """Algorithm 2: the adjoint on kept states, backward by modified Euler (Heun's method).

        a = Hess(u_{j+1}) lambda_{j+1};  p = lambda_{j+1} - h a
        lambda_j = lambda_{j+1} - h/2 (a + Hess(u_j) p)

    Args:
        states: u_n, ..., u_0 at times n h, ..., 0, each (R, Q).
        lam: lambda(T) (R, Q), without the jump at n.
        step: h.
        chunk: states whose forward and backward passes are made in one large batch.
        jump: what a running cost adds at state n - j.
        graphs: captures the steps of a chunk, without jump and regulariser.

    Returns:
        dJ/dtheta of each task, (R, Q).
    """
    h = step if flow.uniform else step * flow.rate
    if graphs is not None and jump is None and not flow.regulariser:
        return _captured_modified_euler(flow, states, lam, h, chunk, graphs)
    anchored = torch.zeros_like(lam) if flow.regulariser else None
    above: Point | None = None  # at u_{j+1}
    for number, (u, point) in enumerate(_points(flow, states, chunk)):
        if above is not None:
            lam = _heun(flow, lam, h, above, point, anchored)
        if jump is not None:
            lam = lam + jump(number, u)
        above = point
    return lam if anchored is None else lam + anchored


def _captured_modified_euler(
    flow: Flow,
    states: Iterator[Tensor],
    lam: Tensor,
    h: float | Tensor,
    chunk: int,
    graphs: Graphs,
) -> Tensor:
    """The steps through `chunk` states at a time as one graph."""

    def run(lam: Tensor, h: Tensor, *states: Tensor) -> tuple[Tensor]:
        above = flow.loss.at(states[0])
        for u in states[1:]:
            below = flow.loss.at(u)
            lam, above = _heun(flow, lam, h, above, below), below
        return (lam,)

    size = torch.as_tensor(h, dtype=lam.dtype, device=lam.device)
    trail: list[Tensor] = []  # u_{j+1}, and the next states
    while some := list(islice(states, chunk)):
        trail = [*trail[-1:], *some]
        if len(trail) > 1:
            (out,) = graphs.run(("heun", len(trail)), run, lam, size, *trail)
            lam = out.clone()
    return lam


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


def _curved(image: Tensor, lam: Tensor, mu: float) -> Tensor:
    """(Hess + mu) lambda of Hess lambda, in its place."""
    return image.add_(lam, alpha=mu) if mu else image


def _less(lam: Tensor, slope: Tensor, h: float | Tensor, share: float = 1.0) -> Tensor:
    """lam - share h slope; h a number or each row's, (R, 1)."""
    if isinstance(h, Tensor):
        return torch.addcmul(lam, slope, h, value=-share)
    return torch.sub(lam, slope, alpha=share * h)


def plain_euler(
    flow: Flow,
    states: Iterator[Tensor],
    lam: Tensor,
    step: float,
    *,
    chunk: int,
    jump: StateJump | None = None,
    one_more: bool = False,
) -> Tensor:
    """The same states, backward by plain Euler, as in the authors' released code.

        lambda_j = lambda_{j+1} - h (Hess(u_{j+1}) + mu) lambda_{j+1},  j = n - 1, ..., 0

    Args:
        states, lam, step, chunk, jump: as for `modified_euler`.
        one_more: take step n + 1 too, at u_0, as the released code does by mistake.

    Returns:
        dJ/dtheta of each task, (R, Q).
    """
    h = step if flow.uniform else step * flow.rate
    mu = flow.regulariser
    anchored = torch.zeros_like(lam)

    def back(lam: Tensor, point: Point) -> Tensor:
        if not mu:
            return lam - h * point.hvp(lam)
        anchored.add_(h * mu * lam)
        return lam - h * (point.hvp(lam) + mu * lam)

    above: Point | None = None  # at u_{j+1}
    for number, (u, point) in enumerate(_points(flow, states, chunk)):
        if above is not None:
            lam = back(lam, above)
        if jump is not None:
            lam = lam + jump(number, u)
        above = point
    if one_more and above is not None:
        lam = back(lam, above)
    return lam + anchored if mu else lam


def _points(flow: Flow, states: Iterator[Tensor], chunk: int) -> Iterator[tuple[Tensor, Point]]:
    """Each state with the point there, made for `chunk` states in one large batch."""
    while some := list(islice(states, chunk)):
        yield from zip(some, flow.loss.at_states(some), strict=True)


def backsolve(
    flow: Flow, end: Tensor, lam: Tensor, horizon: float, *, solver: str, rtol: float, atol: float
) -> Tensor:
    """Solve flow and adjoint, (5) and (11), jointly backward from T, storing nothing.

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
