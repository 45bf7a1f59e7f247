"""Layers of torch: right with every method, or refused in words. See zoo.py for the layers."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from pipeline.core import METHODS, ModuleModel, Rows, TaskBatch, flat_parameters, meta_gradient
from pipeline.core.coordinates import OwnCoordinates
from tests.unit.core import reference
from tests.unit.core.problems import METHOD_SETTINGS, make_batch
from tests.unit.core.zoo import (
    FIRST_ORDER,
    ITEMS,
    REFUSED,
    RIGHT,
    Buffered,
    Counting,
    Items,
    Shaped,
    made,
)

STEPS, SHORT = {"inner_steps": 4}, {"horizon": 0.1}
WITHOUT_PRODUCTS = ("fomaml", "reptile", "joint")


class PlainModel:
    """The same by autograd of one task after the other, without `torch.func`."""

    capturable = False

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.n_parameters = len(flat_parameters(module))

    def coordinates(self, theta: Tensor, support: Rows, query: Rows | None) -> OwnCoordinates:
        start = theta.repeat_interleave(len(support.y) // len(theta), 0)
        sides = [PlainLoss(self.module, rows) for rows in (support, query) if rows is not None]
        return OwnCoordinates(start, sides[0], sides[-1], len(theta))


class PlainLoss:
    def __init__(self, module: nn.Module, rows: Rows) -> None:
        self.module, self.rows = module, rows

    def at(self, u: Tensor) -> "PlainPoint":
        return PlainPoint(self, u)

    def at_states(self, states: Sequence[Tensor]) -> "list[PlainPoint]":
        return [self.at(u) for u in states]

    def select(self, tasks: Tensor | slice) -> "PlainLoss":
        rows = self.rows
        return PlainLoss(self.module, Rows(rows.x[tasks], rows.y[tasks], rows.weight[tasks]))

    def point_bytes(self, u: Tensor) -> int:
        return 0


class PlainPoint:
    def __init__(self, loss: PlainLoss, u: Tensor) -> None:
        self.loss, self.u = loss, u

    def value(self) -> Tensor:
        loss = self.loss
        return torch.stack(
            [reference.task_loss(loss.module, loss.rows, n)(u) for n, u in enumerate(self.u)]
        )

    def gradient(self) -> Tensor:
        kept = torch.is_grad_enabled() and self.u.requires_grad
        with torch.enable_grad():
            u = self.u if kept else self.u.detach().requires_grad_()
            total = PlainPoint(self.loss, u).value().sum()
            (slope,) = torch.autograd.grad(total, u, create_graph=True)
        return slope

    def hvp(self, v: Tensor) -> Tensor:
        with torch.enable_grad():
            u = self.u.detach().requires_grad_()
            slope = PlainPoint(self.loss, u).gradient()
            (product,) = torch.autograd.grad(slope, u, v)
        return product


def batch_for(module: nn.Module) -> TaskBatch:
    if not isinstance(module, Items):
        return make_batch(features=8, support=6, query=5)
    g = torch.Generator().manual_seed(0)
    x, y = torch.randint(ITEMS, (3, 11), generator=g), torch.randn(3, 11, generator=g).double()
    return TaskBatch.from_arrays(x[:, :6], y[:, :6], x[:, 6:], y[:, 6:])


def settings_of(method: str) -> dict[str, object]:
    given = METHOD_SETTINGS[method]
    if "horizon" in given:
        return given | SHORT
    return given | STEPS if given.get("inner_steps", 1) > 1 else given


# the ways to a second derivative; what other methods do with it is slow to see of every layer
WAYS = ("maml", "maml_sweep", "imaml", "amaml_rkc")


@pytest.mark.parametrize(
    "method", [pytest.param(m, marks=[pytest.mark.slow] * (m not in WAYS)) for m in METHODS]
)
@pytest.mark.parametrize("layer", RIGHT)
def test_every_method_is_right(layer: str, method: str) -> None:
    module = made(RIGHT[layer])
    theta, batch, settings = flat_parameters(module), batch_for(module), settings_of(method)
    found = meta_gradient(method, ModuleModel(module), theta, batch, **settings)
    expected = meta_gradient(method, PlainModel(module), theta, batch, **settings)
    for what in ("gradient", "adapted", "query_loss"):
        torch.testing.assert_close(
            getattr(found, what), getattr(expected, what), rtol=1e-6, atol=1e-9
        )


@pytest.mark.parametrize("layer", RIGHT)
def test_the_true_gradient_by_finite_differences(layer: str) -> None:
    """Autograd is no judge of itself: its second derivative of weight norm is wrong."""
    module = made(RIGHT[layer])
    model, theta, batch = ModuleModel(module), flat_parameters(module), batch_for(module)
    training = {"inner_steps": 5, "inner_lr": 0.05}

    def objective(theta: Tensor) -> Tensor:
        return meta_gradient("fomaml", model, theta, batch, **training).query_loss.mean()

    found = meta_gradient("maml", model, theta, batch, **training).gradient
    drawn = torch.randn(len(theta), generator=torch.Generator().manual_seed(1), dtype=theta.dtype)
    direction = drawn / drawn.norm() + found / found.norm()
    expected = (objective(theta + 1e-5 * direction) - objective(theta - 1e-5 * direction)) / 2e-5
    torch.testing.assert_close(found @ direction, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize("layer", REFUSED)
@pytest.mark.parametrize("method", ["fomaml", "amaml_rkc"])
def test_what_cannot_be_is_refused(layer: str, method: str) -> None:
    make, words = REFUSED[layer]
    module = made(make)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(ValueError, match=words):
        meta_gradient(
            method, ModuleModel(module), flat_parameters(module), batch_for(module),
            **settings_of(method),
        )  # fmt: skip
    for name, value in module.state_dict().items():
        assert torch.equal(value, state[name]), name


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("layer", FIRST_ORDER)
def test_second_derivatives_are_refused_where_they_are_needed(layer: str, method: str) -> None:
    make, words = FIRST_ORDER[layer]
    module = made(make)
    asked = (method, ModuleModel(module), flat_parameters(module), batch_for(module))
    if method in WITHOUT_PRODUCTS:
        assert torch.isfinite(meta_gradient(*asked, **settings_of(method)).gradient).all()
        return
    with pytest.raises(ValueError, match=words):
        meta_gradient(*asked, **settings_of(method))


def test_in_single_precision_too() -> None:
    module = made(RIGHT["TransformerEncoderLayer eval"])
    exact = meta_gradient(
        "maml_sweep", ModuleModel(module), flat_parameters(module), batch_for(module),
        **settings_of("maml_sweep"),
    )  # fmt: skip
    batch = batch_for(module)
    rounded = TaskBatch.from_arrays(
        *(part.float() for side in (batch.support, batch.query) for part in (side.x, side.y))
    )
    rough = meta_gradient(
        "maml_sweep", ModuleModel(module), flat_parameters(module).float(), rounded,
        **settings_of("maml_sweep"),
    )  # fmt: skip
    assert rough.gradient.dtype == torch.float32
    torch.testing.assert_close(rough.gradient.double(), exact.gradient, rtol=1e-3, atol=1e-4)


def test_the_module_is_never_touched() -> None:
    module = Shaped(Counting()).double()
    calls = (module.layer.calls.clone(), module.layer.times)
    with pytest.raises(ValueError, match="in-place"):
        meta_gradient(
            "fomaml", ModuleModel(module), flat_parameters(module), batch_for(module),
            **settings_of("fomaml"),
        )  # fmt: skip
    assert (module.layer.calls, module.layer.times) == calls


def test_fixed_parameters_stay_and_the_way_back() -> None:
    module = made(lambda: Shaped(Buffered()))
    model, theta, batch = ModuleModel(module), flat_parameters(module), batch_for(module)
    assert len(theta) == sum(p.numel() for p in module.parameters() if p.requires_grad)
    assert model.n_parameters == len(theta)
    out = meta_gradient("fomaml", model, theta, batch, **settings_of("fomaml"))
    trained = model.module_at(out.adapted[0])
    assert torch.equal(trained.layer.fixed, module.layer.fixed)
    assert torch.equal(flat_parameters(trained), out.adapted[0])
    assert torch.equal(flat_parameters(module), theta)
    expected = model.predict(out.adapted, batch.query.x)[0]
    torch.testing.assert_close(trained(batch.query.x[0]), expected)


@pytest.mark.parametrize(
    ("loss", "found"),
    [
        (nn.MSELoss(), r"found \(\)"),
        (lambda p, y: (p.unsqueeze(1) - y) ** 2, r"found \(6, 6\)"),
        (lambda p, y: ((p - y) ** 2).unsqueeze(1), r"found \(6, 1\)"),
        (lambda p, y: 1.0, "found float"),
    ],
)
def test_a_row_loss_of_another_shape_is_refused(loss: object, found: str) -> None:
    module = made(RIGHT["Linear"])
    asked = (ModuleModel(module, loss), flat_parameters(module), batch_for(module))
    with pytest.raises(ValueError, match=rf"a loss for each row, shape \(6,\), {found}"):
        meta_gradient("fomaml", *asked, **settings_of("fomaml"))


@pytest.mark.parametrize("width", [2, 0])
def test_predictions_of_another_shape_are_refused(width: int) -> None:
    module = nn.Sequential(nn.Linear(8, max(width, 1)), *([nn.Flatten(0)] if not width else []))
    module = module.double()
    if width:
        with pytest.raises(ValueError, match=r"found \(6, 2\)"):
            meta_gradient(
                "fomaml", ModuleModel(module), flat_parameters(module), batch_for(module),
                **settings_of("fomaml"),
            )  # fmt: skip
    else:
        model, theta = ModuleModel(module), flat_parameters(module)
        assert model.predict(theta.expand(3, -1), batch_for(module).query.x).shape == (3, 5)


def test_rows_that_look_at_one_another_do_without_padding() -> None:
    module = made(RIGHT["MultiheadAttention"])
    batch = batch_for(module)
    weight = torch.ones(3, 6)
    weight[2, 4:] = 0  # not among the first two tasks
    padded = TaskBatch.from_arrays(
        batch.support.x, batch.support.y, batch.query.x, batch.query.y, support_weight=weight
    )
    model, theta = ModuleModel(module), flat_parameters(module)
    meta_gradient("fomaml", model, theta, batch, **settings_of("fomaml"))
    with pytest.raises(ValueError, match="rows that pad a task"):
        meta_gradient("fomaml", model, theta, padded, **settings_of("fomaml"))
    plain = made(RIGHT["LayerNorm"])
    meta_gradient(
        "fomaml", ModuleModel(plain), flat_parameters(plain), padded, **settings_of("fomaml")
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.LazyLinear(1), "Call the module once"),
        (lambda: nn.utils.weight_norm(nn.Linear(8, 1)), "Weight norm"),
        (lambda: nn.Tanh(), "no parameters to train"),
        (lambda: nn.Linear(8, 1).requires_grad_(False), "no parameters to train"),
        (lambda: lambda x: x, "an nn.Module"),
    ],
)
def test_modules_that_no_model_can_be_made_of(make: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ModuleModel(make())
