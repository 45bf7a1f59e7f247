"""The outer rate over the meta-updates, and theta's moving average, in real training."""

import math

import pytest
import torch

from pipeline.core import MetaTrainer, fit
from pipeline.core.schedules import SCHEDULES
from tests.unit.core.problems import METHOD_SETTINGS, make_batch, make_mlp

SETTINGS = METHOD_SETTINGS["fomaml"]
LR, UPDATES = 1e-2, 12
RATES = {  # of the share of training that is done
    "constant": lambda share: LR,
    "cosine": lambda share: LR * math.cos(math.pi * share / 2) ** 2,
}


def trainer(**changes):
    model, theta = make_mlp()
    given = {"settings": SETTINGS, "outer_lr": LR, "optimiser": "sgd", "updates": UPDATES}
    return MetaTrainer("fomaml", model, theta, **given | changes)


def test_every_schedule_is_tested():
    assert RATES.keys() == SCHEDULES.keys()


@pytest.mark.parametrize("warm_up", [0, 4])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_plain_steps_have_the_rate_of_the_schedule(schedule, warm_up):
    found = trainer(schedule=schedule, warm_up=warm_up)
    rates = []
    for update in range(UPDATES):
        (progress,) = found.step(make_batch(seed=update))
        rates.append(progress.change / progress.gradient_norm)
    rising = [LR * (update + 1) / warm_up for update in range(warm_up)]
    left = UPDATES - warm_up
    wanted = rising + [RATES[schedule](update / left) for update in range(left)]
    assert rates == pytest.approx(wanted, rel=1e-9)


def test_after_the_last_update_the_rate_stays():
    found = trainer(schedule="cosine", updates=2)
    for update in range(3):
        (progress,) = found.step(make_batch(seed=update))
    assert progress.change < 1e-15


def test_the_average_follows_theta():
    found = trainer(average=0.7)
    wanted = found.theta
    for update in range(1, UPDATES + 1):
        found.step(make_batch(seed=update))
        decay = min(0.7, (1 + update) / (10 + update))
        wanted = decay * wanted + (1 - decay) * found.theta
        torch.testing.assert_close(found.average, wanted, rtol=1e-12, atol=0)
    assert trainer().average is None


def test_a_checkpoint_keeps_schedule_and_average_bit_for_bit():
    given = {"schedule": "cosine", "warm_up": 3, "average": 0.9, "optimiser": "adam"}
    whole, first, second = (trainer(**given) for _ in range(3))
    batches = [make_batch(seed=seed) for seed in range(8)]
    for batch in batches:
        whole.step(batch)
    for batch in batches[:4]:
        first.step(batch)
    second.load_state_dict(first.state_dict())
    for batch in batches[4:]:
        second.step(batch)
    assert torch.equal(second.theta, whole.theta)
    assert torch.equal(second.average, whole.average)


def test_seeds_keep_their_own_averages():
    model, theta = make_mlp()
    others = [theta, 1.1 * theta, 0.9 * theta]
    given = {"settings": SETTINGS, "outer_lr": LR, "average": 0.8}
    together = MetaTrainer("fomaml", model, torch.stack(others), **given)
    alone = MetaTrainer("fomaml", model, others[2], **given)
    batch = make_batch(tasks=3)
    thrice = batch.select(torch.tensor([0, 1, 2] * 3))
    together.step(thrice)
    alone.step(batch)
    together.keep([2])
    together.step(batch)
    alone.step(batch)
    torch.testing.assert_close(together.average[0], alone.average, rtol=1e-10, atol=0)


def test_fit_gives_the_average():
    model, theta = make_mlp()
    given = {"settings": SETTINGS, "updates": 5, "outer_lr": LR, "meta_batch": 2}
    plain = fit("fomaml", model, theta, make_batch(tasks=4), **given)
    found = fit("fomaml", model, theta, make_batch(tasks=4), average=0.5, **given)
    assert torch.equal(found.theta, plain.theta)
    assert found.average is not None
    assert not torch.equal(found.average, found.theta)
    assert plain.average is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schedule": "linear"}, "schedule must be one of constant, cosine, found 'linear'"),
        ({"schedule": "cosine", "updates": None}, "needs `updates`"),
        ({"updates": 0}, "updates must be a whole number"),
        ({"warm_up": -1}, "warm_up must be"),
        ({"warm_up": 2.5}, "warm_up must be"),
        ({"warm_up": 13}, "warm_up is 13, above the 12"),
        ({"average": 1.0}, "average must lie between 0 and 1"),
        ({"average": True}, "average must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_is_refused(change, said):
    with pytest.raises(ValueError, match=said):
        trainer(**change)
