"""Chebyshev adjoints where the answer is known: lambda(0) = exp(-Hess T) lambda(T)."""

import pytest
import torch
from torch import Tensor

from pipeline.core import Work
from pipeline.core.adjoints import sweep
from pipeline.core.solvers.chebyshev import solve_chebyshev
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from tests.unit.core.problems import NEGATIVE, STIFF
from tests.unit.core.quadratic import quadratic_flow


def swept(problem: tuple[Tensor, float], rtol: float, target: float = 0.3):
    """Flow, end and dJ/dtheta of J = 1/2 |u(T) - target|²."""
    rates, horizon = problem
    flow = quadratic_flow(rates)
    recording, end = solve_chebyshev(
        *(flow, horizon), rtol=rtol, atol=rtol * 1e-2, works=[Work()], memory=ChebyshevMemory()
    )
    before = flow.loss.products
    gradient = sweep(recording, end - target)
    stages = sum(step.plan.stages[0] for step in recording.steps)
    assert flow.loss.products - before == stages  # one product a stage
    return flow, end, gradient


@pytest.mark.parametrize(
    ("problem", "rtol", "bound"),
    [(STIFF, 1e-3, 1e-2), (STIFF, 1e-5, 3e-4), (NEGATIVE, 1e-7, 3e-4)],  # the last grows by e^20
)
def test_the_meta_gradient_is_the_closed_form(problem, rtol, bound):
    rates, horizon = problem
    flow, end, gradient = swept(problem, rtol)
    decay = torch.exp(-rates * horizon)
    wanted = decay * (decay * flow.anchor - 0.3)
    for found, exact in zip(gradient, wanted, strict=True):
        assert float((found - exact).norm() / exact.norm()) < bound
    # to rounding it is the transpose of the numbers computed, in every mode, stiff ones too
    torch.testing.assert_close(gradient, end / flow.anchor * (end - 0.3), rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize(("rtol", "share"), [(1e-3, 0.1), (1e-5, 0.25)])
def test_a_stiff_task_takes_far_fewer_products_than_its_stiffness(rtol, share):
    rates, horizon = STIFF
    stiffness = float(rates.max()) * horizon
    flow, _, _ = swept(STIFF, rtol)
    assert stiffness == pytest.approx(1e4)
    assert flow.loss.products < share * stiffness
    assert flow.loss.evaluations < share * stiffness
