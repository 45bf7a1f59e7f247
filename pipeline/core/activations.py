"""Activation functions with what closed forms need: f, f' and f'' of the pre-activation z."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus


class Activation(Protocol):
    """f and its derivatives, elementwise.

    `gain`: the layer below hands over gain * z, a factor that a matrix product takes for
    nothing. `needs_g`: whether `bend` looks at g.
    """

    gain: float
    needs_g: bool

    def value(self, z: Tensor) -> Tensor:
        """f(z), given gain * z."""

    def keep(self, z: Tensor, a: Tensor) -> Tensor:
        """The tensor that the derivatives at z need; z with its gain, a = f(z)."""

    def backward(self, g: Tensor, kept: Tensor) -> Tensor:
        """f'(z) g."""

    def bend(self, into: Tensor, rz: Tensor, g: Tensor | None, delta: Tensor, kept: Tensor) -> None:
        """Add f''(z) g rz to `into`; delta = f'(z) g is at hand too."""


class Tanh:
    """f = 2 s(2z) - 1, s the logistic function; f' = 1 - a², f'' = -2 a f'.

    Written with s because PyTorch's s is several times as fast on a CPU as its tanh. The
    difference is a rounding error of 1, in float32 1e-7.
    """

    gain = 2.0
    needs_g = False

    def value(self, z: Tensor) -> Tensor:
        return torch.add(_constant(-1.0, z), torch.sigmoid(z), alpha=2)

    def keep(self, z: Tensor, a: Tensor) -> Tensor:
        return a

    def backward(self, g: Tensor, kept: Tensor) -> Tensor:
        return torch.ops.aten.tanh_backward(g, kept)

    def bend(self, into: Tensor, rz: Tensor, g: Tensor | None, delta: Tensor, kept: Tensor) -> None:
        into.addcmul_(kept * delta, rz, value=-2)


class Softplus:
    """f = log(1 + exp z): f' = s(z), the logistic function, f'' = (1 - s) f'."""

    gain = 1.0
    needs_g = False

    def value(self, z: Tensor) -> Tensor:
        return softplus(z, threshold=40.0)  # the default, 20, is off by 2e-9 there

    def keep(self, z: Tensor, a: Tensor) -> Tensor:
        return torch.sigmoid(z)

    def backward(self, g: Tensor, kept: Tensor) -> Tensor:
        return g * kept

    def bend(self, into: Tensor, rz: Tensor, g: Tensor | None, delta: Tensor, kept: Tensor) -> None:
        into.addcmul_((1 - kept) * delta, rz)


class Sin:
    """f' = cos z, f'' = -sin z."""

    gain = 1.0
    needs_g = True

    def value(self, z: Tensor) -> Tensor:
        return torch.sin(z)

    def keep(self, z: Tensor, a: Tensor) -> Tensor:
        return z

    def backward(self, g: Tensor, kept: Tensor) -> Tensor:
        return g * torch.cos(kept)

    def bend(self, into: Tensor, rz: Tensor, g: Tensor | None, delta: Tensor, kept: Tensor) -> None:
        if g is None:
            raise ValueError("sin needs dL/da for its curvature.")
        into.addcmul_(g * torch.sin(kept), rz, value=-1)


_CONSTANTS: dict[tuple[float, torch.dtype, torch.device], Tensor] = {}


def _constant(value: float, like: Tensor) -> Tensor:
    """A number as a tensor (), made once: a plain number would take a second operation."""
    key = (value, like.dtype, like.device)
    if key not in _CONSTANTS:
        _CONSTANTS[key] = torch.tensor(value, dtype=like.dtype, device=like.device)
    return _CONSTANTS[key]


ACTIVATIONS: dict[str, Activation] = {"tanh": Tanh(), "softplus": Softplus(), "sin": Sin()}
