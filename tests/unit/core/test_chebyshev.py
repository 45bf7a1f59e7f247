"""The Chebyshev solver and its discrete adjoint."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from pipeline.core import Diverged, ModuleModel, TaskBatch, Work, meta_gradient
from pipeline.core.adjoints import sweep
from pipeline.core.solvers.chebyshev import solve_chebyshev
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.solvers.chebyshev_step import coefficients
from pipeline.core.solvers.flow import Flow
from tests.unit.core import reference
from tests.unit.core.problems import make_batch, make_mlp, make_module
from tests.unit.core.quadratic import quadratic_flow

TIGHT = {"rtol": 1e-9, "atol": 1e-11}


def solve(flow, horizon, memory=None, **tolerance):
    settings = {"rtol": 1e-6, "atol": 1e-8, "works": [Work()]} | tolerance
    return solve_chebyshev(flow, horizon, **settings, memory=memory or ChebyshevMemory())


@pytest.mark.parametrize("stages", [3, 5, 12, 40])
def test_a_step_is_second_order_consistent_and_stable_on_its_interval(stages):
    """R(z) = 1 + z + z²/2 + O(z³), and |R| <= 1 down to z = -0.65 s²."""
    c = coefficients(stages)

    def stability(z: float) -> float:
        below, now = 1.0, 1 + c.mu_tilde[1] * z
        for j in range(2, stages + 1):
            ahead = (1 - c.mu[j] - c.nu[j]) + c.mu[j] * now + c.nu[j] * below
            below, now = now, ahead + c.mu_tilde[j] * z * now + c.gamma_tilde[j] * z
        return now

    for z in (-1e-2, 1e-2):
        assert stability(z) - (1 + z + z * z / 2) == pytest.approx(0, abs=abs(z) ** 3)
    grid = torch.linspace(-0.65 * (stages**2 - 1), 0, 2000).tolist()
    assert max(abs(stability(z)) for z in grid) <= 1 + 1e-9


def test_the_error_of_fixed_steps_falls_at_second_order():
    """Halve all steps of a recorded solve: rtol drives h, so compare tolerance to error."""
    rates = torch.tensor([[0.5, 1.0, 3.0]], dtype=torch.float64)
    exact = torch.exp(-rates * 2.0) * quadratic_flow(rates).anchor
    errors, steps = [], []
    for rtol in (1e-4, 1e-5, 1e-6, 1e-7):
        found, end = solve(quadratic_flow(rates), 2.0, rtol=rtol, atol=rtol * 1e-2)
        errors.append(float((end - exact).norm()))
        steps.append(len(found.steps))
    orders = [
        math.log(e1 / e2) / math.log(n2 / n1)
        for (e1, e2), (n1, n2) in zip(pairwise(errors), pairwise(steps), strict=True)
    ]
    assert orders[-1] == pytest.approx(2, abs=0.3)


def test_a_stiff_task_costs_the_square_root_of_its_stiffness():
    """rho T = 1e4 and 1e6: an explicit solver would need as many evaluations as rho T / 3."""
    counts = {}
    for rho in (1e3, 1e5):
        rates = torch.logspace(-1, math.log10(rho), 30, dtype=torch.float64)[None]
        flow = quadratic_flow(rates)
        _, end = solve(flow, 10.0, rtol=1e-3, atol=1e-5)
        exact = torch.exp(-rates * 10.0) * flow.anchor
        assert float((end - exact).norm() / exact.norm()) < 1e-2
        counts[rho] = flow.loss.evaluations
    assert counts[1e3] < 1500
    assert counts[1e5] < 14 * counts[1e3]


def test_strong_negative_curvature_grows_as_it_should():
    rates = torch.tensor([[-3.0, 0.5, 50.0], [2.0, -5.0, 100.0]], dtype=torch.float64)
    flow = quadratic_flow(rates)
    _, end = solve(flow, 2.0, rtol=1e-7, atol=1e-9)
    exact = torch.exp(-rates * 2.0) * flow.anchor
    assert float((end - exact).norm() / exact.norm()) < 1e-4


def test_a_radius_that_is_far_too_low_is_mended_by_rejection():
    rates = torch.logspace(0, 4, 20, dtype=torch.float64)[None]
    flow = quadratic_flow(rates)
    memory = ChebyshevMemory()
    memory.radius.direction = torch.nn.functional.one_hot(torch.tensor([0]), 20).double()
    memory.radius.values = [1.0]  # the direction of the smallest eigenvalue
    memory.first_steps = [1.0]
    _, end = solve(flow, 2.0, memory, rtol=1e-3, atol=1e-5)
    exact = torch.exp(-rates * 2.0) * flow.anchor
    assert float((end - exact).norm() / exact.norm()) < 2e-2


def test_the_adjoint_is_autograd_through_the_recurrence():
    """Same steps, Hessian-vector products replaced by a graph of the whole solve."""
    model, theta = make_mlp()
    batch = make_batch()
    flow = flow_of(model, theta, batch)
    found, end = solve(flow, 1.5, rtol=1e-4, atol=1e-6)
    weight = torch.randn_like(end)
    steps = [(step.plan.sizes[0], step.plan.stages[0]) for step in found.steps]
    got = sweep(found, weight)
    for task in range(len(batch)):
        loss = reference.task_loss(make_module(), batch.support, task)
        start = theta.clone().requires_grad_()
        u = start
        for h, stages in steps:
            u = recurrence(lambda y, loss=loss: -reference.slope(loss, y), u, h, stages)
        torch.testing.assert_close(u.detach(), end[task], rtol=1e-10, atol=1e-12)
        (wanted,) = torch.autograd.grad(u @ weight[task], start)
        assert float((got[task] - wanted).norm() / wanted.norm()) < 1e-10


def recurrence(slope, u, h, stages):
    """One step as design and paper write it, without the solver's rearrangement."""
    c = coefficients(stages)
    f0 = slope(u)
    below, now = u, u + c.mu_tilde[1] * h * f0
    for j in range(2, stages + 1):
        ahead = (1 - c.mu[j] - c.nu[j]) * u + c.mu[j] * now + c.nu[j] * below
        below, now = now, ahead + c.mu_tilde[j] * h * slope(now) + c.gamma_tilde[j] * h * f0
    return now


def flow_of(model, theta, batch, mu=0.0):
    start = theta.repeat(len(batch), 1)
    return Flow(model.loss(batch.support), start, torch.ones(len(start), 1).double(), mu)


@pytest.mark.parametrize("omega", [0.0, 0.5])
@pytest.mark.parametrize("mu", [0.0, 0.7])
@pytest.mark.parametrize("backend", ["closed_form", "module"])
def test_it_reaches_the_converged_flow_gradient(omega, mu, backend):
    model, theta = make_mlp()
    if backend == "module":
        model = ModuleModel(make_module())
    batch = make_batch(tasks=2)
    out = meta_gradient(
        "amaml_rkc", model, theta, batch, horizon=1.0, rtol=1e-7, atol=1e-9,
        omega=omega, regulariser=mu,
    )  # fmt: skip
    wanted = reference.flow_gradient(
        make_module(), theta, batch, horizon=1.0, steps=40, omega=omega, mu=mu
    )
    assert float((out.gradient - wanted).norm() / wanted.norm()) < (3e-4 if omega else 5e-5)


@pytest.mark.parametrize("omega", [0.0, 0.5])
def test_it_is_the_gradient_of_the_numbers_computed(omega):
    """Central differences of the objective along the same steps; 1e-8 by Richardson."""
    model, theta = make_mlp()
    batch = make_batch(tasks=2)
    flow = flow_of(model, theta, batch, mu=0.3)
    steps = [step.plan for step in solve(flow, 1.0, rtol=1e-3, atol=1e-5)[0].steps]
    direction = torch.randn(len(theta), dtype=theta.dtype)
    direction /= direction.norm()
    query = model.loss(batch.query)

    def objective(start: Tensor) -> float:
        moved = flow_of(model, start, batch, mu=0.3)
        u = moved.anchor
        total = torch.zeros((), dtype=theta.dtype)
        losses = [query.at(u).value().mean()]
        for step in steps:
            u = recurrence(moved.slope, u, step.sizes[0], step.stages[0])
            losses.append(query.at(u).value().mean())
        for step, (a, b) in zip(steps, pairwise(losses), strict=True):
            total = total + omega * step.sizes[0] * (a + b) / 2
        return float(total + (1 - omega) * losses[-1])

    def central(h: float) -> float:
        return (objective(theta + h * direction) - objective(theta - h * direction)) / (2 * h)

    wanted = (4 * central(5e-4) - central(1e-3)) / 3
    out = meta_gradient(
        "amaml_rkc", model, theta, batch, horizon=1.0, rtol=1e-3, atol=1e-5,
        omega=omega, regulariser=0.3,
    )  # fmt: skip
    assert float(out.gradient @ direction) == pytest.approx(wanted, rel=1e-8)


def test_horizons_per_task():
    model, theta = make_mlp()
    batch = make_batch(tasks=2)
    horizons = torch.tensor([0.4, 1.5], dtype=theta.dtype)
    together = meta_gradient("amaml_rkc", model, theta, batch, horizon=horizons, **TIGHT)
    s, q = batch.support, batch.query
    alone = [
        meta_gradient(
            "amaml_rkc", model, theta,
            TaskBatch.from_arrays(s.x[t : t + 1], s.y[t : t + 1], q.x[t : t + 1], q.y[t : t + 1]),
            horizon=float(horizons[t]), **TIGHT,
        ).gradient
        for t in range(2)
    ]  # fmt: skip
    torch.testing.assert_close(together.gradient, sum(alone) / 2, rtol=1e-5, atol=1e-8)


def test_memory_between_meta_updates_saves_products_and_not_accuracy():
    model, theta = make_mlp()
    batch, memory = make_batch(), ChebyshevMemory()
    settings = {"horizon": 3.0, "rtol": 1e-4, "atol": 1e-6}
    cold = meta_gradient("amaml_rkc", model, theta, batch, memory=memory, **settings)
    warm = meta_gradient("amaml_rkc", model, theta, batch, memory=memory, **settings)
    extra = [out.work.hvps - out.work.kept_states for out in (cold, warm)]
    assert extra[1] < extra[0]
    exact = meta_gradient("amaml_rkc", model, theta, batch, horizon=3.0, **TIGHT)
    for out in (cold, warm):
        assert float((out.gradient - exact.gradient).norm() / exact.gradient.norm()) < 5e-3


def test_a_checkpoint_of_the_memory_repeats_every_bit():
    model, theta = make_mlp()
    batch, memory, copy = make_batch(), ChebyshevMemory(), ChebyshevMemory()
    settings = {"horizon": 1.0, "rtol": 1e-4, "atol": 1e-6}
    meta_gradient("amaml_rkc", model, theta, batch, memory=memory, **settings)
    copy.load_state_dict(memory.state_dict(), theta)
    one, two = (
        meta_gradient("amaml_rkc", model, theta, batch, memory=m, **settings).gradient
        for m in (memory, copy)
    )
    assert torch.equal(one, two)


def test_what_is_not_finite_is_told_with_its_task():
    model, theta = make_mlp()
    batch = make_batch()
    loud = TaskBatch.from_arrays(
        batch.support.x,
        batch.support.y * torch.tensor([[1.0], [1.0], [1e200]], dtype=torch.float64),
        batch.query.x,
        batch.query.y,
    )
    with pytest.raises(Diverged, match="task 2"):
        meta_gradient("amaml_rkc", model, theta, loud, horizon=5.0)


@pytest.mark.parametrize(
    "change", [{"rtol": 0.0}, {"atol": -1.0}, {"memory_mb": 0.0}, {"omega": 2}]
)
def test_settings_out_of_bounds_are_refused(change):
    model, theta = make_mlp()
    with pytest.raises(ValueError, match=next(iter(change))):
        meta_gradient("amaml_rkc", model, theta, make_batch(), horizon=1.0, **change)
