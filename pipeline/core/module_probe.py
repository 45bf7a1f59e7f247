"""Whether a module's values and derivatives can be trusted, asked before they are used.

Torch derives most modules rightly, some not at all, and a few wrongly without a word. So for rows
of each new shape two tasks are tried in double precision, on the way that is taken later (`vmap`
of `torch.func`): the gradient against central differences of the loss, Hessian-vector products
against central differences of the gradient. What fails or differs is refused, with the remedy
where it is known.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.core.tasks import Rows

TASKS = 2
STEPS = (1e-6, 1e-7, 1e-5)  # of central differences; one that meets a kink of a ReLU is no proof
BOUND = 1e-5  # relative; wrong formulas differ by 1e-3 and more, right ones by 1e-8
# What torch raises for what it cannot do; an error of memory is none of these.
_CANNOT = (RuntimeError, IndexError, TypeError, NotImplementedError, AttributeError)

Function = Callable[..., Tensor]
WAYS = {True: "forward over reverse", False: "reverse over reverse"}


def trained(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that require a gradient, by name, each once.

    Raises:
        ValueError: when there is none, or one has no shape yet.
    """
    found = {name: value for name, value in module.named_parameters() if value.requires_grad}
    lazy = [n for n, value in module.named_parameters() if nn.parameter.is_lazy(value)]
    if lazy:
        raise ValueError(
            f"{type(module).__name__}: the shape of {lazy[0]} is not known yet. Call the module "
            "once on inputs of one task first."
        )
    if not sum(value.numel() for value in found.values()):
        raise ValueError(f"{type(module).__name__} has no parameters to train.")
    if odd := [n for n, value in found.items() if not value.is_floating_point()]:
        raise ValueError(f"{type(module).__name__}: {odd[0]} is {found[odd[0]].dtype}, no float.")
    return found


def copy_of(module: nn.Module) -> nn.Module:
    """A module of its own with the same parameters and buffers.

    Raises:
        ValueError: when it cannot be copied.
    """
    if not isinstance(module, nn.Module):
        raise ValueError(f"a model is made of an nn.Module, found {type(module).__name__}.")
    trained(module)
    with torch.inference_mode(False):
        try:
            return copy.deepcopy(module)
        except (RuntimeError, TypeError, AttributeError) as error:
            remedy = _remedy(module) or "Keep no tensors with a graph as attributes."
            raise ValueError(
                f"{type(module).__name__} cannot be copied: {_first_line(error)}. {remedy}"
            ) from error


@contextmanager
def refusing(module: nn.Module, x: Tensor) -> Iterator[None]:
    """Torch's errors on inputs x (B, N, ...) as a refusal that names module, inputs and remedy."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except _CANNOT as error:
        raise ValueError(
            f"{type(module).__name__} does not make {x.shape[1]} predictions of inputs "
            f"{tuple(x.shape[1:])} of {x.dtype}: {_first_line(error)}. {_remedy(module)}".rstrip()
        ) from error


class Losses(Protocol):
    """What a `ModuleLoss` can do (module_model.py)."""

    rows: Rows

    def values(self, u: Tensor) -> Tensor: ...

    def gradients(self, u: Tensor) -> Tensor: ...

    def products(self, u: Tensor, v: Tensor, *, forward: bool) -> Tensor: ...


class Probe:
    """What was found about a model, by the shapes and dtypes of rows."""

    def __init__(self, module: nn.Module, predict_one: Function, loss: Callable[[Rows], Losses]):
        self._module, self._predict_one, self._loss = module, predict_one, loss
        self._sound: set[object] = set()
        self._ways: dict[object, bool] = {}

    def check_gradients(self, u: Tensor, rows: Rows) -> None:
        """Raise ValueError unless value and gradient at u (P,) can be trusted on such rows."""
        if rows.is_indexed:  # whether an embedding has the items depends on the numbers
            task = int(rows.x.flatten(1).amax(1).argmax())
            with refusing(self._module, rows.x):
                self._predict_one(u, rows.x[task])
        key = _kind(u, rows)
        if key in self._sound:
            return
        with refusing(self._module, rows.x):
            self._loss(_some(rows, u.dtype)).gradients(u.expand(min(TASKS, len(rows.y)), -1))
        loss, states = self._in_double(u, rows)
        with refusing(self._module, rows.x):
            value, slope = loss.values(states), loss.gradients(states)
            if not torch.equal(value, loss.values(states)):
                raise ValueError(self._said("its predictions differ from call to call"))
            if slope.shape != states.shape or slope.is_sparse:
                raise ValueError(self._said("its gradient is not dense"))
            self._check_padding(loss.rows, states, value)
            direction = _directions(slope)
            expected = (slope * direction).sum(1)
            scale = slope.norm(dim=1) + value.abs() * 1e-3
            if not _agrees(loss.values, states, direction, expected, scale):
                raise ValueError(
                    self._said("its gradient is not that of its loss (central differences)")
                )
        self._sound.add(key)

    def way_to_products(self, u: Tensor, rows: Rows) -> bool:
        """Whether Hessian-vector products go forward over reverse; False: reverse over reverse.

        Raises:
            ValueError: when neither gives them rightly.
        """
        key = _kind(u, rows)
        if key in self._ways:
            return self._ways[key]
        loss, states = self._in_double(u.detach(), rows)
        slope = loss.gradients(states)
        direction = _directions(slope)
        said = []
        for forward in WAYS:
            try:
                product = loss.products(states, direction, forward=forward)
                # the way that is taken later, in its own dtype
                own = self._loss(_some(rows, u.dtype))
                own.products(states.to(u.dtype), direction.to(u.dtype), forward=forward)
            except torch.OutOfMemoryError:
                raise
            except _CANNOT as error:
                said.append(f"{WAYS[forward]}: {_first_line(error)}")
                continue
            scale = product.norm(dim=1) + 1e-3 * slope.norm(dim=1)
            if _agrees(loss.gradients, states, direction, product, scale):
                self._ways[key] = forward
                return forward
            said.append(f"{WAYS[forward]}: not the derivative of its gradient")
        raise ValueError(self._said(f"it has no second derivatives to trust ({'; '.join(said)})"))

    def _in_double(self, u: Tensor, rows: Rows) -> tuple[Losses, Tensor]:
        states = u.detach().double().expand(min(TASKS, len(rows.y)), -1).clone()
        return self._loss(_some(rows, torch.float64)), states

    def _check_padding(self, rows: Rows, states: Tensor, value: Tensor) -> None:
        """Rows of no weight must not matter to the others."""
        padding = rows.weight == 0
        if not bool(padding.any()):
            return
        x = rows.x.clone()
        first = rows.weight.argmax(1)
        for task in range(len(x)):
            x[task, padding[task]] = rows.x[task, first[task]]
        other = self._loss(Rows(x, rows.y, rows.weight)).values(states)
        if not torch.allclose(other, value, rtol=1e-9, atol=1e-12):
            raise ValueError(
                self._said("rows that pad a task change the predictions of its other rows")
            )

    def _said(self, what: str) -> str:
        named = type(self._module).__name__
        return f"{named} is refused: {what}. {_remedy(self._module)}".rstrip()


def _some(rows: Rows, dtype: torch.dtype) -> Rows:
    """A few tasks, those with padding first: what is found of them stands for all."""
    padded = (rows.weight == 0).any(1)
    chosen = padded.to(torch.uint8).argsort(descending=True, stable=True)[:TASKS]
    few = rows.select(chosen)
    return Rows(
        few.x.to(dtype) if few.x.is_floating_point() else few.x,
        few.y.to(dtype) if few.y.is_floating_point() else few.y,
        few.weight.to(dtype),
    )


def _kind(u: Tensor, rows: Rows) -> object:
    padded = bool((rows.weight == 0).any())
    return u.dtype, u.device, rows.x.shape[1:], rows.x.dtype, rows.y.shape[1:], rows.y.dtype, padded


def _directions(slope: Tensor) -> Tensor:
    """Unit directions (B, P) in which the loss changes, each with something of every parameter."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(slope.shape, generator=generator, dtype=slope.dtype).to(slope.device)
    mixed = nn.functional.normalize(slope) + nn.functional.normalize(drawn)
    return nn.functional.normalize(mixed)


def _agrees(
    function: Callable[[Tensor], Tensor],
    states: Tensor,
    direction: Tensor,
    derivative: Tensor,
    scale: Tensor,
) -> bool:
    """Whether `derivative` is that of `function` along `direction`, within BOUND of `scale`."""
    if not bool(torch.isfinite(derivative).all()):
        return not bool(torch.isfinite(function(states)).all())  # diverged: no fault of the formula
    for step in STEPS:
        found = (function(states + step * direction) - function(states - step * direction)) / (
            2 * step
        )
        error = (found - derivative).view(len(found), -1).norm(dim=1)
        if bool((error <= BOUND * scale).all()):
            return True
    return False


def _first_line(error: Exception) -> str:
    """The first sentence, or what fits of it: torch goes on to list its back ends."""
    said = str(error).split("\n")[0].split(". ")[0].rstrip(".")
    return said[:200] or type(error).__name__


def _remedy(module: nn.Module) -> str:
    """What helps, by the layers that are known for it."""
    layers = list(module.modules())
    for is_known, remedy in _REMEDIES:
        if any(is_known(layer) for layer in layers):
            return remedy
    return ""


def _is_named(layer: nn.Module, name: str) -> bool:
    """Of a parametrization, whose class torch keeps to itself."""
    return type(layer).__name__ == name


# The first that fits: what is wrong in itself before what only some kernels cannot do.
_REMEDIES: tuple[tuple[Callable[[nn.Module], bool], str], ...] = (
    (
        lambda layer: isinstance(layer, nn.modules.batchnorm._BatchNorm) and layer.training,
        "Batch norm: call `.eval()` on the module, or use GroupNorm or LayerNorm.",
    ),
    (
        lambda layer: (
            isinstance(layer, nn.modules.dropout._DropoutNd) and layer.training and layer.p > 0
        ),
        "Dropout: call `.eval()` on the module, or set p to 0.",
    ),
    (
        lambda layer: isinstance(layer, nn.Embedding | nn.EmbeddingBag) and layer.sparse,
        "Embeddings: use sparse=False.",
    ),
    (
        lambda layer: isinstance(layer, nn.EmbeddingBag),
        "Embedding bags: use `nn.Embedding` and a sum or mean.",
    ),
    (
        lambda layer: _is_named(layer, "_SpectralNorm") and layer.training,
        "Spectral norm: call `.eval()` on the module.",
    ),
    (
        lambda layer: _is_named(layer, "_WeightNorm") or hasattr(layer, "weight_g"),
        "Weight norm: torch's second derivative of it is wrong; write it as a parametrization of "
        "your own, `g * v / v.norm(dim=1, keepdim=True)`.",
    ),
    (
        lambda layer: isinstance(layer, nn.RNNBase),
        "Recurrent layers: where a kernel cannot be derived twice, write the loop with "
        "`nn.RNNCell`, `nn.GRUCell` or `nn.LSTMCell`.",
    ),
)
