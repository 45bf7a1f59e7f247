"""The estimate of the spectral radius against dense Hessians."""

import pytest
import torch
from torch import Tensor

from pipeline.core import Work
from pipeline.core.solvers.chebyshev import solve_chebyshev
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.spectral import COLD_ITERATIONS, WARM_ITERATIONS, SpectralRadius
from pipeline.core.work import Counted
from tests.unit.core import reference
from tests.unit.core.problems import make_batch, make_mlp, make_module
from tests.unit.core.quadratic import quadratic_flow

TASKS = 3


def problem(seed: int, scale: float) -> tuple[Flow, Work, Tensor]:
    """A small net's flow, what it counts, and its theta."""
    model, theta = make_mlp(seed=seed)
    work = Work()
    loss = Counted(model.loss(make_batch(seed=seed).support), [work])
    start = (scale * theta).repeat(TASKS, 1)
    return Flow(loss, start, torch.ones(TASKS, 1, dtype=theta.dtype)), work, scale * theta


def true_radius(seed: int, theta: Tensor) -> float:
    """The largest |eigenvalue| of the tasks' dense Hessians."""
    batch, sizes = make_batch(seed=seed), []
    for task in range(TASKS):
        loss = reference.task_loss(make_module(), batch.support, task)
        hessian = torch.autograd.functional.hessian(loss, theta)
        sizes.append(float(torch.linalg.eigvalsh(hessian).abs().max()))
    return max(sizes)


def estimate(radius: SpectralRadius, flow: Flow, u: Tensor) -> float:
    if not radius.values:
        radius.values = [0.0]
    (found,) = radius.estimate(flow, (0,), u, -flow.slope(u), None)
    return found


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("seed", range(6))
def test_it_is_close_to_the_true_radius_and_rarely_below(seed, scale):
    flow, work, theta = problem(seed, scale)
    radius = SpectralRadius()
    found = estimate(radius, flow, flow.anchor)
    assert 0.9 <= found / true_radius(seed, theta) <= 1.3
    assert work.radius_hvps == work.hvps <= COLD_ITERATIONS


@pytest.mark.parametrize("seed", range(4))
def test_a_warm_estimate_takes_a_product_or_two(seed):
    flow, work, theta = problem(seed, 1.0)
    radius = SpectralRadius()
    estimate(radius, flow, flow.anchor)
    before = work.hvps
    near = 1.02 * theta
    found = estimate(radius, flow, near.repeat(TASKS, 1))
    assert 1 <= work.hvps - before <= 2
    assert 0.9 <= found / true_radius(seed, near) <= 1.3


def test_negative_curvature_counts_by_its_size():
    rates = torch.tensor([[1.0, -7.0, 3.0], [0.5, 2.0, -4.0]], dtype=torch.float64)
    flow = quadratic_flow(rates)
    found = estimate(SpectralRadius(), flow, flow.anchor)
    assert 0.9 <= found / 7 <= 1.3


def test_a_flat_loss_is_no_error():
    flow = quadratic_flow(torch.zeros(2, 3, dtype=torch.float64))
    assert estimate(SpectralRadius(), flow, flow.anchor) == 0
    _, end = solve_chebyshev(
        flow, 5.0, rtol=1e-3, atol=1e-5, works=[Work()], memory=ChebyshevMemory()
    )  # fmt: skip
    assert torch.equal(end, flow.anchor)


def test_a_cold_start_along_a_small_eigenvector_goes_on():
    """A slope that is an eigenvector, nearly, would end a warm estimate at once."""
    flow = quadratic_flow(torch.tensor([[1.0, 100.0]], dtype=torch.float64))
    u = torch.tensor([[1.0, 1e-6]], dtype=torch.float64)
    assert 0.9 <= estimate(SpectralRadius(), flow, u) / 100 <= 1.3


def misled(rates: Tensor) -> SpectralRadius:
    """One that holds the direction of the least curvature for that of the largest."""
    direction = torch.zeros_like(rates)
    direction[:, 0] = 1.0
    return SpectralRadius(direction, [float(rates[0, 0])])


def test_a_misleading_start_is_mended_when_steps_are_rejected():
    rates = torch.logspace(0, 4, 20, dtype=torch.float64)[None]
    flow = quadratic_flow(rates)
    low = estimate(misled(rates), flow, flow.anchor)
    assert low < 0.01 * 1e4  # it cannot know better
    assert flow.loss.products <= WARM_ITERATIONS
    work, memory = Work(), ChebyshevMemory(misled(rates), [1.0])
    _, end = solve_chebyshev(flow, 2.0, rtol=1e-3, atol=1e-5, works=[work], memory=memory)
    exact = torch.exp(-rates * 2.0) * flow.anchor
    assert float((end - exact).norm() / exact.norm()) < 2e-2
    assert work.rejected > 0
