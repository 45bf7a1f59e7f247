"""The coordinates in which a batch of tasks is trained: what methods see of the parameters.

A model may train its tasks in coordinates of its own, as long as inner products stay what they
are: the network in closed form packs its layers as its products want them, and leaves out the
first-layer columns of items that a task never touches (their gradient is zero, so they stay
where they started). Methods work on `start`, `support` and `query` alone; `mean` and `full`
lead back to the model's own parameters.

S seeds with B tasks each make R = S B rows, the tasks of the first seed first.
"""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.core.interface import Loss, Point


@dataclass(frozen=True)
class OwnCoordinates:
    """The model's own parameters: Q = P."""

    start: Tensor
    support: Loss
    query: Loss
    seeds: int

    def of(self, theta: Tensor) -> Tensor:
        return theta.repeat_interleave(len(self.start) // self.seeds, 0)

    def mean(self, gradient: Tensor) -> Tensor:
        return gradient.unflatten(0, (self.seeds, -1)).mean(1)

    def full(self, u: Tensor) -> Tensor:
        return u

    def left_out(self) -> Tensor | None:
        return None


@dataclass(frozen=True)
class OtherLoss:
    """A loss in coordinates of which those of `inner` are a function, `_u`."""

    inner: Loss

    def at(self, u: Tensor) -> Point:
        return self._point(u, self.inner.at(self._u(u)))

    def at_states(self, states: Sequence[Tensor]) -> Sequence[Point]:
        points = self.inner.at_states([self._u(state) for state in states])
        return [self._point(u, point) for u, point in zip(states, points, strict=True)]

    def _u(self, u: Tensor) -> Tensor:
        """The coordinates of `inner`."""
        raise NotImplementedError

    def _point(self, u: Tensor, inner: Point) -> Point:
        """The loss at u, of that of `inner` there."""
        raise NotImplementedError


class Packing:
    """From parameters in the order of `nn.Sequential` to packed ones (closed_forms.py) and back.

    Args:
        shapes: (out, in) of each layer.
        columns: (R, C), for each task the first-layer columns that are packed; None for all,
            in their order.
    """

    def __init__(
        self, shapes: list[tuple[int, int]], columns: Tensor | None, device: torch.device
    ) -> None:
        self.columns = columns
        self._width, self._inputs = shapes[0]
        place = torch.arange(sum(out * into + out for out, into in shapes))
        order, offset = [], 0
        for layer, (out, into) in enumerate(shapes, 1):
            weight = place[offset : offset + out * into].view(out, into)
            packed = weight if layer == len(shapes) else weight.T
            order += [packed.flatten(), place[offset + out * into : offset + out * into + out]]
            offset += out * into + out
        whole = torch.cat(order)
        self._first = 0 if columns is None else len(order[0])
        rest = whole[self._first :]
        self._order = rest.to(device)
        self._inverse = (rest - self._first).argsort().to(device)

    def select(self, tasks: Tensor | slice) -> "Packing":
        """That of some of the tasks."""
        part = copy(self)
        part.columns = None if self.columns is None else self.columns[tasks]
        return part

    def pack(self, theta: Tensor, rows: int) -> Tensor:
        """(R, Q) of parameters (S, P), each of which starts R / S rows."""
        copies = rows // len(theta)
        rest = theta[:, self._order].repeat_interleave(copies, 0)
        if self.columns is None:
            return rest
        seed = torch.arange(rows, device=theta.device).div(copies, rounding_mode="floor")
        block = self._first_weight(theta)[seed.unsqueeze(1), self.columns]
        return torch.cat([block.flatten(1), rest], 1)

    def mean(self, packed: Tensor, seeds: int) -> Tensor:
        """(S, P): the mean over each seed's rows of (R, Q), zero where nothing was packed."""
        grouped = packed.unflatten(0, (seeds, -1))
        if self.columns is None:
            return grouped.mean(1)[:, self._inverse]
        rows, count = self.columns.shape
        seed = torch.arange(rows, device=packed.device).div(rows // seeds, rounding_mode="floor")
        place = (seed.unsqueeze(1) * self._inputs + self.columns).flatten()
        first = packed.new_zeros(seeds * self._inputs, self._width)
        block = packed[:, : count * self._width].reshape(rows * count, self._width)
        first.index_add_(0, place, block, alpha=seeds / rows)
        rest = grouped[:, :, count * self._width :].mean(1)[:, self._inverse]
        return torch.cat([first.view(seeds, self._inputs, -1).mT.flatten(1), rest], 1)

    def full(self, packed: Tensor, theta: Tensor) -> Tensor:
        """(R, P): packed (R, Q), and parameters (S, P) where nothing was packed."""
        if self.columns is None:
            return packed[:, self._inverse]
        rows, count = self.columns.shape
        first = self._first_weight(theta).repeat_interleave(rows // len(theta), 0)
        block = packed[:, : count * self._width].view(rows, count, -1)
        first = first.scatter(1, self.columns.unsqueeze(2).expand_as(block), block)
        rest = packed[:, count * self._width :][:, self._inverse]
        return torch.cat([first.mT.flatten(1), rest], 1)

    def _first_weight(self, theta: Tensor) -> Tensor:
        """Columns of the first layer as rows, (S, D, H)."""
        return theta[:, : self._first].view(len(theta), self._width, self._inputs).mT


@dataclass(frozen=True)
class PackedCoordinates:
    """Those of the network in closed form."""

    start: Tensor
    support: Loss
    query: Loss
    packing: Packing
    theta: Tensor  # (S, P)

    def of(self, theta: Tensor) -> Tensor:
        return self.packing.pack(theta, len(self.start))

    def mean(self, gradient: Tensor) -> Tensor:
        return self.packing.mean(gradient, len(self.theta))

    def full(self, u: Tensor) -> Tensor:
        return self.packing.full(u, self.theta)

    def left_out(self) -> Tensor | None:
        if self.packing.columns is None:
            return None
        theta = self.theta.repeat_interleave(len(self.start) // len(self.theta), 0)
        return (theta.square().sum(1) - self.start.square().sum(1)).clamp_min(0)


def touched_columns(x: Tensor, n_items: int) -> tuple[Tensor, Tensor]:
    """The items of each task's rows, and where each row finds its own among them.

    Args:
        x: item indices (R, N).

    Returns:
        columns (R, C) with C = min(N, n_items), different items: those touched, in ascending
        order, then others; and x in terms of columns, (R, N). The shapes say nothing of the
        data, so that no device has to wait for them.
    """
    touched = torch.zeros(len(x), n_items, dtype=torch.uint8, device=x.device).scatter_(1, x, 1)
    order = (1 - touched).argsort(dim=1, stable=True)
    place = order.argsort(dim=1)
    return order[:, : min(x.shape[1], n_items)], place.gather(1, x)
