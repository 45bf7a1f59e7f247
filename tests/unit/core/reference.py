"""Independent float64 references: autograd through everything, one task at a time.

Nothing here uses the closed forms, the solvers or the adjoints of `pipeline.core`; the only
shared piece is the `TaskBatch` that holds the rows.
"""

from collections.abc import Callable
from fractions import Fraction

import torch
from numpy.polynomial import Chebyshev
from torch import Tensor, nn

from pipeline.core import Rows, TaskBatch


def predict(module: nn.Module, u: Tensor, x: Tensor) -> Tensor:
    """The module's prediction with flat parameters u, differentiable in u."""
    parts, used = {}, 0
    for name, value in module.named_parameters():
        if not value.requires_grad:
            continue
        parts[name] = u[used : used + value.numel()].view_as(value)
        used += value.numel()
    return torch.func.functional_call(module, parts, (x,))


def task_loss(module: nn.Module, rows: Rows, task: int) -> Callable[[Tensor], Tensor]:
    """u -> 1/2 weighted mean of squared errors on one task's rows."""

    def loss(u: Tensor) -> Tensor:
        error = predict(module, u, rows.x[task]) - rows.y[task]
        return 0.5 * (rows.weight[task] * error**2).sum()

    return loss


def slope(loss: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
    """dloss/du with a graph, so that it can be differentiated again."""
    (gradient,) = torch.autograd.grad(loss(u), u, create_graph=True)
    return gradient


def mean_over_tasks(
    module: nn.Module,
    theta: Tensor,
    batch: TaskBatch,
    objective: Callable[[Callable, Callable, Tensor], Tensor],
) -> Tensor:
    """d/dtheta of the mean of `objective(support_loss, query_loss, theta)` over tasks."""
    theta = theta.clone().requires_grad_()
    total = torch.zeros((), dtype=theta.dtype)
    for task in range(len(batch)):
        total = total + objective(
            task_loss(module, batch.support, task), task_loss(module, batch.query, task), theta
        )
    (gradient,) = torch.autograd.grad(total / len(batch), theta)
    return gradient


def descend(support: Callable, u: Tensor, steps: int, lr: float) -> Tensor:
    """K steps of gradient descent, with a graph."""
    for _ in range(steps):
        u = u - lr * slope(support, u)
    return u


def flow(support: Callable, u: Tensor, horizon: float, steps: int, mu: float = 0.0) -> list[Tensor]:
    """States of du/dt = -(dL/du + mu (u - theta)) by classical RK4, with a graph."""
    anchor, h = u, horizon / steps

    def f(u: Tensor) -> Tensor:
        return -slope(support, u) - mu * (u - anchor)

    states = [u]
    for _ in range(steps):
        k1 = f(u)
        k2 = f(u + h / 2 * k1)
        k3 = f(u + h / 2 * k2)
        k4 = f(u + h * k3)
        u = u + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(u)
    return states


def flow_gradient(
    module: nn.Module,
    theta: Tensor,
    batch: TaskBatch,
    *,
    horizon: float,
    steps: int,
    omega: float = 0.0,
    mu: float = 0.0,
) -> Tensor:
    """The converged gradient of the (anytime) objective through gradient flow."""

    def objective(support: Callable, query: Callable, theta: Tensor) -> Tensor:
        states = flow(support, theta, horizon, steps, mu)
        value = (1 - omega) * query(states[-1])
        if omega:  # Simpson's rule, another quadrature than the core's trapezoid
            losses = [query(u) for u in states]
            inner = 4 * sum(losses[1:-1:2]) + 2 * sum(losses[2:-1:2])
            value = value + omega / (3 * steps) * (losses[0] + inner + losses[-1])
        return value

    return mean_over_tasks(module, theta, batch, objective)


# Butcher tableaux (rows of stages 2, 3, ...; weights) as textbooks print them: Hairer, Norsett,
# Wanner, Solving Ordinary Differential Equations I, tables II.1.1, II.1.2 and II.5.2, and
# Bogacki, Shampine 1989. `rk4` is Kutta's 3/8 rule, as in torchdiffeq.
TEXTBOOK: dict[str, tuple[list[list[str]], list[str]]] = {
    "euler": ([], ["1"]),
    "midpoint": ([["1/2"]], ["0", "1"]),
    "rk4": ([["1/3"], ["-1/3", "1"], ["1", "-1", "1"]], ["1/8", "3/8", "3/8", "1/8"]),
    "bosh3": ([["1/2"], ["0", "3/4"]], ["2/9", "1/3", "4/9"]),
    "dopri5": (
        [
            ["1/5"],
            ["3/40", "9/40"],
            ["44/45", "-56/15", "32/9"],
            ["19372/6561", "-25360/2187", "64448/6561", "-212/729"],
            ["9017/3168", "-355/33", "46732/5247", "49/176", "-5103/18656"],
        ],
        ["35/384", "0", "500/1113", "125/192", "-2187/6784", "11/84"],
    ),
}


def runge_kutta_step(solver: str, f: Callable[[Tensor], Tensor], u: Tensor, h: float) -> Tensor:
    """One step of an explicit method by its tableau."""
    rows, weights = TEXTBOOK[solver]
    slopes: list[Tensor] = []
    for row in ([], *rows, weights):
        moved = u
        for weight, k in zip(row, slopes, strict=True):
            moved = moved + h * float(Fraction(weight)) * k
        if len(slopes) == len(weights):
            return moved
        slopes.append(f(moved))
    raise AssertionError("a tableau has as many rows as weights")


def chebyshev_step(f: Callable[[Tensor], Tensor], u: Tensor, h: float, s: int) -> Tensor:
    """One step of RKC2 with s stages, formulas and names as in Sommeijer et al. 1998."""
    w0 = 1 + 2 / 13 / s**2
    basis = [Chebyshev.basis(j) for j in range(s + 1)]
    t, dt, ddt = ([float(p.deriv(n)(w0) if n else p(w0)) for p in basis] for n in range(3))
    w1 = dt[s] / ddt[s]
    b = [ddt[max(j, 2)] / dt[max(j, 2)] ** 2 for j in range(s + 1)]
    f0 = f(u)
    below, now = u, u + h * b[1] * w1 * f0
    for j in range(2, s + 1):
        mu, nu, mu_tilde = 2 * b[j] * w0 / b[j - 1], -b[j] / b[j - 2], 2 * b[j] * w1 / b[j - 1]
        gamma_tilde = -(1 - b[j - 1] * t[j - 1]) * mu_tilde
        ahead = (1 - mu - nu) * u + mu * now + nu * below
        below, now = now, ahead + h * mu_tilde * f(now) + h * gamma_tilde * f0
    return now


def objective_along(
    solver: str,
    steps: list[tuple[float, int]],
    support: Callable,
    query: Callable,
    theta: Tensor,
    omega: float,
    mu: float,
) -> Tensor:
    """J of one task through given steps (size, stages), trapezoid rule for its running cost."""

    def f(u: Tensor) -> Tensor:
        return -slope(support, u) - mu * (u - theta)

    u, value, horizon = theta, torch.zeros((), dtype=theta.dtype), sum(h for h, _ in steps)
    for h, stages in steps:
        if solver == "amaml_rkc":
            moved = chebyshev_step(f, u, h, stages)
        else:
            moved = runge_kutta_step(solver, f, u, h)
        if omega:
            value = value + omega / horizon * h / 2 * (query(u) + query(moved))
        u = moved
    return value + (1 - omega) * query(u)
