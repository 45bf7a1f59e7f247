"""The closed forms against `torch.func` and autograd in float64."""

import pytest
import torch
from torch import nn

from pipeline.core import MLP, ModuleModel, TaskBatch
from tests.unit.core.problems import ACTIVATIONS, make_batch, make_mlp, make_module

SHAPES = [(4,), (6, 5), (3, 7, 4)]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", SHAPES)
class TestClosedForms:
    @pytest.fixture
    def points(self, activation, hidden):
        batch = make_batch(tasks=4)
        model, _ = make_mlp(hidden, activation=activation)
        g = torch.Generator().manual_seed(5)
        shape = (4, model.n_parameters)
        u, v = (torch.randn(*shape, generator=g, dtype=torch.float64) for _ in "uv")
        module = ModuleModel(make_module(hidden, activation=activation))
        return model.loss(batch.support).at(u), module.loss(batch.support).at(u), v

    def test_value(self, points):
        closed, module, _ = points
        torch.testing.assert_close(closed.value(), module.value(), rtol=1e-12, atol=1e-14)

    def test_gradient(self, points):
        closed, module, _ = points
        torch.testing.assert_close(closed.gradient(), module.gradient(), rtol=1e-10, atol=1e-13)

    def test_hvp(self, points):
        closed, module, v = points
        torch.testing.assert_close(closed.hvp(v), module.hvp(v), rtol=1e-10, atol=1e-12)

    def test_hvp_is_symmetric(self, points):
        closed, _, v = points
        w = v.flip(1)
        torch.testing.assert_close((w * closed.hvp(v)).sum(1), (v * closed.hvp(w)).sum(1))

    def test_prediction(self, activation, hidden):
        batch = make_batch()
        model, theta = make_mlp(hidden, activation=activation)
        u = theta.expand(3, -1)
        module = ModuleModel(make_module(hidden, activation=activation))
        found, wanted = (m.predict(u, batch.query.x) for m in (model, module))
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-14)


def test_parameters_are_in_the_order_of_parameters_to_vector():
    net = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    theta = nn.utils.parameters_to_vector(net.parameters()).detach()
    x = torch.randn(1, 5, 2)
    model = MLP(2, (4, 3))
    assert model.n_parameters == theta.numel()
    torch.testing.assert_close(model.predict(theta[None], x), net(x).squeeze(2).detach())


def test_item_indices_repeated_in_a_task_add_up():
    model, theta = make_mlp(features=5)
    x = torch.tensor([[1, 1, 3], [0, 4, 4]])
    y = torch.randn(2, 3, dtype=torch.float64)
    hot = nn.functional.one_hot(x, 5).double()
    u = theta.repeat(2, 1)
    v = torch.randn_like(u)
    indexed = model.loss(TaskBatch.from_arrays(x, y, x, y).support).at(u)
    dense = model.loss(TaskBatch.from_arrays(hot, y, hot, y).support).at(u)
    torch.testing.assert_close(indexed.gradient(), dense.gradient())
    torch.testing.assert_close(indexed.hvp(v), dense.hvp(v))


def test_init_depends_on_the_generator_alone():
    model = MLP(2)
    one, two, other = (model.init(torch.Generator().manual_seed(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one.abs().max() <= 1 / 2**0.5
    assert (one[96:].abs().max()) <= 1 / 32**0.5  # later layers have 32 inputs


@pytest.mark.parametrize("arguments", [(0, (4,)), (2, ()), (2, (4, 0)), (2, (4,), "relu")])
def test_impossible_networks_are_refused(arguments):
    with pytest.raises(ValueError, match=r"found|none of"):
        MLP(*arguments)


def test_inputs_of_another_width_are_refused():
    with pytest.raises(ValueError, match="made for 3"):
        MLP(3).loss(make_batch().support)
