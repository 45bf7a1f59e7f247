"""What a solve keeps for the way back, under a budget of bytes.

A recorded step has three parts: its start, the states (or slopes) within it, and the points,
which hold activations. All are kept while they fit; then the oldest steps lose their points,
then what lies within, then every other start. What was dropped is computed again when the way
back reaches it, starts by binomial checkpointing (Griewank, Walther, ACM TOMS 26(1), 2000). The
gradient is the same to rounding.

All three parts earn their keep: points made from states in one batch cost less than the step
again, and dropping both at once made solves over 5,000 steps a sixth slower.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from pipeline.core.interface import Point
from pipeline.core.seeds import Seeds
from pipeline.core.solvers.flow import Flow
from pipeline.core.work import Counted

POINTS = 4  # of a point's size, that one gradient or product needs on its way
STARTS = 2  # states that are kept whatever the budget: the first start, and one brought back


@dataclass(frozen=True)
class Budget:
    """Bytes for what is kept and the work on it.

    Attributes:
        total: of all, what `memory_mb` says.
        share: the part of it that one recording may take.
        beside: bytes of the largest work that is not the solve's own, the query loss's.
        aside: bytes that something else keeps through all of it.
    """

    total: float = math.inf
    share: float = 1.0
    beside: int = 0
    aside: int = 0

    def part(self, share: float, seeds: int = 1) -> "Budget":
        """A share of it for each of some seeds, whose query losses it is divided among."""
        return Budget(
            self.total, self.share * share / seeds, self.beside // seeds, self.aside // seeds
        )


def usual_budget(state: int, point: int) -> int:
    """Bytes that are kept where nothing is said: some points, and the stages of long solves.

    In proportion to the work, three times what a short solve needs: what long ones drop costs
    them a tenth of their time. Enough for a step of any number of stages.

    Args:
        state, point: bytes of one.
    """
    return 20 * point + 280 * state


def budget_of(memory_mb: float | None, flow: Flow, query: Counted) -> Budget:
    """What a setting `memory_mb` allows for a flow and a query loss."""
    state = flow.anchor.numel() * flow.anchor.element_size()
    asked = query.point_bytes(flow.anchor)
    if memory_mb is None:
        total: float = usual_budget(state, max(asked, flow.loss.point_bytes(flow.anchor)))
    else:
        total = memory_mb * 1e6
    return Budget(total, beside=16 * state + POINTS * asked)


@dataclass
class Step:
    """An accepted step: what was done, its start (R, Q), what it kept within, all points."""

    plan: Any
    start: Tensor | None
    inner: list[Tensor] | None
    points: list[Point] | None

    def whole(self) -> list[Tensor]:
        """Start and what was kept within, of a step that the way back has reached."""
        if self.start is None or self.inner is None:
            raise ValueError("a step is whole within `Recording.backward` only.")
        return [self.start, *self.inner]


class Advanced(NamedTuple):
    """A step computed again: what it keeps within, points if asked for, its end (R, Q)."""

    inner: list[Tensor]
    points: list[Point]
    end: Tensor


class Scheme(Protocol):
    """A one-step method: what `plan` means, the step again, and its transpose.

    `own_states`: whether a point keeps a state alive that is not among those kept within.
    """

    own_states: bool

    def seeds(self, plan: Any) -> Seeds:
        """The seeds that took the step, in the order of its rows."""

    def stages(self, plan: Any) -> int:
        """Numbers of points, and at most of tensors kept within, of a step."""

    def advance(self, flow: Flow, start: Tensor, plan: Any, keep: bool) -> Advanced:
        """The step again; with its points when `keep`."""

    def vectors(self, stages: int) -> int:
        """Tensors (R, Q) that a step of so many stages and its transpose need at once."""

    def states(self, flow: Flow, start: Tensor, inner: list[Tensor], plan: Any) -> Sequence[Any]:
        """The (flow, state) of every point, from what was kept."""

    def back(
        self, flow: Flow, step: Step, points: Sequence[Point], lam: Tensor, anchored: Tensor | None
    ) -> Tensor:
        """dJ/du at the step's start from lam at its end, both of its seeds' rows.

        What goes through the regulariser's anchor is added to `anchored`.
        """


class Recording:
    """The accepted steps of a solve, thinned to a budget.

    Args:
        budget: for kept tensors and the work on one step; None is no limit.
        scheme: how a step is computed again.
        points: whether the way back wants points at all.
    """

    def __init__(
        self, flow: Flow, budget: Budget | None, scheme: Scheme, *, points: bool = True
    ) -> None:
        self.flow = flow
        self.steps: list[Step] = []
        self.scheme = scheme
        self.peak = 0  # bytes: the most that was predicted to be needed at once
        self._budget = budget or Budget()
        self._wants_points = points
        self._state = flow.anchor.numel() * flow.anchor.element_size()
        self._point = flow.loss.point_bytes(flow.anchor) + scheme.own_states * self._state
        self._longest = 0  # stages
        self._kept = 0  # bytes
        self._without = {"points": 0, "inner": 0}  # how many of the first steps have lost them
        self._stride = 1  # starts whose number it divides stay
        self._strided = 0  # how many of the first steps have been looked at with that stride

    def append(self, step: Step) -> None:
        """Keep a step, and let go of older ones as the budget demands.

        Raises:
            ValueError: when the budget cannot hold the work on this step alone.
        """
        self._longest = max(self._longest, self.scheme.stages(step.plan))
        self.steps.append(step)
        self._kept += self._size(step)
        self._thin()
        self.peak = max(self.peak, self._kept + self.working)

    def may_keep_points(self, stages: int) -> bool:
        """Whether a step of so many stages may hold all its points at once."""
        return self._wants_points and self._full(max(stages, self._longest)) <= self._allowed / 2

    @property
    def _allowed(self) -> float:
        """Bytes for this recording."""
        return self._budget.total * self._budget.share

    @property
    def kept_states(self) -> int:
        """Tensors (R, Q) that are kept now."""
        return sum((step.start is not None) + len(step.inner or ()) for step in self.steps)

    @property
    def working(self) -> int:
        """Bytes for the work on one step, with all its points if they fit."""
        longest = self._longest
        return self._full(longest) if self.may_keep_points(longest) else self._slim(longest)

    def _full(self, stages: int) -> int:
        return self._slim(stages) + stages * self._point

    def _slim(self, stages: int) -> int:
        """One point at a time."""
        work = self.scheme.vectors(stages) * self._state + POINTS * self._point
        return max(work, self._budget.beside) + self._budget.aside

    def _size(self, step: Step) -> int:
        return (
            (step.start is not None) * self._state
            + len(step.inner or ()) * self._state
            + len(step.points or ()) * self._point
        )

    def _thin(self) -> None:
        self._refuse_too_little()
        room = self._allowed - self.working
        self._drop_oldest("points", room)
        self._drop_oldest("inner", room)
        while self._kept > room:  # starts that later steps left between the strides go first
            for number in range(self._strided, len(self.steps)):
                if number % self._stride:
                    self._drop(self.steps[number])
            self._strided = len(self.steps)
            if self._stride >= len(self.steps):
                return
            if self._kept > room:
                self._stride, self._strided = 2 * self._stride, 0

    def _refuse_too_little(self) -> None:
        least = self._slim(self._longest) + STARTS * self._state
        if least > self._allowed:
            share = self._budget.share
            least_mb = math.ceil(least / share / 1e3) / 1e3  # sufficient as it is printed
            raise ValueError(
                f"memory_mb must be at least {least_mb:.3f} here, for steps of {self._longest} "
                f"stages; found {self._allowed / share / 1e6:.3g}."
            )

    def _drop_oldest(self, part: str, room: float) -> None:
        """Drop one part of the first steps that have it, until the rest fits."""
        while self._kept > room and self._without[part] < len(self.steps):
            step = self.steps[self._without[part]]
            self._kept -= self._size(step)
            if getattr(step, part):  # an empty list is whole: the scheme keeps nothing there
                setattr(step, part, None)
            self._kept += self._size(step)
            self._without[part] += 1

    def _drop(self, step: Step) -> None:
        self._kept -= self._size(step)
        step.start = step.inner = step.points = None

    def start_of(self, number: int) -> Tensor:
        """The start of a step that the way back has reached."""
        start = self.steps[number].start
        if start is None:
            raise ValueError(f"step {number} is not at hand; ask for it within `backward`.")
        return start

    def backward(self) -> Iterator[tuple[int, Step, Sequence[Point]]]:
        """Yield number, step and points from the last step to the first, letting each go.

        A recording without points yields steps with what they keep within.
        """
        for number in range(len(self.steps) - 1, -1, -1):
            step = self.steps[number]
            if step.start is None:
                self._restore(number)
            yield number, step, self._points(number, step)
            self._drop(step)

    def _points(self, number: int, step: Step) -> Sequence[Point]:
        if step.points is not None:
            return step.points
        start, stages = self.start_of(number), self.scheme.stages(step.plan)
        if step.inner is None:
            keep = self.may_keep_points(stages)
            again = self.scheme.advance(self.flow, start, step.plan, keep)
            if again.points:
                return again.points
            step.inner = again.inner
            self._kept += len(again.inner) * self._state
        if not self._wants_points:
            return ()
        states = self.scheme.states(self.flow, start, step.inner, step.plan)
        part = states[0][0]
        alike = all(flow is part for flow, _ in states)
        if alike and self.may_keep_points(2 * stages):  # the large batch and its cuts
            return part.loss.at_states([state for _, state in states])
        return _OneByOne(states)

    def _restore(self, number: int) -> None:
        """Bring back the start of a step, and keep starts on the way as binomials advise."""
        low = number
        while self.steps[low].start is None:
            low -= 1
        state = self.start_of(low)
        while low < number:
            free = int((self._allowed - self.working - self._kept) // self._state)
            stop = low + left_part(number + 1 - low, free) if free > 1 else number
            for step in self.steps[low:stop]:
                state = self.scheme.advance(self.flow, state, step.plan, False).end
            self.steps[stop].start = state
            self._kept += self._state
            low = stop


class _OneByOne(Sequence[Point]):
    """Points that are computed when they are asked for, and not kept."""

    def __init__(self, states: Sequence[tuple[Flow, Tensor]]) -> None:
        self._states = states

    def __len__(self) -> int:
        return len(self._states)

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        flow, state = self._states[index]
        return flow.loss.at(state)


def left_part(length: int, slots: int) -> int:
    """How many of `length` >= 2 steps to advance before the next checkpoint, given free slots.

    beta(s, r) = C(s + r, s) steps can be reversed with s slots and r repetitions; the rest of
    the steps goes to the right part, which has one slot less.
    """
    repetitions = 1
    while math.comb(slots + repetitions, slots) < length:
        repetitions += 1
    right = math.comb(slots - 1 + repetitions, slots - 1)
    return min(max(1, length - right), length - 1)
