"""Whether a module's values and derivatives can be trusted, asked before they are used.

Torch derives most modules rightly, some not at all, and a few wrongly without a word. So for rows
of each new shape two tasks are tried in double precision, on the way that is taken later (`vmap`
of `torch.func`): the gradient against central differences of the loss, Hessian-vector products
against central differences of the gradient. What fails or differs is refused, with the remedy
where it is known.

They are tried at theta and at a generic point near it. At theta alone little would be seen: behind
a head that starts from zero every derivative is zero, and a wrong one as well. The verdict stands
for every theta.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from pipeline.core.module_layers import refuse_layers, remedy_for
from pipeline.core.module_padding import can_refill, refilled
from pipeline.core.module_watch import Casts, UsesWeights, Weights, kept
from pipeline.core.tasks import Rows

TASKS = 2
STEPS = (1e-6, 1e-7, 1e-5)  # of central differences; one that meets a kink of a ReLU is no proof
SIZES = (1.0, 0.1, 0.01)  # of the way to the generic point, until all is finite there
BOUND = 1e-5  # relative; wrong formulas differ by 1e-3 and more, right ones by 1e-8
# What torch raises for what it cannot do; an error of memory is none of these.
_CANNOT = (RuntimeError, IndexError, TypeError, NotImplementedError, AttributeError)

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
    refuse_layers(module)
    with torch.inference_mode(False):
        try:
            return copy.deepcopy(module)
        except (RuntimeError, TypeError, AttributeError) as error:
            remedy = remedy_for(module) or "Keep no tensors with a graph as attributes."
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
        said = (
            f"{type(module).__name__} does not make {x.shape[1]} predictions of inputs "
            f"{tuple(x.shape[1:])} of {x.dtype}: {_first_line(error)}. {remedy_for(module)}"
        )
        raise ValueError(said.rstrip()) from error


class Losses(Protocol):
    """What a `ModuleLoss` can do (module_model.py)."""

    rows: Rows

    def values(self, u: Tensor) -> Tensor: ...

    def row_losses(self, u: Tensor) -> Tensor: ...

    def predictions(self, u: Tensor) -> Tensor: ...

    def gradients(self, u: Tensor) -> Tensor: ...

    def products(self, u: Tensor, v: Tensor, *, forward: bool) -> Tensor: ...


class Probe:
    """What was found about a model, by the shapes and dtypes of rows."""

    def __init__(self, module: nn.Module, weights: Weights, loss: Callable[[Rows], Losses]) -> None:
        self._module, self._weights, self._loss = module, weights, loss
        self._sizes: dict[object, float] = {}  # the way to the generic point, of what is sound
        self._padding: dict[object, set[tuple[bool, ...]]] = {}  # which rows; tried and sound
        self._ways: dict[object, bool] = {}

    def check_gradients(self, u: Tensor, rows: Rows) -> None:
        """Raise ValueError unless value and gradient at u (P,) can be trusted on such rows."""
        if rows.is_indexed:  # whether an embedding has the items depends on the numbers
            task = int(rows.x.flatten(1).amax(1).argmax())
            with refusing(self._module, rows.x):
                self._loss(rows.select(slice(task, task + 1))).predictions(u.unsqueeze(0))
        kind = _kind(u, rows)
        size = self._sizes.get(kind)
        with refusing(self._module, rows.x):
            if size is None:
                size = self._try_gradients(u, rows)
            self._check_padding(kind, self._points(u, size)[-1], rows)
        if size:
            self._sizes[kind] = size
        else:  # judged at this theta alone
            self._padding.pop(kind, None)

    def _try_gradients(self, u: Tensor, rows: Rows) -> float:
        """The size at which the generic point is finite, 0 where there is none."""
        few = _some(rows, u.dtype)
        states = u.expand(len(few), -1).clone()  # theta may be the weights themselves
        with UsesWeights(self._module, self._weights):
            self._loss(few).gradients(states)
        self._check_memory(self._loss(few), states)
        for size in (*SIZES, 0.0):
            loss, states = self._in_double(u, rows, size)
            value, slope = loss.values(states), loss.gradients(states)
            at_theta = value[: len(few)]
            if not bool(torch.isfinite(at_theta).all()):
                raise ValueError(self._said(f"its loss at theta is {_odd(at_theta):g}, not finite"))
            if bool(torch.isfinite(value).all() & torch.isfinite(slope).all()):
                break
        if not torch.equal(value, loss.values(states)):
            raise ValueError(self._said("its predictions differ from call to call"))
        if slope.shape != states.shape or slope.is_sparse:
            raise ValueError(self._said("its gradient is not dense"))
        if not bool(slope.any()) and self._is_constant(loss, states):
            raise ValueError(self._said("its predictions do not depend on its parameters"))
        direction = _directions(slope)
        expected = (slope * direction).sum(1)
        scale = slope.norm(dim=1) + value.abs() * 1e-3
        if not _agrees(loss.values, states, direction, expected, scale):
            with Casts() as casts:
                loss.gradients(states)
            said = "its gradient is not that of its loss (central differences)"
            if casts.to is not None:
                said += f". It computes in {casts.to} inside; cast to `x.dtype` instead"
            raise ValueError(self._said(said))
        return size

    def way_to_products(self, u: Tensor, rows: Rows) -> bool:
        """Whether Hessian-vector products go forward over reverse; False: reverse over reverse.

        Raises:
            ValueError: when neither gives them rightly.
        """
        kind = _kind(u, rows)
        if kind in self._ways:
            return self._ways[kind]
        size = self._sizes.get(kind, 0.0)
        loss, states = self._in_double(u, rows, size)
        with refusing(self._module, rows.x):
            slope = loss.gradients(states)
        direction = _directions(slope)
        few = _some(rows, u.dtype)
        own = [part[: len(few)].to(u.dtype) for part in (states, direction)]
        said = []
        for forward in WAYS:
            try:
                product = loss.products(states, direction, forward=forward)
                # the way that is taken later, in its own dtype
                self._loss(few).products(*own, forward=forward)
            except torch.OutOfMemoryError:
                raise
            except _CANNOT as error:
                said.append(f"{WAYS[forward]}: {_first_line(error)}")
                continue
            scale = product.norm(dim=1) + 1e-3 * slope.norm(dim=1)
            if _agrees(loss.gradients, states, direction, product, scale):
                if size:
                    self._ways[kind] = forward
                return forward
            said.append(f"{WAYS[forward]}: not the derivative of its gradient")
        raise ValueError(self._said(f"it has no second derivatives to trust ({'; '.join(said)})"))

    def _points(self, u: Tensor, size: float) -> Tensor:
        """Theta, and the generic point unless `size` is 0; in double precision."""
        theta = u.detach().double().unsqueeze(0)
        if not size:
            return theta.clone()
        generator = torch.Generator().manual_seed(0)
        moves = [
            torch.randn(value.numel(), generator=generator, dtype=torch.float64)
            * (value[0].numel() ** -0.5 if value.ndim > 1 else 0.3)  # as layers start
            for value in trained(self._module).values()
        ]
        return torch.cat([theta, theta + size * torch.cat(moves).to(theta.device)])

    def _in_double(self, u: Tensor, rows: Rows, size: float) -> tuple[Losses, Tensor]:
        """A few tasks at each point."""
        few, points = _some(rows, torch.float64), self._points(u, size)
        task = torch.arange(len(few), device=u.device).repeat(len(points))
        return self._loss(few.select(task)), points.repeat_interleave(len(few), 0)

    def _check_padding(self, kind: object, u: Tensor, rows: Rows) -> None:
        """Raise ValueError when at u (P,) rows of no weight matter to the others.

        One task of each pattern of padding is tried.
        """
        padding = rows.weight == 0
        if not bool(padding.any()):
            return
        tried = self._padding.setdefault(kind, {(False,) * padding.shape[1]})
        patterns = {tuple(row): task for task, row in enumerate(padding.tolist())}
        new = [task for pattern, task in patterns.items() if pattern not in tried]
        if not new:
            return
        rows = _in(torch.float64, rows)
        tasks = torch.tensor(new, device=u.device)
        states, counts = u.expand(len(new), -1), ~padding[tasks]
        expected = self._loss(rows.select(tasks)).row_losses(states)[counts]
        for other in refilled(rows):
            found = self._loss(other.select(tasks)).row_losses(states)[counts]
            near = 1e-9 * expected.abs().amax()
            if not torch.allclose(found, expected, rtol=0, atol=float(near), equal_nan=True):
                raise ValueError(
                    self._said("rows that pad a task change the losses of its other rows")
                )
        if can_refill(rows):
            tried.update(patterns)

    def _check_memory(self, loss: Losses, states: Tensor) -> None:
        """What one call leaves to be looked at is no harm; what the next one leaves there is."""
        left = kept(self._module)
        if left:
            loss.gradients(states)
        if {id(value) for value in left} & {id(value) for value in kept(self._module)}:
            said = "it keeps what it computed of its inputs for later calls; compute it in each"
            raise ValueError(self._said(said))

    def _is_constant(self, loss: Losses, states: Tensor) -> bool:
        moved = [loss.predictions(states + step) for step in (0.0, 1e-3)]
        return torch.equal(*moved)

    def _said(self, what: str) -> str:
        named = type(self._module).__name__
        return f"{named} is refused: {what}. {remedy_for(self._module)}".rstrip()


def _some(rows: Rows, dtype: torch.dtype) -> Rows:
    """A few tasks: what is found of them stands for all."""
    return _in(dtype, rows.select(slice(TASKS)))


def _in(dtype: torch.dtype, rows: Rows) -> Rows:
    return Rows(
        rows.x.to(dtype) if rows.x.is_floating_point() else rows.x,
        rows.y.to(dtype) if rows.y.is_floating_point() else rows.y,
        rows.weight.to(dtype),
    )


def _kind(u: Tensor, rows: Rows) -> object:
    return u.dtype, u.device, rows.x.shape[1:], rows.x.dtype, rows.y.shape[1:], rows.y.dtype


def _odd(values: Tensor) -> float:
    """One that is not finite."""
    return float(values[~torch.isfinite(values)][0])


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
