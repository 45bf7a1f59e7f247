"""Counts of the work a meta-gradient took, and losses that count it.

Each count is of a seed's whole meta-batch at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.core.interface import Loss, Point
from pipeline.core.seeds import Seeds, rows_of


@dataclass
class Work:
    """Evaluations, each of all tasks of a seed's batch together.

    `gradients` counts inner-loss and query-loss gradients, `hvps` Hessian-vector products,
    `radius_hvps` those of them that estimate the spectral radius, `accepted`/`rejected` solver
    steps, `kept_states` states (B, Q) stored for the way back, `kept_bytes` the most that a
    recording under a budget was predicted to take at once.
    """

    gradients: int = 0
    hvps: int = 0
    radius_hvps: int = 0
    accepted: int = 0
    rejected: int = 0
    kept_states: int = 0
    kept_bytes: int = 0

    def keep(self, states: int, at_most: int) -> None:
        """Count states (B, Q) kept for the way back, and the bytes of a recording's peak."""
        self.kept_states += states
        self.kept_bytes = max(self.kept_bytes, at_most)

    def add(self, other: "Work") -> None:
        """Add another count to this one; of bytes, keep the larger."""
        self.kept_bytes = max(self.kept_bytes, other.kept_bytes)
        for name in self.__dataclass_fields__.keys() - {"kept_bytes"}:
            setattr(self, name, getattr(self, name) + getattr(other, name))


class Counted:
    """A loss of S seeds' tasks that counts each seed's gradients and Hessian-vector products."""

    def __init__(self, loss: Loss, works: Sequence[Work]) -> None:
        self._loss = loss
        self.works = works
        self._parts: dict[Seeds, Counted] = {}

    def at(self, u: Tensor) -> "CountedPoint":
        return CountedPoint(self._loss.at(u), self.works)

    def at_states(self, states: Sequence[Tensor]) -> "list[CountedPoint]":
        return [CountedPoint(point, self.works) for point in self._loss.at_states(states)]

    def of(self, seeds: Seeds, like: Tensor) -> "Counted":
        """The loss of some seeds' tasks, in their order; `like` has a row for every task."""
        if seeds == tuple(range(len(self.works))):
            return self
        if seeds not in self._parts:
            rows = rows_of(seeds, len(like) // len(self.works), like.device)
            works = [self.works[seed] for seed in seeds]
            self._parts[seeds] = Counted(self._loss.select(rows), works)
        return self._parts[seeds]

    def forget_parts(self) -> None:
        """After the rows of the loss have changed."""
        self._parts.clear()

    def point_bytes(self, u: Tensor) -> int:
        return self._loss.point_bytes(u)


class CountedPoint:
    """A point of a `Counted` loss."""

    def __init__(self, point: Point, works: Sequence[Work]) -> None:
        self._point = point
        self._works = works

    def value(self) -> Tensor:
        return self._point.value()

    def gradient(self) -> Tensor:
        for work in self._works:
            work.gradients += 1
        return self._point.gradient()

    def hvp(self, v: Tensor) -> Tensor:
        for work in self._works:
            work.hvps += 1
        return self._point.hvp(v)
