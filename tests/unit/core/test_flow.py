"""Forward solvers: order of convergence, tolerance, agreement with gradient descent."""

import math
from itertools import pairwise

import pytest
import torch

from pipeline.core import SOLVERS, Work
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.gradient_descent import gradient_descent
from pipeline.core.solvers.runge_kutta import solve_flow
from tests.unit.core import reference
from tests.unit.core.problems import (
    ADAPTIVE_SOLVERS,
    SOLVER_ORDERS,
    make_batch,
    make_mlp,
    make_module,
)

HORIZON = 1.0


@pytest.fixture(scope="module")
def flow():
    model, theta = make_mlp()
    batch = make_batch()
    start = theta.repeat(len(batch), 1)
    return Flow(model.loss(batch.support), start, torch.ones(len(batch), 1, dtype=theta.dtype))


@pytest.fixture(scope="module")
def exact():
    batch, theta = make_batch(), make_mlp()[1].requires_grad_()
    ends = [
        reference.flow(reference.task_loss(make_module(), batch.support, t), theta, HORIZON, 200)
        for t in range(len(batch))
    ]
    return torch.stack([states[-1].detach() for states in ends])


def end(flow, solver, steps, rtol=1e-3, atol=1e-5):
    times = torch.linspace(0, HORIZON, steps + 1, dtype=torch.float64)
    return solve_flow(flow, times, solver=solver, rtol=rtol, atol=atol, work=Work())[1]


def test_the_shared_lists_name_every_solver():
    assert {*SOLVER_ORDERS, *ADAPTIVE_SOLVERS} == set(SOLVERS)


@pytest.mark.parametrize("solver", SOLVER_ORDERS)
def test_fixed_steps_converge_at_their_order(solver, flow, exact):
    steps = [10, 20, 40] if solver == "rk4" else [40, 80, 160]
    errors = [float((end(flow, solver, n) - exact).norm()) for n in steps]
    slopes = [math.log2(a / b) for a, b in pairwise(errors)]
    assert slopes[-1] == pytest.approx(SOLVER_ORDERS[solver], abs=0.2)


@pytest.mark.parametrize("solver", ADAPTIVE_SOLVERS)
def test_adaptive_solvers_follow_their_tolerance(solver, flow, exact):
    errors = [
        float((end(flow, solver, 4, rtol, rtol * 1e-2) - exact).norm() / exact.norm())
        for rtol in (1e-3, 1e-6)
    ]
    assert errors[0] < 1e-2
    assert errors[1] < 1e-5
    assert errors[1] < errors[0] / 20


def test_euler_is_gradient_descent(flow):
    *_, last = gradient_descent(flow.loss, flow.anchor, steps=50, lr=HORIZON / 50)
    torch.testing.assert_close(end(flow, "euler", 50), last, rtol=1e-12, atol=1e-13)


def test_a_proximal_term_pulls_toward_the_anchor(flow):
    free, held = (
        [
            *gradient_descent(
                flow.loss, flow.anchor, steps=50, lr=0.02, proximal=p, anchor=flow.anchor
            )
        ]
        for p in (0.0, 5.0)
    )
    assert (held[-1] - flow.anchor).norm() < 0.5 * (free[-1] - flow.anchor).norm()
    assert torch.equal(held[0], free[0])  # no pull at the anchor itself
