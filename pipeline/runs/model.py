"""The network and loss of a run: an MLP of the widths that its recipe says, or a person's own."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pipeline.core import MLP, ModuleModel, TaskBatch
from pipeline.core.interface import Model
from pipeline.core.losses import LOSSES, RowLoss
from pipeline.core.module_model import flat_parameters
from pipeline.core.rates import Rated
from pipeline.data.pools import Episodes, FrozenTasks
from pipeline.errors import BadInput
from pipeline.runs.own_code import load, said
from pipeline.runs.recipe import Recipe


class Network(Model, Protocol):
    """A model that says where training starts."""

    def init(
        self,
        generator: torch.Generator,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """theta (P,): the same for the same seed of the generator."""


class OwnModel(ModuleModel):
    """A module made anew for every seed, with a loss by name or of a person's own.

    What is not trained (buffers, fixed parameters) is of the module of seed 0, whatever the seed:
    seeds that are trained together share one model.

    Args:
        make: the module of a seed.
        where: what is at fault if it does not work, for messages.

    Raises:
        BadInput: for what `ModuleModel` refuses.
    """

    def __init__(self, make: Callable[[int], nn.Module], loss: str | RowLoss, where: str) -> None:
        self._make, self.where = make, where
        try:
            super().__init__(make(0), loss)
        except ValueError as error:
            raise BadInput(_with(where, error)) from error

    def init(
        self,
        generator: torch.Generator,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """theta (P,), of the module that is made for the generator's seed."""
        theta = flat_parameters(self._make(generator.initial_seed()))
        return theta.to(dtype=dtype, device=device)


class Perceptron(nn.Module):
    """`MLP` as a module, with parameters in the same order and the same start of a seed."""

    def __init__(self, features: int, hidden: Sequence[int], seed: int) -> None:
        super().__init__()
        widths = [features, *hidden, 1]
        layers = [nn.Linear(into, out) for into, out in pairwise(widths)]
        self.first, self.others = layers[0], nn.Sequential(*layers[1:])
        theta = MLP(features, hidden).init(torch.Generator().manual_seed(seed))
        nn.utils.vector_to_parameters(theta, self.parameters())

    def forward(self, x: Tensor) -> Tensor:
        """Predictions (N,) of inputs (N, ...) or of item indices (N,)."""
        first, is_index = self.first, not x.is_floating_point()
        z: Tensor = first.weight.mT[x] + first.bias if is_index else first(x.flatten(1))
        for layer in self.others:
            z = layer(torch.tanh(z))
        return z.squeeze(1)


class RatedNetwork(Rated):
    """A network that learns its inner rates, too: theta and rho are one vector in its record."""

    def __init__(self, network: Network, *, per: str) -> None:
        super().__init__(network, per=per)
        self.network = network

    def init(
        self,
        generator: torch.Generator,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """(theta, rho): the network's own start, and the plain inner rate."""
        return self.start(self.network.init(generator, dtype=dtype, device=device))


def make_model(given: Mapping[str, Any], features: int, classes: int = 0) -> Network:
    """The network of a recipe, or of what an initialisation says of itself.

    Args:
        given: `hidden`, or `model`: `module`, its import path, and `arguments` of its class. A
            `loss` by name, or with `function`, its import path; squared by default. `rates`, what
            has a learned inner rate of its own; none by default.
        features: numbers of an input, or items.
        classes: that targets are, an output each where the loss needs it; 0 of numbers.

    Raises:
        BadInput: for what cannot be loaded or made, no `nn.Module`, no function, and what
            `ModuleModel` refuses.
    """
    network = _plain_model(given, features, classes)
    return RatedNetwork(network, per=given["rates"]) if given.get("rates") else network


def _plain_model(given: Mapping[str, Any], features: int, classes: int) -> Network:
    named, where = given.get("loss", "squared"), ""
    loss: str | RowLoss = named
    if isinstance(named, Mapping):
        where = f"loss: {named['function']}"
        loss = _function(named["function"], where)
    if "model" in given:
        of_module = f"models: {given['model']['module']}"
        where = f"{of_module}, {where}" if where else of_module
        return OwnModel(lambda seed: _made(given["model"], of_module, seed), loss, where)
    hidden = given["hidden"]
    if isinstance(loss, str):
        outputs = max(classes, 2) if LOSSES[loss].of_classes else 1
        return MLP(features, hidden, outputs=outputs, loss=loss)
    return OwnModel(lambda seed: Perceptron(features, hidden, seed), loss, where)


def _function(path: str, where: str) -> RowLoss:
    found: RowLoss = load(path, where)
    if inspect.isclass(found) or not callable(found):
        raise BadInput(
            f"{where}: found {_kind(found)}, needed a function of predictions (N,) and targets "
            "(N,) that gives a loss for each row, (N,). Correct the path."
        )
    return found


def _made(given: Mapping[str, Any], where: str, seed: int) -> nn.Module:
    """The module, as its class starts it with torch's own seed."""
    made, arguments = load(given["module"], where), given.get("arguments", {})
    if not (inspect.isclass(made) and issubclass(made, nn.Module)):
        raise BadInput(
            f"{where}: found {_kind(made)}, needed a class of torch.nn.Module. Correct the path, "
            "or derive the class from it."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return made(**arguments)
        except (Exception, SystemExit) as error:
            listed = ", ".join(f"{name}={value!r}" for name, value in arguments.items())
            raise BadInput(f"{where}: cannot be made with ({listed}): {said(error)}") from error


def model_of(recipe: Recipe, episodes: Episodes) -> Network:
    """The network of a recipe for its data."""
    return make_model(recipe, features_of(episodes), len(episodes.classes))


def features_of(episodes: Episodes) -> int:
    """Numbers of an input, or items."""
    return episodes.n_items or int(episodes.train.x[0].size)


def try_model(model: Network, theta: Tensor, recipe: Recipe, episodes: Episodes) -> None:
    """Try a person's own module on rows of every role, before any training.

    Whatever it does with padded rows or other numbers of rows would else come up hours later.

    Args:
        theta: (P,).

    Raises:
        BadInput: when it does not take the rows, or has no gradient that could be trusted.
    """
    if isinstance(model, RatedNetwork):
        return try_model(model.network, model.theta(theta), recipe, episodes)
    if not isinstance(model, OwnModel):
        return None
    pool = episodes.train
    rows = [part[None] for part in (pool.x[: recipe["support"]], pool.y[: recipe["support"]])]
    sides: Sequence[Any] = [(*rows, *rows, {})]
    for tasks in (episodes.validation, episodes.test):
        sides = [*sides, _sides(tasks)]
    try:
        for sx, sy, qx, qy, weights in sides:
            batch = TaskBatch.from_arrays(
                sx, sy, qx, qy, dtype=theta.dtype, device=theta.device, **weights
            )
            model.coordinates(theta.unsqueeze(0), batch.support, batch.query)
        outputs = model.predict(theta.unsqueeze(0), batch.support.x[:1]).shape[-1]
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise BadInput(_with(model.where, error)) from error
    classes = episodes.classes
    if recipe.get("loss") == "cross_entropy" and outputs != len(classes):
        raise BadInput(
            f"{model.where}: found {outputs} outputs, needed {len(classes)}: one for each of the "
            f"classes {', '.join(classes)}. Correct its `arguments`."
        )


def _sides(tasks: FrozenTasks) -> tuple[Any, ...]:
    weights = {"support_weight": tasks.s_weight, "query_weight": tasks.q_weight}
    return tasks.sx, tasks.sy, tasks.qx, tasks.qy, weights


def _with(where: str, error: Exception) -> str:
    """A message that says where, once."""
    found = said(error)
    return found if found.startswith(where) else f"{where}: {found}"


def _kind(made: object) -> str:
    named = getattr(made, "__name__", None)
    return (
        f"the {'class' if inspect.isclass(made) else type(made).__name__} {named}"
        if named
        else (f"a {type(made).__name__}")
    )
