"""An answer depends on no mode of torch that the caller is in."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import torch
from torch import Tensor

from pipeline.core import (
    METHODS,
    MetaTrainer,
    ModuleModel,
    TaskBatch,
    adapt,
    flat_parameters,
    meta_gradient,
)
from tests.unit.core.problems import METHOD_SETTINGS, make_batch, make_mlp
from tests.unit.core.zoo import RIGHT, made


@contextmanager
def default_dtype() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64 if before is torch.float32 else torch.float32)
    yield
    torch.set_default_dtype(before)


SHORT = {"horizon": 0.1, "inner_steps": 1}
MODES: dict[str, AbstractContextManager] = {
    "inference": torch.inference_mode(),
    "no_grad": torch.no_grad(),
    "enable_grad": torch.enable_grad(),
    "autocast": torch.autocast("cpu", torch.bfloat16),
    "default device": torch.device("meta"),
    "default dtype": default_dtype(),
}


def mode(name: str) -> AbstractContextManager:
    return default_dtype() if name == "default dtype" else MODES[name]


# In float32: what autocast rounds.
SINGLE = {"dtype": torch.float32}


def models() -> dict[str, tuple]:
    module = made(RIGHT["MultiheadAttention"]).float()
    closed, theta = make_mlp(features=8)
    return {
        "closed form": (closed, theta.float()),
        "attention": (ModuleModel(module), flat_parameters(module)),
    }


def test_autocast_would_round_what_is_tested_here() -> None:
    x = torch.rand(4, 4)
    with mode("autocast"):
        assert (x @ x).dtype == torch.bfloat16


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("kind", ["closed form", "attention"])
def test_meta_gradients(kind: str, name: str) -> None:
    model, theta = models()[kind]
    batch = make_batch(features=8, support=5, query=4, **SINGLE)
    for method in METHODS:
        given = METHOD_SETTINGS[method]
        settings = given | {key: SHORT[key] for key in SHORT.keys() & given.keys()}
        expected = meta_gradient(method, model, theta, batch, **settings)
        with mode(name):
            found = meta_gradient(method, model, theta, batch, **settings)
        assert torch.equal(found.gradient, expected.gradient), method
        assert not found.gradient.is_inference()
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def trained(model: object, theta: Tensor, batch: TaskBatch) -> Tensor:
    trainer = MetaTrainer(
        "maml", model, theta, settings={"inner_steps": 2, "inner_lr": 0.1}, outer_lr=0.01
    )
    trainer.step(batch)
    return trainer.theta


@pytest.mark.parametrize("name", MODES)
def test_training_and_adapting(name: str) -> None:
    model, theta = models()["closed form"]
    batch = make_batch(features=8, **SINGLE)
    expected = trained(model, theta, batch)
    ((_, states),) = adapt(model, theta, batch.support, steps=[3], lr=0.1)
    with mode(name):
        assert torch.equal(trained(model, theta, batch), expected)
        ((_, found),) = adapt(model, theta, batch.support, steps=[3], lr=0.1)
    assert torch.equal(found, states)


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("kind", ["closed form", "attention"])
def test_predictions(kind: str, name: str) -> None:
    model, theta = models()[kind]
    x = make_batch(features=8, **SINGLE).query.x
    expected = model.predict(theta.expand(3, -1), x)
    with mode(name):
        assert torch.equal(model.predict(theta.expand(3, -1), x), expected)


@pytest.mark.parametrize("kind", ["closed form", "attention"])
def test_predictions_may_be_derived(kind: str) -> None:
    model, theta = models()[kind]
    u = theta.expand(3, -1).clone().requires_grad_()
    model.predict(u, make_batch(features=8, **SINGLE).query.x).sum().backward()
    assert torch.isfinite(u.grad).all()
    assert u.grad.any()


def test_all_made_in_inference_mode() -> None:
    """Model, theta and batch; then used outside of it."""
    with torch.inference_mode():
        module = made(RIGHT["LayerNorm"])
        model, theta = ModuleModel(module), flat_parameters(module)
        batch = make_batch(features=8)
    settings = METHOD_SETTINGS["maml"] | {"inner_steps": 2}
    found = meta_gradient("maml", model, theta, batch, **settings)
    module = made(RIGHT["LayerNorm"])
    expected = meta_gradient(
        "maml", ModuleModel(module), flat_parameters(module), make_batch(features=8), **settings
    )
    assert torch.equal(found.gradient, expected.gradient)
    trainer = MetaTrainer("maml", model, theta, settings=settings, outer_lr=0.1)
    trainer.step(batch)
    trainer.step(batch)


def test_modes_are_set_again_after_an_error() -> None:
    fast = torch.backends.mha.get_fastpath_enabled()
    asked = ("maml", *make_mlp(features=8), make_batch(features=2))
    with torch.inference_mode(), pytest.raises(ValueError, match="2 features"):
        meta_gradient(*asked, **METHOD_SETTINGS["maml"])
    assert torch.backends.mha.get_fastpath_enabled() is fast
    assert torch.is_grad_enabled()
