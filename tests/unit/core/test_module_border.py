"""What looks right at one theta, in two tasks or in one padding: refused, or right, in words."""

import gc
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from pipeline.core import METHODS, ModuleModel, Rows, TaskBatch, flat_parameters, meta_gradient
from tests.unit.core.problems import FLOWS, METHOD_SETTINGS, make_batch, make_mlp
from tests.unit.core.zoo import ITEMS, RIGHT, Attention, Items, Shaped, made

SETTINGS = METHOD_SETTINGS | {
    "maml": {"inner_steps": 3, "inner_lr": 0.05},
    "amaml_rkc": METHOD_SETTINGS["amaml_rkc"] | {"horizon": 0.1},
}


class Forgets(torch.autograd.Function):
    """Squares; its second derivative is lost, which a zero head hides."""

    @staticmethod
    def forward(x: Tensor) -> Tensor:
        return x**2

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[0])

    @staticmethod
    def backward(ctx: Any, weight: Tensor) -> Tensor:
        return 2 * ctx.saved_tensors[0].detach() * weight

    @staticmethod
    def vmap(info: Any, dims: tuple[int | None], x: Tensor) -> tuple[Tensor, int | None]:
        return Forgets.apply(x), dims[0]


class Calls(nn.Module):
    """A linear layer, then a function of the module and its output."""

    def __init__(self, function: Callable[["Calls", Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner, self.head, self.function = nn.Linear(8, 8), nn.Linear(8, 1), function
        self.seen: dict[Any, Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, self.inner(x), x)


def calls(function: Callable[[Calls, Tensor, Tensor], Tensor]) -> Callable[[], nn.Module]:
    return lambda: Calls(function)


def squared(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target) ** 2


def with_head(scale: float) -> Callable[[nn.Module], nn.Module]:
    def scaled(module: nn.Module) -> nn.Module:
        with torch.no_grad():
            for value in module.head.parameters():
                value *= scale
        return module

    return scaled


def weight_norm() -> nn.Module:
    return Shaped(parametrizations.weight_norm(nn.Linear(8, 8)))


def ask(
    module: nn.Module,
    batch: TaskBatch | None = None,
    *,
    method: str = "maml",
    loss: Any = "squared",
    theta: Tensor | None = None,
    model: ModuleModel | None = None,
) -> Tensor:
    batch = batch or make_batch(features=8, support=6, query=5)
    theta = flat_parameters(module) if theta is None else theta
    model = model or ModuleModel(module, loss)
    return meta_gradient(method, model, theta, batch, **SETTINGS[method]).gradient


def padded(weight: Tensor, *, x: float | None = None, items: bool = False) -> TaskBatch:
    """Support rows with weights (3, 6); `x` is what padding holds."""
    batch = item_batch() if items else make_batch(features=8, support=6, query=5)
    support = batch.support.x.clone()
    if x is not None:
        support[weight == 0] = x
    return TaskBatch.from_arrays(
        support, batch.support.y, batch.query.x, batch.query.y, support_weight=weight
    )


def item_batch() -> TaskBatch:
    g = torch.Generator().manual_seed(0)
    x, y = torch.randint(ITEMS, (3, 11), generator=g), torch.randn(3, 11, generator=g).double()
    return TaskBatch.from_arrays(x[:, :6], y[:, :6], x[:, 6:], y[:, 6:])


def ends(rows: int = 4) -> Tensor:
    """Weights with padding at the end of the last task."""
    weight = torch.ones(3, 6)
    weight[2, rows:] = 0
    return weight


# ---- one theta stands for all

DEGENERATE = {
    "weight norm": weight_norm,
    "detaching backward": calls(lambda m, z, x: m.head(Forgets.apply(z))),
}


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1.0])
@pytest.mark.parametrize("wrong", DEGENERATE)
def test_a_wrong_derivative_behind_a_small_head(wrong: str, scale: float) -> None:
    module = with_head(scale)(made(DEGENERATE[wrong]))
    with pytest.raises(ValueError, match="no second derivatives to trust"):
        ask(module)


@pytest.mark.parametrize("wrong", DEGENERATE)
def test_a_degenerate_seed_first(wrong: str) -> None:
    module = made(DEGENERATE[wrong])
    zero = flat_parameters(with_head(0)(made(DEGENERATE[wrong])))
    seeds, batch = torch.stack([zero, flat_parameters(module)]), make_batch(features=8, tasks=4)
    with pytest.raises(ValueError, match="no second derivatives to trust"):
        ask(module, batch, theta=seeds)


def test_right_layers_behind_a_zero_head() -> None:
    module = with_head(0)(made(RIGHT["LayerNorm"]))
    assert torch.isfinite(ask(module)).all()


def narrow(m: Calls, z: Tensor, x: Tensor) -> Tensor:
    """Finite where a bias is 1 to 1e-4."""
    return m.head(z) + 1e-10 * (1 - (1e4 * (m.inner.bias[0] - 1)) ** 2).sqrt()


def test_finite_at_theta_alone() -> None:
    """Then every theta is judged anew."""
    module = made(calls(narrow))
    model, rows = ModuleModel(module), make_batch(features=8).support
    for bias in (1.0, 1.00001):
        with torch.no_grad():
            module.inner.bias[0] = bias
        model.coordinates(flat_parameters(module)[None], rows, None)
    with pytest.raises(ValueError, match="its loss at theta is nan, not finite"):
        model.coordinates(flat_parameters(module)[None] + 1, rows, None)


# ---- padding

MIXING: dict[str, tuple[Callable[[], nn.Module], Any]] = {
    "batch statistics": (
        lambda: Shaped(nn.BatchNorm1d(8, track_running_stats=False)),
        "squared",
    ),
    "mean-centring": (calls(lambda m, z, x: m.head(z - z.mean(0))), "squared"),
    "centred by inputs": (calls(lambda m, z, x: m.head(z * x.mean(0))), "squared"),
    "maximum": (calls(lambda m, z, x: m.head(z * x.amax(0))), "squared"),
    "attention": (lambda: Shaped(Attention()), "squared"),
    "spread of targets": (RIGHT["Linear"], lambda p, y: ((p - y) / y.std()) ** 2),
    "spread of errors": (RIGHT["Linear"], lambda p, y: (p - y) ** 2 / (p - y).square().mean()),
}


@pytest.mark.parametrize("scale", [0.0, 1.0])
@pytest.mark.parametrize("mixing", MIXING)
def test_rows_that_look_at_padding(mixing: str, scale: float) -> None:
    make, loss = MIXING[mixing]
    module = with_head(scale)(made(make))
    first = make_batch(features=8, support=6, query=5)
    ragged = Rows.from_tasks(
        [x[: 4 + b] for b, x in enumerate(first.support.x)],
        [y[: 4 + b] for b, y in enumerate(first.support.y)],
    )
    for batch in (TaskBatch(ragged, first.query), padded(ends()), padded(ends(), x=0.0)):
        with pytest.raises(ValueError, match="rows that pad a task change"):
            ask(module, batch, loss=loss, method="fomaml")
    model = ModuleModel(module, loss)
    ask(module, model=model, method="fomaml")  # no padding seen, and a verdict
    with pytest.raises(ValueError, match="rows that pad a task change"):
        ask(module, padded(ends()), model=model, method="fomaml")


def test_items_that_look_at_padding() -> None:
    module = made(lambda: Items(Centred()))
    with pytest.raises(ValueError, match="rows that pad a task change"):
        ask(module, padded(ends(), items=True))
    assert ask(made(RIGHT["Embedding"]), padded(ends(), items=True)).any()


def test_padding_that_could_not_be_varied_is_tried_when_it_can() -> None:
    """All rows of the first batch are of one item: nothing else could pad them."""
    module = made(lambda: Items(Centred()))
    model, batch = ModuleModel(module), padded(ends(), items=True)
    support = replace(batch.support, x=torch.full_like(batch.support.x, 1))
    ask(module, replace(batch, support=support), model=model, method="fomaml")
    with pytest.raises(ValueError, match="rows that pad a task change"):
        ask(module, batch, model=model, method="fomaml")


class Centred(nn.Embedding):
    def __init__(self) -> None:
        super().__init__(ITEMS, 3)

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found - found.mean(0)


def test_padding_in_another_place_is_tried_anew() -> None:
    """The first row is a reference: padding after it does no harm, padding before it does."""
    module = made(calls(lambda m, z, x: m.head(z - z[:1])))
    model = ModuleModel(module)
    ask(module, padded(ends()), model=model)
    ask(module, padded(ends(3)), model=model)
    with pytest.raises(ValueError, match="rows that pad a task change"):
        ask(module, padded(ends().flip(1)), model=model)


FILLING = {
    "log of 0": (calls(lambda m, z, x: m.head(z + x.abs().log())), 0.0),
    "root of 0": (calls(lambda m, z, x: m.head(z + (m.inner.weight[0, 0] * x).abs().sqrt())), 0.0),
    "1e200": (calls(lambda m, z, x: m.head(z)), 1e200),
}


@pytest.mark.parametrize("method", ["maml", "amaml_rkc"])
@pytest.mark.parametrize("filling", FILLING)
def test_what_padding_holds_is_of_no_account(filling: str, method: str) -> None:
    make, held = FILLING[filling]
    module = made(make)
    expected = ask(module, padded(ends()), method=method)
    found = ask(module, padded(ends(), x=held), method=method)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_targets_of_padding_stay_in_what_the_loss_knows() -> None:
    batch = make_batch(features=8, support=6, query=5)
    module = made(RIGHT["Linear"])
    ones = TaskBatch.from_arrays(
        batch.support.x, (batch.support.y > 0).double(), batch.query.x, batch.query.y.sigmoid(),
        support_weight=ends(),
    )  # fmt: skip
    assert torch.isfinite(ask(module, ones, loss="binary")).all()
    classes = TaskBatch.from_arrays(
        batch.support.x, (batch.support.y > 0).long(), batch.query.x, (batch.query.y > 0).long(),
        support_weight=ends(), dtype=torch.float64,
    )  # fmt: skip
    three = made(lambda: nn.Linear(8, 3))
    assert torch.isfinite(ask(three, classes, loss="cross_entropy")).all()


# ---- embeddings


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"padding_idx": 0}, "Leave padding_idx out"),
        ({"scale_grad_by_freq": True}, "scale_grad_by_freq=False"),
        ({"max_norm": 1.0}, "max_norm=None"),
    ],
)
@pytest.mark.parametrize("layer", [nn.Embedding, nn.EmbeddingBag])
def test_embeddings_whose_gradient_is_another(layer: Any, more: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ModuleModel(Items(layer(ITEMS, 3, **more)))


def test_a_fixed_embedding_may_have_a_padding_item() -> None:
    module = made(lambda: Items(nn.Embedding(ITEMS, 3, padding_idx=0)))
    module.layer.requires_grad_(False)
    assert torch.isfinite(ask(module, item_batch())).all()


# ---- weights past registration


def closure() -> nn.Module:
    module = Calls(lambda m, z, x: m.head(m.dec(z)))
    module.dec = lambda z: functional.linear(z, module.inner.weight.t())
    return module


def detached_closure() -> nn.Module:
    module = Calls(lambda m, z, x: m.head(m.dec(z)))
    weight = module.inner.weight.detach()
    module.dec = lambda z: z @ weight
    return module


def hooked() -> nn.Module:
    module = Calls(lambda m, z, x: m.head(z))
    module.inner.register_forward_hook(lambda _, __, z: z * module.head.weight)
    return module


def listed() -> nn.Module:
    module = Calls(lambda m, z, x: m.head(z @ m.tied[0]))
    module.tied = [module.inner.weight]
    return module


def data() -> nn.Module:
    module = Calls(lambda m, z, x: m.head(z @ m.tied[0].data))
    module.tied = [module.inner.weight]
    return module


PAST = {
    "closure": (closure, "inner.weight"),
    "hook": (hooked, "head.weight"),
    "list": (listed, "inner.weight"),
    "data of a list": (data, "inner.weight"),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("past", PAST)
def test_weights_past_registration(past: str, dtype: torch.dtype) -> None:
    make, name = PAST[past]
    module = make().to(dtype)
    for method in ("fomaml", "maml"):
        with pytest.raises(ValueError, match=f"{name} is read past registration.* Register it"):
            ask(module, make_batch(features=8, dtype=dtype), method=method)


def test_memory_of_weights_past_registration() -> None:
    module = detached_closure()
    with pytest.raises(ValueError, match=r"inner\.weight is read past registration"):
        ask(module, make_batch(features=8, dtype=torch.float32))


def test_weights_in_the_loss() -> None:
    module = made(RIGHT["Linear"])
    with pytest.raises(ValueError, match=r"head\.weight is read past registration"):
        ask(module, loss=lambda p, y: (p - y) ** 2 + module.head.weight.square().sum())


def test_a_module_aliased_in_a_list_is_right() -> None:
    module = made(calls(lambda m, z, x: m.head(torch.tanh(z))))
    expected = ask(module)
    module.function = lambda m, z, x: m.head(torch.tanh(m.again[0](x)))
    module.again = [module.inner]
    assert torch.equal(ask(module), expected)


def test_theta_may_be_the_weights_themselves() -> None:
    module = nn.Linear(8, 1, bias=False).double()
    theta = module.weight.detach().flatten()
    assert torch.equal(ask(module, theta=theta), ask(module))


def test_a_model_goes_through_pickle_and_outlives_its_module() -> None:
    module = made(RIGHT["Linear"])
    theta, expected = flat_parameters(module), ask(module, loss=squared)
    model = pickle.loads(pickle.dumps(ModuleModel(module, squared)))
    other = ModuleModel(module, squared)
    del module
    gc.collect()
    assert torch.equal(ask(None, theta=theta, model=model), expected)
    assert torch.equal(ask(None, theta=theta, model=other), expected)


# ---- what is said


def remembered(m: Calls, z: Tensor, x: Tensor) -> Tensor:
    if x.shape not in m.seen:
        m.seen[x.shape] = x.mean(0)
    return m.head(z - m.seen[x.shape])


SAID = {
    "nan": (calls(lambda m, z, x: m.head(z) * torch.nan), "loss at theta is nan, not finite"),
    "float32 inside": (
        calls(lambda m, z, x: m.head(torch.tanh(z.float()).to(x.dtype))),
        r"computes in torch\.float32 inside; cast to `x\.dtype`",
    ),
    "float32 on the way in": (
        calls(lambda m, z, x: m.head(torch.tanh(m.inner(x.float().to(x.dtype)).float()).to(x))),
        r"computes in torch\.float32 inside",
    ),
    "integers": (calls(lambda m, z, x: z.argmax(1)), "must give predictions that are floats"),
    "constant": (calls(lambda m, z, x: x.sum(1)), "do not depend on its parameters"),
    "remembers": (calls(remembered), "keeps what it computed of its inputs"),
    "detached": (calls(lambda m, z, x: m.head(z).detach()), "not that of its loss"),
}


@pytest.mark.parametrize("method", ["fomaml", "maml"])
@pytest.mark.parametrize("said", SAID)
def test_what_is_said(said: str, method: str) -> None:
    make, words = SAID[said]
    with pytest.raises(ValueError, match=words):
        ask(made(make), method=method)


def test_a_module_that_remembers_classes() -> None:
    """The check of classes must not be what it remembers."""
    batch = make_batch(features=8, support=6, query=6)
    classes = TaskBatch.from_arrays(
        batch.support.x, (batch.support.y > 0).long(), batch.query.x, (batch.query.y > 0).long(),
        dtype=torch.float64,
    )  # fmt: skip
    module = made(calls(lambda m, z, x: remembered(m, z, x) * torch.ones(3).double()))
    with pytest.raises(ValueError, match="keeps what it computed of its inputs"):
        ask(module, classes, loss="cross_entropy", method="fomaml")


def test_one_task_at_a_time_is_remembered_too() -> None:
    module = made(calls(remembered))
    with pytest.raises(ValueError, match="keeps what it computed of its inputs"):
        ask(module, make_batch(features=8, tasks=1), method="fomaml")


def looked_at(m: Calls, z: Tensor, x: Tensor) -> Tensor:
    m.seen["last"] = torch.tanh(z)
    return m.head(m.seen["last"])


def constants(m: Calls, z: Tensor, x: Tensor) -> Tensor:
    if "waves" not in m.seen:
        m.seen["waves"] = torch.cos(torch.arange(8, dtype=x.dtype))
    return m.head(torch.tanh(z) * m.seen["waves"])


def test_constants_may_be_remembered() -> None:
    waves = torch.cos(torch.arange(8.0).double())
    expected = ask(made(calls(lambda m, z, x: m.head(torch.tanh(z) * waves))))
    assert torch.equal(ask(made(calls(constants))), expected)


def test_what_is_left_to_be_looked_at_is_right() -> None:
    expected = ask(made(calls(lambda m, z, x: m.head(torch.tanh(z)))))
    assert torch.equal(ask(made(calls(looked_at))), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", METHODS)
def test_half_precision(method: str, dtype: torch.dtype) -> None:
    module = made(RIGHT["Linear"]).to(dtype)
    batch = make_batch(features=8, dtype=torch.float64)
    rounded = TaskBatch.from_arrays(
        *(part for side in (batch.support, batch.query) for part in (side.x, side.y)), dtype=dtype
    )
    asked = method, ModuleModel(module), flat_parameters(module), rounded
    mlp, theta = make_mlp(features=8)
    if method in FLOWS:
        for one in (asked, (method, mlp, theta.to(dtype), rounded)):
            with pytest.raises(ValueError, match="gradient flow needs float32 or float64"):
                meta_gradient(*one, **METHOD_SETTINGS[method])
        return
    assert torch.isfinite(meta_gradient(*asked, **METHOD_SETTINGS[method]).gradient).all()
