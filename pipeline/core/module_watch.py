"""What a module does while it is called, operation by operation, below autograd and `vmap`."""

import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode


class Weights:
    """Where the trained weights of the user's module and of our copy lie.

    Both take their weights from u while they are trained: what still reads these has found them
    past registration, and would be constant without a word. The user's are not kept alive.
    """

    def __init__(self, users: dict[str, nn.Parameter], copied: dict[str, nn.Parameter]) -> None:
        self._users = {name: weakref.ref(value) for name, value in users.items()}
        self._copied = copied

    def __getstate__(self) -> dict[str, Any]:
        return {"_users": {}, "_copied": self._copied}  # a weak reference cannot be pickled

    def places(self) -> dict[int, str]:
        """Names by the address of the storage."""
        users = {name: found for name, ref in self._users.items() if (found := ref()) is not None}
        named = [*users.items(), *self._copied.items()]
        return {_place(value): name for name, value in named if value.numel()}


class UsesWeights(TorchDispatchMode):
    """Raises ValueError when an operation reads weights past registration."""

    def __init__(self, module: nn.Module, weights: Weights) -> None:
        super().__init__()
        self._named, self._places = type(module).__name__, weights.places()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        for value in _tensors((*args, *(kwargs or {}).values())):
            name = self._places.get(_place(value))
            if name is not None:
                raise ValueError(
                    f"{self._named} is refused: {name} is read past registration (by a closure, a "
                    "hook, a list, or the loss), so it would not be trained there. Register it, "
                    "and use the registered attribute of `self` in `forward`."
                )
        return func(*args, **(kwargs or {}))


class Casts(TorchDispatchMode):
    """Remembers to which lower precision float64 was cast."""

    to: torch.dtype | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        is_cast = func is torch.ops.aten._to_copy.default and args[0].dtype == torch.float64
        if is_cast and found.is_floating_point() and found.dtype != torch.float64:
            self.to = found.dtype
        return found


def kept(module: nn.Module) -> list[Tensor]:
    """What attributes still hold of the tasks after a call under `vmap`; constants are no harm."""
    held = [value for layer in module.modules() for value in vars(layer).values()]
    return [value for value in _tensors(held) if _is_of_tasks(value)]


def _is_of_tasks(value: Tensor) -> bool:
    wrappers = torch._C._functorch
    while wrappers.is_functorch_wrapped_tensor(value):
        if wrappers.is_batchedtensor(value):
            return True
        value = wrappers.get_unwrapped(value)
    return False


def _place(value: Tensor) -> int:
    return value.untyped_storage().data_ptr() if value.layout is torch.strided else 0


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, tuple | list):
            yield from _tensors(value)
        elif isinstance(value, dict):
            yield from _tensors(value.values())
