"""Activation functions with what closed forms need: f, f' and f'' of the pre-activation z."""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import softplus


class Activation(Protocol):
    """f and its derivatives, elementwise. `needs_g`: whether `curvature` looks at g."""

    needs_g: bool

    def value(self, z: Tensor) -> Tensor:
        """f(z)."""

    def keep(self, z: Tensor, a: Tensor) -> Tensor:
        """The tensor that the derivatives at z need; a = f(z)."""

    def backward(self, g: Tensor, kept: Tensor) -> Tensor:
        """f'(z) g."""

    def curvature(self, g: Tensor | None, delta: Tensor, kept: Tensor) -> Tensor:
        """f''(z) g; delta = f'(z) g is at hand too."""


class Tanh:
    """f' = 1 - a², f'' = -2 a f': the value a says it all."""

    needs_g = False

    def value(self, z: Tensor) -> Tensor:
        return torch.tanh(z)

    def keep(self, z: Tensor, a: Tensor) -> Tensor:
        return a

    def backward(self, g: Tensor, kept: Tensor) -> Tensor:
        return torch.ops.aten.tanh_backward(g, kept)

    def curvature(self, g: Tensor | None, delta: Tensor, kept: Tensor) -> Tensor:
        return -2 * kept * delta


class Softplus:
    """f = log(1 + exp z): f' = s(z), the logistic function, f'' = (1 - s) f'."""

    needs_g = False

    def value(self, z: Tensor) -> Tensor:
        return softplus(z)

    def keep(self, z: Tensor, a: Tensor) -> Tensor:
        return torch.sigmoid(z)

    def backward(self, g: Tensor, kept: Tensor) -> Tensor:
        return g * kept

    def curvature(self, g: Tensor | None, delta: Tensor, kept: Tensor) -> Tensor:
        return (1 - kept) * delta


class Sin:
    """f' = cos z, f'' = -sin z."""

    needs_g = True

    def value(self, z: Tensor) -> Tensor:
        return torch.sin(z)

    def keep(self, z: Tensor, a: Tensor) -> Tensor:
        return z

    def backward(self, g: Tensor, kept: Tensor) -> Tensor:
        return g * torch.cos(kept)

    def curvature(self, g: Tensor | None, delta: Tensor, kept: Tensor) -> Tensor:
        if g is None:
            raise ValueError("sin needs dL/da for its curvature.")
        return -g * torch.sin(kept)


ACTIVATIONS: dict[str, Activation] = {"tanh": Tanh(), "softplus": Softplus(), "sin": Sin()}
