"""How fast gradients come to that of the flow itself as steps shrink."""

import math
from functools import cache

import pytest
from torch import Tensor

from pipeline.core import meta_gradient
from tests.unit.core import reference
from tests.unit.core.problems import (
    ADAPTIVE_SOLVERS,
    SOLVER_ORDERS,
    discrete_settings,
    make_batch,
    make_mlp,
    make_module,
)

BATCH = make_batch(tasks=2)
MODEL, THETA = make_mlp()
STEPS = {1: (80, 160), 2: (30, 60), 4: (10, 20)}  # few enough that rounding stays out of sight


@cache
def converged() -> Tensor:
    return reference.flow_gradient(make_module(), THETA, BATCH, horizon=1.0, steps=100)


def run(method: str, settings: dict):
    return meta_gradient(method, MODEL, THETA, BATCH, **settings)


def error(out) -> float:
    return float((out.gradient - converged()).norm() / converged().norm())


@pytest.mark.parametrize("solver", SOLVER_ORDERS)
def test_the_discrete_adjoint_has_the_order_of_its_fixed_steps(solver):
    order = SOLVER_ORDERS[solver]
    errors = [error(run(*discrete_settings(solver, steps=n))) for n in STEPS[order]]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)


def test_the_discrete_adjoint_of_chebyshev_steps_is_of_second_order():
    """In their number, which the tolerance drives."""
    outs = [run(*discrete_settings("amaml_rkc", rtol=rtol)) for rtol in (1e-5, 1e-7)]
    growth = math.log(outs[1].work.accepted / outs[0].work.accepted)
    assert math.log(error(outs[0]) / error(outs[1])) / growth == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("solver", ADAPTIVE_SOLVERS)
def test_the_discrete_adjoint_of_adaptive_steps_follows_the_tolerance(solver):
    errors = [error(run(*discrete_settings(solver, rtol=rtol))) for rtol in (1e-2, 1e-6)]
    assert errors[0] < 0.1
    assert errors[1] < min(1e-5, errors[0] / 20)


@pytest.mark.parametrize("solver", [*SOLVER_ORDERS, *ADAPTIVE_SOLVERS])
def test_modified_euler_is_of_second_order_on_states_that_are(solver):
    order = min(2, SOLVER_ORDERS.get(solver, 2))  # the states of euler are of first order
    errors = []
    for steps in STEPS[order]:
        method, settings = discrete_settings(solver, steps=steps, rtol=1e-7)
        errors.append(error(run(method, settings | {"backward": "modified_euler"})))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)
