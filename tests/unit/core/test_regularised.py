"""The weight of the inner regulariser, learned: against autograd and differences in float64."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.core import MetaGradient, MetaTrainer, ModuleModel, TaskBatch, meta_gradient
from pipeline.core.adapt import adapt
from pipeline.core.registry import FIRST_ORDER
from pipeline.core.regularised import Regularised
from tests.unit.core.problems import METHOD_SETTINGS, make_batch, make_mlp, make_module
from tests.unit.core.test_meta_gradients import relative
from tests.unit.core.test_rates import BOUNDS, FLOW, OF_FLOW, OF_STEPS, STEPS
from tests.unit.core.test_seeds import item_batch

MU = 0.7
EXACT = FLOW | {"step": 0.02, "solver": "dopri5", "backward": "discrete"}


def problem(kind: str = "rows") -> tuple[Regularised, Tensor, TaskBatch]:
    """A regularised model, (theta, kappa), and three tasks."""
    if kind == "items":
        (plain, theta), batch = make_mlp(features=9), item_batch(4)
    elif kind == "module":
        module, batch = make_module(), make_batch()
        plain, theta = ModuleModel(module), make_mlp()[1]
    else:
        (plain, theta), batch = make_mlp(), make_batch()
    model = Regularised(plain)
    return model, model.start(theta, MU), batch


def trained(model: Regularised, parameters: Tensor, batch: TaskBatch, steps: int) -> Tensor:
    """J of gradient descent on the regularised loss, written down for autograd."""
    theta, mu = parameters[:-1], parameters[-1].exp()
    losses = []
    for b in range(len(batch)):
        task = batch.select(torch.tensor([b]))
        support, query = model.model.loss(task.support), model.model.loss(task.query)
        u = theta.unsqueeze(0)
        for _ in range(steps):
            value = support.at(u).value().sum() + mu / 2 * (u - theta).square().sum()
            (slope,) = torch.autograd.grad(value, u, create_graph=True)
            # of the anchor it must not be taken: u alone is trained
            u = u - STEPS["inner_lr"] * slope
        losses.append(query.at(u).value().sum())
    return torch.stack(losses).mean()


@pytest.mark.parametrize("kind", ["rows", "items", "module"])
@pytest.mark.parametrize("method", OF_STEPS)
def test_gradients_of_steps_are_autograds(method, kind):
    model, parameters, batch = problem(kind)
    given = parameters.clone().requires_grad_()
    loss = trained(model, given, batch, OF_STEPS[method]["inner_steps"])
    (wanted,) = torch.autograd.grad(loss, given)
    out = meta_gradient(method, model, parameters, batch, **OF_STEPS[method])
    assert float(out.query_loss.mean()) == pytest.approx(float(loss), rel=1e-12)
    torch.testing.assert_close(out.gradient, wanted, rtol=1e-6, atol=1e-9)
    if OF_STEPS[method]["inner_steps"] > 1:  # the first step starts at the anchor
        assert abs(float(out.gradient[-1])) > 1e-5


@pytest.mark.parametrize("name", OF_FLOW)
def test_gradients_of_flows_are_those_of_a_fixed_weight_and_of_differences(name):
    """By theta as a method with `regulariser` has it; by kappa as its errors say."""
    method, settings = OF_FLOW[name]
    model, parameters, batch = problem()
    theta, bound = model.theta(parameters), BOUNDS.get(name, 3e-6)
    exact = settings if "discrete" in name else EXACT
    of = method if "discrete" in name else "amaml"

    def fixed(mu: float) -> MetaGradient:
        return meta_gradient(of, model.model, theta, batch, **exact, regulariser=mu)

    out = meta_gradient(method, model, parameters, batch, **settings)
    wanted, h = fixed(MU).gradient, 1e-4
    assert relative(out.gradient[:-1], wanted) < bound
    above, below = (float(fixed(MU * math.exp(x)).query_loss.mean()) for x in (h, -h))
    assert float(out.gradient[-1]) == pytest.approx((above - below) / (2 * h), rel=bound)


def test_seeds_have_their_own_weights():
    model, parameters, batch = problem()
    other = model.start(make_mlp(seed=3)[1], 2.0)
    twice = TaskBatch.from_arrays(
        *(
            torch.cat([part, part])
            for rows in (batch.support, batch.query)
            for part in (rows.x, rows.y)
        )
    )
    together = meta_gradient("maml_sweep", model, torch.stack([parameters, other]), twice, **STEPS)
    for place, alone in enumerate((parameters, other)):
        found = meta_gradient("maml_sweep", model, alone, batch, **STEPS).gradient
        torch.testing.assert_close(together.gradient[place], found, rtol=1e-6, atol=1e-9)


def test_training_learns_a_weight_and_the_test_uses_it():
    model, parameters, batch = problem()
    settings = {"horizon": 3.0, "rtol": 1e-5, "atol": 1e-7}
    trainer = MetaTrainer("amaml_rkc", model, parameters, settings=settings, outer_lr=0.05)
    losses = [trainer.step(batch)[0].meta_loss for _ in range(12)]
    assert losses[-1] < losses[0]
    assert float(model.weight(trainer.theta)) != pytest.approx(MU, rel=0.01)
    start = model.start(model.theta(parameters), 1e4)  # nothing moves
    given = {"steps": [20], "lr": 1e-5}
    ((_, held),) = adapt(model, start, batch.support, **given)
    ((_, free),) = adapt(model.model, model.theta(start), batch.support, **given)
    moved, far = ((u - model.theta(start)).norm() for u in (model.theta(held), free))
    assert 0 < moved < 0.99 * far


@pytest.mark.parametrize("method", sorted(FIRST_ORDER))
def test_first_order_methods_are_refused(method):
    model, parameters, batch = problem()
    with pytest.raises(ValueError, match=r"no derivative by the regulariser's weight.* amaml_rkc"):
        meta_gradient(method, model, parameters, batch, **METHOD_SETTINGS[method])


def test_a_weight_is_positive():
    model, parameters, _ = problem()
    for weight in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="weight"):
            model.start(model.theta(parameters), weight)


def test_float32_gives_the_same_to_its_rounding():
    model, parameters, batch = problem()
    wanted = meta_gradient("maml_sweep", model, parameters, batch, **STEPS).gradient
    single = TaskBatch.from_arrays(
        *(part.float() for rows in (batch.support, batch.query) for part in (rows.x, rows.y))
    )
    found = meta_gradient("maml_sweep", model, parameters.float(), single, **STEPS).gradient
    torch.testing.assert_close(found.double(), wanted, rtol=2e-3, atol=1e-5)
