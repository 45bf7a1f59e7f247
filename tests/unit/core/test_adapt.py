"""Meta-test training."""

import pytest
import torch

from pipeline.core import adapt
from pipeline.core.solvers.gradient_descent import gradient_descent
from tests.unit.core import reference
from tests.unit.core.problems import make_batch, make_mlp, make_module


def test_gd_is_the_inner_training():
    model, theta = make_mlp()
    batch = make_batch()
    found = dict(adapt(model, theta, batch.support, steps=[0, 3, 10], lr=0.05))
    states = [*gradient_descent(model.loss(batch.support), found[0], steps=10, lr=0.05)]
    assert torch.equal(found[0], theta.repeat(3, 1))
    assert torch.equal(found[3], states[2])
    assert torch.equal(found[10], states[9])


def test_adam_is_torchs_task_by_task():
    model, theta = make_mlp()
    batch = make_batch()
    ((_, found),) = adapt(model, theta, batch.support, steps=[25], lr=0.01, optimiser="adam")
    for task in range(3):
        u = theta.clone().requires_grad_()
        optimiser = torch.optim.Adam([u], lr=0.01)
        loss = reference.task_loss(make_module(), batch.support, task)
        for _ in range(25):
            optimiser.zero_grad()
            loss(u).backward()
            optimiser.step()
        torch.testing.assert_close(found[task], u.detach(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("optimiser", ["gd", "adam"])
def test_training_lowers_the_support_loss(optimiser):
    model, theta = make_mlp()
    batch = make_batch()
    states = dict(adapt(model, theta, batch.support, steps=[0, 100], lr=0.02, optimiser=optimiser))
    loss = model.loss(batch.support)
    assert (loss.at(states[100]).value() < loss.at(states[0]).value()).all()
