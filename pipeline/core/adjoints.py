"""The way back: from dJ/du(T) to dJ/dtheta, for gradient descent and for gradient flow.

Signs: with Hess = d²L_support/du² the adjoint of du/dt = -dL/du is dlambda/dt = +Hess lambda,
solved from T down to 0 (the paper's eq. (11) writes -H lambda with H = df/du = -Hess).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipeline.core.losses import Loss
from pipeline.core.recording import Recording
from pipeline.core.solvers.chebyshev import coefficients
from pipeline.core.solvers.flow import Diverged, Flow, integrate

Jump = Callable[[int], Tensor | None]  # kept state's number -> what lambda gains there, (B, P)


def sweep_gradient_descent(loss: Loss, states: Sequence[Tensor], lam: Tensor, lr: float) -> Tensor:
    """lambda_k = lambda_{k+1} - alpha Hess(u_k) lambda_{k+1}, the transpose of each step.

    Args:
        states: u_0, ..., u_{K-1}, each (B, P).
        lam: lambda_K = dJ/du_K, (B, P).

    Returns:
        lambda_0 (B, P): the exact gradient of J in u_0 through the K steps.
    """
    for u in reversed(states):
        lam = lam - lr * loss.at(u).hvp(lam)
    return lam


def modified_euler(
    flow: Flow, states: Sequence[Tensor], lam: Tensor, step: float, jump: Jump | None = None
) -> Tensor:
    """Algorithm 2: the adjoint on kept states, backward by modified Euler (Heun's method).

        a = Hess(u_{j+1}) lambda_{j+1};  p = lambda_{j+1} - h a
        lambda_j = lambda_{j+1} - h/2 (a + Hess(u_j) p)

    The regulariser adds mu to Hess, and mu times the integral of lambda to the gradient,
    for the flow then depends on theta as its anchor too.

    Args:
        states: u_0, ..., u_n at times 0, h, ..., n h, each (B, P).
        lam: lambda(T) (B, P), without the jump at n.
        jump: what a running cost adds to lambda at each kept state, n down to 0.

    Returns:
        dJ/dtheta of each task, (B, P).
    """
    mu, h = flow.regulariser, step * flow.rate
    through_anchor = torch.zeros_like(lam)
    last = len(states) - 1
    if jump is not None:
        lam = _plus(lam, jump(last))
    point = flow.loss.at(states[last])
    for j in range(last - 1, -1, -1):
        a = point.hvp(lam) + mu * lam if mu else point.hvp(lam)
        predicted = lam - h * a
        point = flow.loss.at(states[j])
        b = point.hvp(predicted) + mu * predicted if mu else point.hvp(predicted)
        if mu:
            through_anchor = through_anchor + (h * mu / 2) * (lam + predicted)
        lam = lam - (h / 2) * (a + b)
        if jump is not None:
            lam = _plus(lam, jump(j))
    return lam + through_anchor


def chebyshev_sweep(
    flow: Flow, recording: Recording, lam: Tensor, jump: Jump | None = None
) -> Tensor:
    """The transpose of the Chebyshev recurrence, last stage first: its exact discrete adjoint.

    With eta_j = dJ/dY_j and gamma = dJ/dF_0, for j = s, ..., 2:
        eta_{j-1} += mu_j eta_j + h mu_j~ F'(Y_{j-1}) eta_j;   eta_{j-2} += nu_j eta_j
        eta_0 += (1 - mu_j - nu_j) eta_j;                      gamma += h gamma_j~ eta_j
    then eta_0 += eta_1, gamma += h mu_1~ eta_1 and eta_0 += F'(Y_0) gamma: one
    Hessian-vector product a stage. Step sizes and stage counts are held fixed.

    Args:
        lam: dJ/du(T) (B, P), without the jump at the last state.
        jump: what a running cost adds at each accepted state, from the last down to 0.

    Returns:
        dJ/dtheta of each task, (B, P).
    """
    mu_r = flow.regulariser
    through_anchor = torch.zeros_like(lam)
    if jump is not None:
        lam = _plus(lam, jump(len(recording.steps)))
    for number, step, points in recording.backward():
        c, h, s = coefficients(step.stages), step.h, step.stages
        eta, eta_below = lam, torch.zeros_like(lam)  # of Y_j and Y_{j-1}
        start, gamma = torch.zeros_like(lam), torch.zeros_like(lam)  # of Y_0 and F_0
        for j in range(s, 1, -1):
            pulled = flow.pull_back(points[j - 1], eta)
            if mu_r:
                through_anchor.add_(flow.rate * eta, alpha=mu_r * h * c.mu_tilde[j])
            start.add_(eta, alpha=1 - c.mu[j] - c.nu[j])
            gamma.add_(eta, alpha=h * c.gamma_tilde[j])
            below = eta_below.add_(eta, alpha=c.mu[j]).add_(pulled, alpha=-h * c.mu_tilde[j])
            eta, eta_below = below, c.nu[j] * eta
        start.add_(eta).add_(eta_below)  # of Y_1 = Y_0 + h mu_1~ F_0, and nu_2 of Y_2
        gamma.add_(eta, alpha=h * c.mu_tilde[1])
        if mu_r:
            through_anchor.add_(flow.rate * gamma, alpha=mu_r)
        lam = start.sub_(flow.pull_back(points[0], gamma))
        del points  # before the next step's are made
        if jump is not None:
            lam = _plus(lam, jump(number))
    return lam + through_anchor


def backsolve(
    flow: Flow, end: Tensor, lam: Tensor, horizon: float, *, solver: str, rtol: float, atol: float
) -> Tensor:
    """Solve (5) and (11) jointly backward from T, storing nothing.

    Reversed gradient flow amplifies every error by exp(rho t): it diverges for long
    horizons, which is why the kept states exist.

    Args:
        end: u(T), (B, P). lam: lambda(T), (B, P).

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
    _, lams, anchored = integrate(field, start, span, solver=solver, rtol=rtol, atol=atol)
    gradient = lams[-1] + anchored[-1]
    if not bool(torch.isfinite(gradient).all()):
        raise Diverged(
            f"`backsolve` reached NaN or infinity over T = {horizon:g}: reversed gradient flow "
            "is unstable; use backward: modified_euler, which keeps the states"
        )
    return gradient


def _plus(lam: Tensor, gain: Tensor | None) -> Tensor:
    return lam if gain is None else lam + gain
