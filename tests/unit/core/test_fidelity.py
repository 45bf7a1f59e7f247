"""The converged meta-gradient against closed forms and autograd, and how two are compared."""

import math
from types import SimpleNamespace

import pytest
import torch
from numpy.polynomial.legendre import leggauss
from torch import Tensor, nn

from pipeline.core import MLP, Diverged, ModuleModel, TaskBatch, meta_gradient
from pipeline.core.fidelity import RTOL, _average, compare, converged_gradient
from tests.unit.core import reference
from tests.unit.core.problems import item_batch, make_batch, make_mlp, make_module


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@pytest.mark.parametrize(("omega", "mu"), [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0), (0.3, 0.7)])
def test_it_is_autograd_through_many_small_steps(omega, mu):
    model, theta = make_mlp()
    batch = make_batch()
    wanted = reference.flow_gradient(
        make_module(), theta, batch, horizon=2.0, steps=160, omega=omega, mu=mu
    )
    found = converged_gradient(model, theta, batch, horizon=2.0, omega=omega, regulariser=mu)
    assert found.shape == theta.shape
    assert found.dtype == torch.float64
    assert relative(found, wanted) < 2e-7


def linear_gradient(theta: Tensor, batch: TaskBatch, horizon: float, omega: float) -> Tensor:
    """Of linear regression, whose flow is u(t) = u* + exp(-H t)(theta - u*), by eigenvectors."""
    total = torch.zeros_like(theta)
    for b in range(len(batch)):
        losses = []
        for rows in (batch.support, batch.query):
            x = torch.cat([rows.x[b], torch.ones_like(rows.y[b])[:, None]], 1)
            weighed = x * rows.weight[b][:, None]
            losses.append((weighed.T @ x, weighed.T @ rows.y[b]))
        (h, c), (hq, cq) = losses
        rates, basis = torch.linalg.eigh(h)
        optimum = torch.linalg.solve(h, c)

        def at(t: float, basis=basis, rates=rates, optimum=optimum, hq=hq, cq=cq) -> Tensor:
            decay = basis @ torch.diag(torch.exp(-rates * t)) @ basis.T
            return decay @ (hq @ (optimum + decay @ (theta - optimum)) - cq)

        total += (1 - omega) * at(horizon)
        for start in range(40):  # Gauss-Legendre on 40 equal parts
            for node, weight in zip(*leggauss(10), strict=True):
                t = horizon * (start + (node + 1) / 2) / 40
                total += omega * weight / 2 / 40 * at(t)
    return total / len(batch)


@pytest.mark.parametrize(
    ("scale", "omega"),
    [
        *((1.0, omega) for omega in (0.0, 0.5, 1.0)),
        (3.0, 0.5),
        *(pytest.param(3.0, omega, marks=pytest.mark.slow) for omega in (0.0, 1.0)),
    ],
)
def test_it_is_the_closed_form_of_linear_regression(omega, scale):
    """With inputs three times as large the fast directions are gone early on."""
    batch = make_batch(tasks=2)
    for rows in (batch.support, batch.query):
        rows.x.mul_(scale)
    model = ModuleModel(nn.Linear(2, 1, dtype=torch.float64))
    theta = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    found = converged_gradient(model, theta, batch, horizon=4.0, omega=omega)
    assert relative(found, linear_gradient(theta, batch, 4.0, omega)) < 1e-7


@pytest.mark.parametrize("omega", [0.0, 0.5])
def test_a_tighter_tolerance_changes_nothing_that_counts(omega):
    model, theta = make_mlp()
    given = {"horizon": 5.0, "omega": omega}
    found, tighter = (
        converged_gradient(model, theta, make_batch(), **given, rtol=rtol)
        for rtol in (RTOL, RTOL / 4)
    )
    assert 0 < relative(found, tighter) < 1e-6


def test_float32_parameters_are_taken_for_what_they_are():
    model, theta = make_mlp()
    single = theta.float()
    found = converged_gradient(model, single, make_batch(), horizon=1.0)
    assert torch.equal(found, converged_gradient(model, single.double(), make_batch(), horizon=1.0))


def test_items_by_index_equal_their_one_hot_rows():
    batch = item_batch()
    hot = TaskBatch.from_arrays(
        *(nn.functional.one_hot(batch.support.x, 30).double(), batch.support.y),
        *(nn.functional.one_hot(batch.query.x, 30).double(), batch.query.y),
    )
    model = MLP(30, (4, 4))
    theta = model.init(torch.Generator().manual_seed(0), dtype=torch.float64)
    found, wanted = (converged_gradient(model, theta, b, horizon=3.0) for b in (batch, hot))
    assert relative(found, wanted) < 1e-7


def test_the_exact_sweep_comes_near_it_as_steps_shrink():
    """The one truth: gradient descent at small steps approaches the flow, at first order."""
    model, theta = make_mlp()
    wanted = converged_gradient(model, theta, make_batch(), horizon=1.0)
    errors = [
        compare(
            meta_gradient(
                "maml_sweep", model, theta, make_batch(), inner_steps=steps, inner_lr=1.0 / steps
            ).gradient,
            wanted,
        )[1]
        for steps in (100, 200)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.1)


def test_a_flow_that_leaves_the_range_of_numbers_is_told():
    model, theta = make_mlp()
    batch = make_batch()
    batch.support.y.mul_(1e200)
    with pytest.raises(Diverged):
        converged_gradient(model, theta, batch, horizon=1.0)


@pytest.mark.parametrize(("name", "value"), [("omega", 1.5), ("regulariser", -1), ("horizon", 0)])
def test_bounds(name, value):
    model, theta = make_mlp()
    with pytest.raises(ValueError, match=name):
        converged_gradient(model, theta, make_batch(), **{"horizon": 1.0, name: value})


@pytest.mark.parametrize("degree", range(6))
@pytest.mark.parametrize("steps", [1, 2, 5, 12])
def test_weights_are_exact_for_polynomials(degree, steps):
    sizes = [0.01 * 1.7**k for k in range(steps)]
    times = torch.tensor([0.0, *sizes], dtype=torch.float64).cumsum(0) / sum(sizes)
    weights = torch.tensor(
        _average(SimpleNamespace(steps=[SimpleNamespace(plan=h) for h in sizes])),
        dtype=torch.float64,
    )
    assert len(weights) == steps + 1
    if degree <= min(steps, 5):
        assert float(weights @ times**degree) == pytest.approx(1 / (degree + 1), rel=1e-12)


# --- comparison


def test_a_comparison_by_hand():
    found, wanted = torch.tensor([3.0, 4.0]), torch.tensor([3.0, 0.0], dtype=torch.float64)
    assert compare(found, wanted) == pytest.approx((0.6, 4 / 3))
    assert compare(7 * wanted, wanted) == pytest.approx((1.0, 6.0))
    assert compare(-wanted, wanted) == pytest.approx((-1.0, 2.0))


def test_tiny_gradients_have_a_direction():
    found = torch.tensor([3e-150, 4e-150], dtype=torch.float64)  # squares above 1e-308
    assert compare(found, found) == pytest.approx((1.0, 0.0))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_nan(value):
    bad, good = torch.tensor([value, 1.0]), torch.tensor([1.0, 1.0])
    for pair in ((bad, good), (good, bad)):
        assert all(math.isnan(number) for number in compare(*pair))


def test_a_zero_gradient_has_no_direction():
    zero, one = torch.zeros(2), torch.ones(2)
    cosine, error = compare(zero, one)
    assert math.isnan(cosine)
    assert error == 1.0
    assert all(math.isnan(number) for number in compare(one, zero))
