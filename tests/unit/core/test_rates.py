"""Rates learned beside theta: derivatives against autograd and finite differences in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.core import (
    METHODS,
    MetaTrainer,
    ModuleModel,
    TaskBatch,
    fit,
    flat_parameters,
    meta_gradient,
)
from pipeline.core.adapt import adapt
from pipeline.core.rates import BOUND, PER, Rated
from pipeline.core.registry import FIRST_ORDER
from tests.unit.core.problems import (
    ADAPTIVE_SOLVERS,
    METHOD_SETTINGS,
    SOLVER_ORDERS,
    make_batch,
    make_mlp,
    make_module,
)
from tests.unit.core.test_seeds import item_batch

STEPS = {"inner_steps": 12, "inner_lr": 0.05}
FLOW = {"horizon": 0.6, "rtol": 1e-10, "atol": 1e-12}
OF_STEPS: dict[str, dict[str, Any]] = {
    "maml": STEPS,
    "maml1": STEPS | {"inner_steps": 1},
    "maml_sweep": STEPS,
}
OF_FLOW = {
    "amaml_rkc": ("amaml_rkc", FLOW),
    "amaml_rkc, anytime": ("amaml_anytime", FLOW | {"omega": 0.0}),
    "modified Euler": ("amaml", FLOW | {"step": 0.002}),
    **{
        f"{solver}, discrete": (
            "amaml",
            FLOW
            | {"step": 0.02, "solver": solver, "backward": "discrete"}
            | ({"rtol": 1e-8, "atol": 1e-10} if solver == "bosh3" else {}),
        )
        for solver in (*SOLVER_ORDERS, *ADAPTIVE_SOLVERS)
    },
}
# of second-order steps and ways back, or of a looser tolerance, as they are for theta alone
BOUNDS = {
    "amaml_rkc": 1e-5,
    "amaml_rkc, anytime": 1e-5,
    "modified Euler": 3e-5,
    "bosh3, discrete": 1e-5,
}


def problem(kind: str = "rows", per: str = "parameter") -> tuple[Rated, Tensor, TaskBatch]:
    """A model with rates, (theta, rho) with different rates, and three tasks."""
    if kind == "items":  # trained in the columns that a task touches
        (plain, theta), batch = make_mlp(features=9), item_batch(4)
    else:
        (plain, theta), batch = make_mlp(), make_batch()
    model = Rated(plain, per=per)
    draw = torch.Generator().manual_seed(5)
    rho = 0.4 * torch.randn(model.sizes[-1], generator=draw, dtype=torch.float64)
    return model, torch.cat([theta, rho]), batch


def trained(model: Rated, parameters: Tensor, batch: TaskBatch, steps: int) -> Tensor:
    """J of gradient descent with rates, written down for autograd."""
    plain = model.model
    size = plain.n_parameters
    theta, rho = parameters[:size], parameters[size:]
    if len(rho) != size:  # of a tensor, or of all
        lengths = plain.sizes if len(rho) > 1 else [size]
        rho = torch.cat([one.expand(n) for one, n in zip(rho, lengths, strict=True)])
    log = torch.log(torch.tensor(BOUND, dtype=rho.dtype))
    rates = (log * torch.tanh(rho / log)).exp()
    losses = []
    for b in range(len(batch)):
        task = batch.select(torch.tensor([b]))
        support, query = plain.loss(task.support), plain.loss(task.query)
        u = theta.unsqueeze(0)
        for _ in range(steps):
            value = support.at(u).value().sum()
            (slope,) = torch.autograd.grad(value, u, create_graph=True)
            u = u - STEPS["inner_lr"] * rates * slope
        losses.append(query.at(u).value().sum())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("kind", ["rows", "items"])
@pytest.mark.parametrize("method", OF_STEPS)
def test_gradients_of_steps_are_autograds(method, kind, per):
    model, parameters, batch = problem(kind, per)
    given = parameters.clone().requires_grad_()
    loss = trained(model, given, batch, OF_STEPS[method]["inner_steps"])
    (wanted,) = torch.autograd.grad(loss, given)
    out = meta_gradient(method, model, parameters, batch, **OF_STEPS[method])
    assert float(out.query_loss.mean()) == pytest.approx(float(loss), rel=1e-12)
    torch.testing.assert_close(out.gradient, wanted, rtol=1e-7, atol=1e-10)
    assert float(out.gradient[model.model.n_parameters :].norm()) > 1e-4


@pytest.mark.parametrize("name", OF_FLOW)
def test_gradients_of_flows_are_finite_differences(name):
    method, settings = OF_FLOW[name]
    model, parameters, batch = problem()

    def loss(at: Tensor) -> float:
        exact = settings if "discrete" in name else FLOW | {"step": 0.02, "solver": "dopri5"}
        of = method if "discrete" in name else "amaml"
        return float(meta_gradient(of, model, at, batch, **exact).query_loss.mean())

    out = meta_gradient(method, model, parameters, batch, **settings)
    draw = torch.Generator().manual_seed(2)
    for half in (slice(0, None, 2), slice(1, None, 2)):
        way = torch.randn(len(parameters), generator=draw, dtype=torch.float64)
        way[half] = 0
        for part in (slice(None, len(way) // 2), slice(len(way) // 2, None)):
            only = torch.zeros_like(way)
            only[part] = way[part]
            h = 1e-4
            differences = (loss(parameters + h * only) - loss(parameters - h * only)) / (2 * h)
            found = float(out.gradient @ only)
            assert found == pytest.approx(differences, rel=BOUNDS.get(name, 3e-6), abs=1e-8)


def test_an_implicit_gradient_is_finite_differences():
    """Of training to the end against the proximal term, which is in the scaled coordinates."""
    model, parameters, batch = problem()
    settings = {"inner_steps": 1500, "inner_lr": 0.05, "proximal": 2.0, "cg_steps": 80}

    def loss(at: Tensor) -> float:
        return float(meta_gradient("imaml", model, at, batch, **settings).query_loss.mean())

    out = meta_gradient("imaml", model, parameters, batch, **settings)
    for part in (slice(None, len(parameters) // 2), slice(len(parameters) // 2, None)):
        only = torch.zeros_like(parameters)
        only[part] = 1.0
        differences = (loss(parameters + 1e-5 * only) - loss(parameters - 1e-5 * only)) / 2e-5
        assert float(out.gradient @ only) == pytest.approx(differences, rel=1e-5)


def test_every_method_is_tested_or_refused():
    of_flows = {method for method, _ in OF_FLOW.values()}
    assert {*OF_STEPS, *of_flows, "imaml"} | FIRST_ORDER == set(METHODS)


@pytest.mark.parametrize("method", sorted(FIRST_ORDER))
def test_a_method_without_the_derivative_is_refused(method):
    model, parameters, batch = problem()
    settings = METHOD_SETTINGS[method]
    with pytest.raises(ValueError, match=r"no derivative by the inner rates.* amaml_rkc"):
        meta_gradient(method, model, parameters, batch, **settings)
    with pytest.raises(ValueError, match="no derivative by the inner rates"):
        MetaTrainer(method, model, parameters, settings=settings, outer_lr=0.1)


def test_plain_rates_are_the_plain_method():
    (plain, theta), batch = make_mlp(), make_batch()
    model = Rated(plain)
    wanted = meta_gradient("amaml_rkc", plain, theta, batch, **FLOW)
    found = meta_gradient("amaml_rkc", model, model.start(theta), batch, **FLOW)
    torch.testing.assert_close(found.gradient[: len(theta)], wanted.gradient, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(model.theta(found.adapted), wanted.adapted, rtol=1e-8, atol=1e-9)
    assert torch.equal(model.rates(model.start(theta)), torch.ones_like(theta))


def test_seeds_with_rates_are_as_if_alone():
    model, parameters, batch = problem()
    others = torch.stack([parameters, 0.9 * parameters])
    twice = batch.select(torch.tensor([0, 1, 2, 0, 1, 2]))
    settings = FLOW | {"rtol": 1e-4, "atol": 1e-6}
    together = meta_gradient("amaml_rkc", model, others, twice, **settings)
    for seed, own in enumerate(others):
        alone = meta_gradient("amaml_rkc", model, own, batch, **settings)
        torch.testing.assert_close(together.gradient[seed], alone.gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["rows", "items"])
def test_training_at_test_time_has_the_rates(kind):
    model, parameters, batch = problem(kind)
    ((_, u),) = adapt(model, parameters, batch.support, steps=[12], lr=STEPS["inner_lr"])
    out = meta_gradient("maml_sweep", model, parameters, batch, **STEPS)
    torch.testing.assert_close(model.theta(u), model.theta(out.adapted), rtol=1e-9, atol=1e-11)
    size = model.model.n_parameters
    assert torch.equal(u[:, size:], parameters[size:].expand(len(batch), -1))
    assert torch.equal(
        model.predict(u, batch.query.x), model.model.predict(u[:, :size], batch.query.x)
    )


def test_rates_lower_the_loss_that_theta_alone_leaves():
    (plain, theta), batch = make_mlp(), make_batch(tasks=6)
    given = {"settings": STEPS, "updates": 60, "outer_lr": 0.02, "meta_batch": 6}
    alone = fit("maml_sweep", plain, theta, batch, **given)
    model = Rated(plain)
    rated = fit("maml_sweep", model, model.start(theta), batch, **given)
    assert rated.progress[-1].meta_loss < 0.9 * alone.progress[-1].meta_loss
    rates = model.rates(rated.theta)
    assert float(rates.min()) > 1 / BOUND
    assert float(rates.max()) < BOUND


@pytest.mark.parametrize("bound", [1.0, 0.5, float("nan"), True])
def test_a_bound_that_is_none_is_refused(bound):
    with pytest.raises(ValueError, match="bound must be"):
        Rated(make_mlp()[0], bound=bound)


def test_one_rate_for_all_is_the_horizon():
    """dJ/dlog r = T dJ/dT = -T <dL_query(u(T)), dL_support(u(T))>, mean over tasks."""
    (plain, theta), batch = make_mlp(), make_batch()
    model = Rated(plain, per="all")
    out = meta_gradient("amaml_rkc", model, model.start(theta), batch, **FLOW)
    u = model.theta(out.adapted)
    slopes = [plain.loss(rows).at(u).gradient() for rows in (batch.query, batch.support)]
    wanted = -FLOW["horizon"] * (slopes[0] * slopes[1]).sum(1).mean()
    assert float(out.gradient[-1]) == pytest.approx(float(wanted), rel=1e-5)


def test_a_module_of_ones_own_learns_rates():
    module = make_module()
    model = ModuleModel(module)
    rated = Rated(model, per="tensor")
    theta = flat_parameters(module)
    (plain, _), batch = make_mlp(), make_batch()
    found = meta_gradient("maml_sweep", rated, rated.start(theta), batch, **STEPS)
    closed = Rated(plain, per="tensor")
    wanted = meta_gradient("maml_sweep", closed, closed.start(theta), batch, **STEPS)
    torch.testing.assert_close(found.gradient, wanted.gradient, rtol=1e-8, atol=1e-11)
