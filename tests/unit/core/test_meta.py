"""The outer loop: its optimisers, checkpoints, divergence."""

import pytest
import torch

from pipeline.core import Diverged, MetaTrainer, meta_gradient
from tests.unit.core.problems import METHOD_SETTINGS, make_batch, make_mlp

SETTINGS = METHOD_SETTINGS["maml_sweep"]


def trainer(**changes):
    model, theta = make_mlp()
    arguments = {"settings": SETTINGS, "outer_lr": 1e-2} | changes
    return MetaTrainer("maml_sweep", model, theta, **arguments)


def test_steps_are_adams():
    model, theta = make_mlp()
    batch = make_batch()
    found = trainer()
    (progress,) = found.step(batch)
    out = meta_gradient("maml_sweep", model, theta, batch, **SETTINGS)
    wanted = theta.clone()
    optimiser = torch.optim.Adam([wanted], lr=1e-2)
    wanted.grad = out.gradient
    optimiser.step()
    assert torch.equal(found.theta, wanted)
    assert progress.update == 1
    assert progress.meta_loss == pytest.approx(float(out.query_loss.mean()))
    assert progress.gradient_norm == pytest.approx(float(out.gradient.norm()))
    assert progress.change == pytest.approx(float((wanted - theta).norm()))


def test_steps_of_sgd_are_plain_gradient_steps():
    model, theta = make_mlp()
    found = trainer(optimiser="sgd")
    for seed in range(2):
        gradient = meta_gradient(
            "maml_sweep", model, theta, make_batch(seed=seed), **SETTINGS
        ).gradient
        theta = theta - 1e-2 * gradient
        found.step(make_batch(seed=seed))
        torch.testing.assert_close(found.theta, theta, rtol=1e-14, atol=0)


def test_an_unknown_optimiser_is_refused():
    with pytest.raises(ValueError, match=r"optimiser must be one of adam, .*, found 'lbfgs'"):
        trainer(optimiser="lbfgs")


def test_training_lowers_the_meta_loss():
    found, batch = trainer(), make_batch()
    losses = [found.step(batch)[0].meta_loss for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_a_checkpoint_goes_on_bit_for_bit(optimiser):
    whole, first, second = (trainer(optimiser=optimiser) for _ in range(3))
    batches = [make_batch(seed=seed) for seed in range(6)]
    for batch in batches:
        whole.step(batch)
    for batch in batches[:3]:
        first.step(batch)
    second.load_state_dict(first.state_dict())
    for batch in batches[3:]:
        second.step(batch)
    assert second.updates == 6
    assert torch.equal(second.theta, whole.theta)


def test_divergence_is_told_before_theta_is_touched():
    wild = trainer(settings={"inner_steps": 400, "inner_lr": 1e6})
    before = wild.theta
    with pytest.raises(Diverged, match=r"meta-update 1: .*task 0 of the meta-batch"):
        wild.step(make_batch())
    assert torch.equal(wild.theta, before)
    strict = trainer(gradient_limit=1e-12)
    with pytest.raises(Diverged, match="allowed is at most 1e-12"):
        strict.step(make_batch())
    assert strict.updates == 0
