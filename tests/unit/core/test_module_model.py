"""`ModuleModel`: any module, any per-row loss."""

import pytest
import torch
from torch import nn

from pipeline.core import ModuleModel, TaskBatch, flat_parameters, meta_gradient
from tests.unit.core.problems import make_batch


class Embedded(nn.Module):
    """A regressor on item indices."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(6, 3, dtype=torch.float64)
        self.head = nn.Linear(3, 1, dtype=torch.float64)

    def forward(self, x):
        return self.head(self.table(x).relu() + 0.1)


def huber(prediction, target):
    return nn.functional.huber_loss(prediction, target, reduction="none", delta=0.3)


def test_any_row_loss_trains_by_its_own_gradient():
    net = nn.Sequential(nn.Linear(2, 4), nn.Softplus(), nn.Linear(4, 1)).double()
    model, theta, batch = ModuleModel(net, huber), flat_parameters(net), make_batch(tasks=1)
    out = meta_gradient("fomaml", model, theta, batch, inner_steps=1, inner_lr=0.3)
    net.zero_grad()
    huber(net(batch.support.x[0]).squeeze(1), batch.support.y[0]).mean().backward()
    slope = torch.cat([p.grad.flatten() for p in net.parameters()])
    torch.testing.assert_close(out.adapted[0], theta - 0.3 * slope)


def test_a_module_on_item_indices():
    torch.manual_seed(0)
    net = Embedded()
    g = torch.Generator().manual_seed(0)
    x = torch.randint(6, (2, 8), generator=g)
    y = torch.randn(2, 8, generator=g, dtype=torch.float64)
    batch = TaskBatch.from_arrays(x[:, :4], y[:, :4], x[:, 4:], y[:, 4:])
    settings = {"inner_steps": 5, "inner_lr": 0.1}
    exact = meta_gradient("maml", ModuleModel(net), flat_parameters(net), batch, **settings)
    sweep = meta_gradient("maml_sweep", ModuleModel(net), flat_parameters(net), batch, **settings)
    torch.testing.assert_close(sweep.gradient, exact.gradient, rtol=1e-10, atol=1e-12)


def test_a_module_without_parameters_is_refused():
    with pytest.raises(ValueError, match="no parameters"):
        ModuleModel(nn.Tanh())
