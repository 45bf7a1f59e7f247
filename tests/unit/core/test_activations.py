"""Activations with their derivatives, saturated and not, and the ways to cut a batch of points."""

import pytest
import torch
from torch import Tensor

from pipeline.core import ModuleModel
from pipeline.core.activations import ACTIVATIONS
from pipeline.core.closed_forms import PackedLoss
from tests.unit.core.problems import ACTIVATIONS as PLAIN
from tests.unit.core.problems import make_batch, make_mlp, make_module

DEPTHS = [(6,), (6, 5), (4, 5, 3), (4, 3, 5, 4)]
LARGE = torch.cat([torch.linspace(-50, 50, 201), torch.tensor([-1e-9, 0.0, 1e-12, 1e-5])]).double()


def test_the_shared_list_names_every_activation():
    assert set(PLAIN) == set(ACTIVATIONS)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_derivatives_are_autograds_up_to_saturation(name):
    f, z = ACTIVATIONS[name], LARGE.clone().requires_grad_()
    plain = PLAIN[name](z)
    (first,) = torch.autograd.grad(plain.sum(), z, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), z)
    g, rz = torch.full_like(LARGE, 1.3), torch.full_like(LARGE, -0.7)
    a = f.value(f.gain * LARGE)
    kept = f.keep(f.gain * LARGE, a)
    delta = f.backward(g, kept)
    into = torch.full_like(LARGE, 0.25)
    f.bend(into, rz, g if f.needs_g else None, delta, kept)
    close = {"rtol": 1e-10, "atol": 1e-15}
    # tanh comes from the logistic function: off by a rounding error of 1, not of itself
    torch.testing.assert_close(a, plain.detach(), rtol=1e-13, atol=4e-16)
    torch.testing.assert_close(delta, 1.3 * first.detach(), **close)
    torch.testing.assert_close(into - 0.25, 1.3 * -0.7 * second, rtol=1e-10, atol=2e-15)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 30.0])
@pytest.mark.parametrize("hidden", DEPTHS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_closed_forms_equal_the_modules(name, hidden, scale):
    """With pre-activations that are tiny, usual, or tens on average."""
    batch = make_batch()
    model, theta = make_mlp(hidden, activation=name)
    module = ModuleModel(make_module(hidden, activation=name))
    u, v = scale * torch.stack([theta, -theta, theta.flip(0)]), torch.randn(3, len(theta)).double()
    closed, wanted = (m.loss(batch.support).at(u) for m in (model, module))
    pairs = [
        (closed.value(), wanted.value()),
        (closed.gradient(), wanted.gradient()),
        (closed.hvp(v), wanted.hvp(v)),
    ]
    for a, b in pairs:
        assert float((a - b).norm() / b.norm()) < 1e-10


def packed(name: str, hidden: tuple[int, ...], tasks: int = 3) -> tuple[PackedLoss, Tensor]:
    batch = make_batch(tasks=tasks)
    model, theta = make_mlp(hidden, activation=name)
    place = model.coordinates(theta[None], batch.support, batch.query)
    return place.support, place.start


def same(found, wanted, v: Tensor) -> None:
    close = {"rtol": 1e-12, "atol": 1e-13}
    torch.testing.assert_close(found.value(), wanted.value(), **close)
    torch.testing.assert_close(found.outputs(), wanted.outputs(), **close)
    torch.testing.assert_close(found.hvp(v), wanted.hvp(v), **close)
    torch.testing.assert_close(found.gradient(), wanted.gradient(), **close)


@pytest.mark.parametrize("hidden", [(6,), (4, 5, 3)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_points_of_one_large_batch_are_those_made_one_by_one(name, hidden):
    """In any order of batch sizes: larger and smaller ones share their copies of the rows."""
    loss, start = packed(name, hidden)
    g = torch.Generator().manual_seed(0)
    for count in (2, 5, 3, 1, 2):
        states = [
            start + 0.3 * torch.randn(start.shape, generator=g, dtype=start.dtype)
            for _ in range(count)
        ]
        v = torch.randn(start.shape, generator=g, dtype=start.dtype)
        points = loss.at_states(states)
        assert len(points) == count
        for point, u in zip(points, states, strict=True):
            same(point, loss.at(u), v)


def test_copies_of_rows_are_made_for_the_largest_batch_alone():
    loss, start = packed("tanh", (6, 5))
    for count in (4, 2, 3):
        loss.at_states([start] * count)
    storages = {copy.x.untyped_storage().data_ptr() for copy in loss._copies.values()}
    gains = {copy.x_gain.untyped_storage().data_ptr() for copy in loss._copies.values()}
    assert len(storages) == len(gains) == 1


@pytest.mark.parametrize("tasks", [slice(1, 3), torch.tensor([2, 0])])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_some_of_the_tasks(name, tasks):
    loss, start = packed(name, (6, 5))
    v = torch.randn_like(start)
    whole, part = loss.at(start), loss.select(tasks).at(start[tasks])
    for found, wanted in (
        (part.value(), whole.value()),
        (part.gradient(), whole.gradient()),
        (part.hvp(v[tasks]), whole.hvp(v)),
    ):
        torch.testing.assert_close(found, wanted[tasks], rtol=1e-12, atol=1e-14)
    if isinstance(tasks, slice):
        same(whole.cut(loss.select(tasks), start[tasks], tasks), part, v[tasks])
