"""Fixed sequences of kernels as CUDA graphs: recorded once, replayed with new numbers.

A small network on a large GPU waits for Python between its kernels. What a method does many
times with tensors of the same shapes (some steps of gradient descent, a Chebyshev step of s
stages and its way back) is captured once; later calls copy their inputs into place and replay.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.core.interface import Model
from pipeline.core.tasks import TaskBatch
from pipeline.core.work import Counted, Work

Function = Callable[..., Sequence[Tensor]]
WARM_UPS = 2  # runs before a capture, in which libraries allocate what they need


@dataclass
class _Graph:
    inputs: list[Tensor]
    outputs: Sequence[Tensor]
    replay: Callable[[], None]
    works: list[Work]  # what one run counts, of each seed


class Graphs:
    """Captured functions by name, and the losses that they were captured with.

    Losses keep their place in memory from one meta-update to the next: a batch of the same
    shapes is copied into them, one of other shapes starts anew.

    Args:
        device: of everything. On the CPU nothing is captured: functions run again on the same
            tensors in place, which is how tests without a GPU see the protocol at work.
    """

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._graphs: dict[Hashable, _Graph] = {}
        self._losses: list[Any] = []  # persistent, below their counters
        self._counted: list[Counted] = []
        self._shapes: list[tuple[int, ...]] = []
        self._works: list[Work] = []

    def losses(self, fresh: Sequence[Any], works: Sequence[Work]) -> list[Counted]:
        """The persistent losses, holding what `fresh` ones hold, counting into `works`.

        Args:
            fresh: of a model that is `capturable`: they have `tensors`, `copy` and `replace_rows`.
        """
        shapes = [tuple(part.shape) for loss in fresh for part in loss.tensors()]
        if shapes != self._shapes or len(works) != len(self._works):
            self._graphs.clear()
            self._losses = [loss.copy() for loss in fresh]  # the batch's own rows stay as they are
            self._shapes, self._works = shapes, list(works)
            self._counted = [Counted(loss, self._works) for loss in self._losses]
        else:
            self._works[:] = works
            for kept, given, counted in zip(self._losses, fresh, self._counted, strict=True):
                kept.replace_rows(given)
                counted.forget_parts()
        return self._counted

    def run(self, name: Hashable, function: Function, *inputs: Tensor) -> Sequence[Tensor]:
        """`function(*inputs)`, captured at the first call with that name.

        Returns:
            The function's outputs, overwritten by the next call of that name: clone what is to
            be kept.
        """
        graph = self._graphs.get(name)
        if graph is None:
            graph = self._graphs[name] = self._capture(function, inputs)
        for mine, new in zip(graph.inputs, inputs, strict=True):
            mine.copy_(new)
        graph.replay()
        for total, once in zip(self._works, graph.works, strict=True):
            total.add(once)
        return graph.outputs

    def _capture(self, function: Function, inputs: Sequence[Tensor]) -> _Graph:
        mine = [value.clone() for value in inputs]
        before = list(self._works)
        counts = [Work() for _ in before]  # the capture's own runs count elsewhere
        self._works[:] = counts
        try:
            if not self._cuda:
                outputs = [value.clone() for value in function(*mine)]
                return _Graph(mine, outputs, self._again(function, mine, outputs), counts)
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(WARM_UPS):
                    function(*mine)
            torch.cuda.current_stream().wait_stream(aside)
            counts[:] = [Work() for _ in before]
            self._works[:] = counts
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                outputs = list(function(*mine))
            return _Graph(mine, outputs, graph.replay, counts)
        finally:
            self._works[:] = before

    def _again(
        self, function: Function, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
    ) -> Callable[[], None]:
        def replay() -> None:
            before = list(self._works)
            self._works[:] = [Work() for _ in before]
            for kept, new in zip(outputs, function(*inputs), strict=True):
                kept.copy_(new)
            self._works[:] = before

        return replay


class Capturing:
    """Which meta-updates of a training are captured.

    Args:
        capture: `auto` is yes on a CUDA device with a model that is capturable, for as long as
            all batches have the same shapes: each change would cost a new capture.
        device: of theta.

    Raises:
        ValueError: when capture is asked for and cannot be, or is none of True, False, `auto`.
    """

    def __init__(self, capture: bool | str, model: Model, device: torch.device) -> None:
        if not isinstance(capture, bool) and capture != "auto":
            raise ValueError(f"capture must be true, false or 'auto', found {capture!r}.")
        if capture is True and device.type != "cuda":
            raise ValueError(f"capture needs a CUDA device, theta is on {device}.")
        if capture is True:
            refuse_capture(model)
        possible = device.type == "cuda" and model.capturable
        self._graphs = Graphs(device) if capture and possible else None
        self._same_shapes = capture == "auto"
        self._shapes: tuple[torch.Size, torch.Size] | None = None

    def graphs_for(self, batch: TaskBatch) -> Graphs | None:
        """Graphs to work on this batch with, or None."""
        if self._same_shapes and self._shapes not in (None, batch.shapes):
            self._graphs = None
        self._shapes = batch.shapes
        return self._graphs

    def expect_other_shapes(self) -> None:
        """For once: the next batch is of fewer seeds."""
        self._shapes = None


def refuse_capture(model: Model) -> None:
    """Raise ValueError for a model that is not capturable."""
    if not model.capturable:
        raise ValueError("capture needs a model with closed forms (`MLP`).")
