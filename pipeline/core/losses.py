"""Losses of a row as functions of the outputs z of its C output units, with two derivatives.

`squared`        1/2 sum_c (z_c - y_c)²
`huber`          sum_c h(z_c - y_c), h(e) = e²/2 where |e| <= 1, else |e| - 1/2
`binary`         sum_c log(1 + exp z_c) - y_c z_c: z are log odds, y lie in [0, 1]
`cross_entropy`  log sum_c exp z_c - z_y: z are log odds of C classes, y is the number of one

Here outputs have shape (..., C, N), rows last, as the closed forms have them (closed_forms.py);
targets (..., C, N), of classes (..., 1, N). `row_loss` is the same for any module, whose
predictions (N,) or (N, C) have rows first.
"""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

RowLoss = Callable[[Tensor, Tensor], Tensor]  # predictions, targets of N rows -> losses (N,)


class OutputLoss(Protocol):
    """l(z, y), given the outputs z, or z - y where `of_errors`.

    `of_classes`: targets are numbers of classes, 0 to C - 1, and C is 2 or more.
    """

    of_errors: bool
    of_classes: bool

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        """l, (..., N)."""

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        """dl/dz, (..., C, N)."""

    def product(self, z: Tensor, rz: Tensor) -> Tensor:
        """(d²l/dz²) rz, (..., C, N); `rz` may be overwritten."""

    def check(self, y: Tensor) -> None:
        """Raise ValueError for targets that are none."""


class Squared:
    of_errors, of_classes = True, False

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        return 0.5 * z.square().sum(-2)

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        return z

    def product(self, z: Tensor, rz: Tensor) -> Tensor:
        return rz

    def check(self, y: Tensor) -> None:
        pass


class Huber:
    of_errors, of_classes = True, False

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        size = z.abs()
        return torch.where(size <= 1, 0.5 * z.square(), size - 0.5).sum(-2)

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        return z.clamp(-1, 1)

    def product(self, z: Tensor, rz: Tensor) -> Tensor:
        return torch.where(z.abs() <= 1, rz, 0)

    def check(self, y: Tensor) -> None:
        pass


class Binary:
    of_errors, of_classes = False, False

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        # the default threshold, 20, is off by 2e-9 there
        return (functional.softplus(z, threshold=40.0) - y * z).sum(-2)

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        return torch.sigmoid(z) - y

    def product(self, z: Tensor, rz: Tensor) -> Tensor:
        p = torch.sigmoid(z)
        return p * (1 - p) * rz

    def check(self, y: Tensor) -> None:
        if not bool(((y >= 0) & (y <= 1)).all()):
            raise ValueError(
                f"loss 'binary' needs targets from 0 to 1, found {float(y.min()):g} to "
                f"{float(y.max()):g}."
            )


class CrossEntropy:
    of_errors, of_classes = False, True

    def value(self, z: Tensor, y: Tensor) -> Tensor:
        return torch.logsumexp(z, -2) - z.gather(-2, y).squeeze(-2)

    def slope(self, z: Tensor, y: Tensor) -> Tensor:
        p = torch.softmax(z, -2)
        return p.scatter_add(-2, y, p.new_full(y.shape, -1.0))

    def product(self, z: Tensor, rz: Tensor) -> Tensor:
        p = torch.softmax(z, -2)
        spread = p * rz
        return spread - p * spread.sum(-2, keepdim=True)

    def check(self, y: Tensor) -> None:
        if y.is_floating_point() or y.dtype == torch.bool:
            raise ValueError(f"loss 'cross_entropy' needs numbers of classes, found {y.dtype}.")


LOSSES: dict[str, OutputLoss] = {
    "squared": Squared(),
    "huber": Huber(),
    "binary": Binary(),
    "cross_entropy": CrossEntropy(),
}


def check_loss(name: object) -> None:
    """Raise ValueError unless it is the name of a loss."""
    if name not in LOSSES:
        raise ValueError(f"loss '{name}' is none of {', '.join(LOSSES)}.")


def check_classes(y: Tensor, classes: int) -> None:
    """Raise ValueError unless each target is the number of one of so many classes."""
    least, most = int(y.min()), int(y.max())
    if least < 0 or most >= classes:
        raise ValueError(
            f"targets are classes {least} to {most}, the model has {classes} outputs: needed are "
            f"classes 0 to {classes - 1}."
        )


def row_loss(name: str) -> RowLoss:
    """The loss of that name, from a module's predictions (N,) or (N, C) to losses (N,).

    Raises:
        ValueError: for an unknown name; later, for predictions that do not fit the targets.
    """
    check_loss(name)
    loss = LOSSES[name]

    def of_rows(prediction: Tensor, target: Tensor) -> Tensor:
        if loss.of_classes:
            if prediction.ndim != 2 or target.ndim != 1:
                raise ValueError(
                    f"loss '{name}' needs predictions (N, C) of C classes and targets (N,), found "
                    f"{tuple(prediction.shape)} and {tuple(target.shape)}."
                )
            return loss.value(prediction.mT, target.unsqueeze(0))
        if prediction.shape != target.shape:
            raise ValueError(
                f"loss '{name}' needs predictions of the targets' shape {tuple(target.shape)}, "
                f"found {tuple(prediction.shape)}."
            )
        outputs = prediction.unsqueeze(1) if prediction.ndim == 1 else prediction
        z = outputs.mT
        y = target.reshape(outputs.shape).mT.to(z.dtype)
        return loss.value(z - y if loss.of_errors else z, y)

    return of_rows
