"""Independent float64 references: autograd through everything, one task at a time.

Nothing here uses the closed forms, the solvers or the adjoints of `pipeline.core`; the only
shared piece is the `TaskBatch` that holds the rows.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from pipeline.core import Rows, TaskBatch


def predict(module: nn.Module, u: Tensor, x: Tensor) -> Tensor:
    """The module's prediction with flat parameters u, differentiable in u."""
    parts, used = {}, 0
    for name, value in module.named_parameters():
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
