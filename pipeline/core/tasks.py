"""Batches of tasks: padded arrays with row weights, so that ragged tasks run together."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.core.ambient import ordinary


@dataclass(frozen=True)
class Rows:
    """One side (support or query) of B tasks. Made by `from_arrays` or `from_tasks`.

    x: (B, N, ...) floats, or (B, N) integer item indices standing for one-hot rows.
    y: (B, N) or (B, N, C) targets, or (B, N) integers: numbers of classes.
    weight: (B, N), summing to 1 in each task; padding rows weigh 0.
    """

    x: Tensor
    y: Tensor
    weight: Tensor

    def __len__(self) -> int:
        return len(self.weight)

    @classmethod
    def from_arrays(
        cls,
        x: object,
        y: object,
        weight: object = None,
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        name: str = "rows",
    ) -> "Rows":
        """Build one side from tensors or arrays.

        Args:
            x: inputs (B, N, ...) of any shape, which become floats; or integer item indices (B, N).
            y: targets (B, N), or (B, N, C) of C outputs; whole numbers (B, N) stay integers, and
                may be the numbers of classes.
            weight: non-negative row weights (B, N); 0 marks padding. Rows weigh alike by default.
                They are scaled to sum to 1 in each task, so that a loss is a weighted mean.
            dtype: of floats; default that of `y`, or torch's own when it holds integers.
            device: default that of `y` when it is a tensor, else the CPU.
            name: for messages.

        Raises:
            ValueError: for shapes that do not fit, NaN or infinity, negative item indices,
                or a task without a row.
        """
        targets = _tensor(f"{name}: targets", y, device)
        inputs = _tensor(f"{name}: inputs", x, targets.device)
        dtype = _dtype(dtype, targets)
        _check_shapes(name, inputs, targets)
        if targets.ndim == 3 and targets.shape[2] == 1:
            targets = targets.squeeze(2)
        targets = targets.to(dtype if targets.is_floating_point() else torch.int64)
        inputs = inputs.to(torch.int64 if inputs.ndim == 2 else dtype)
        if inputs.ndim == 2 and int(inputs.min()) < 0:
            raise ValueError(f"{name}: found item index {int(inputs.min())}; indices start at 0.")
        for what, values in (("inputs", inputs), ("targets", targets)):
            if values.is_floating_point() and not bool(torch.isfinite(values).all()):
                raise ValueError(f"{name}: {what} hold NaN or infinity; every row must be finite.")
        shape = targets.shape[:2]
        if weight is None:
            given = torch.ones(shape, dtype=dtype, device=targets.device)
        else:
            given = _tensor(f"{name}: row weights", weight, targets.device).to(dtype)
        return cls(inputs, targets, _weights(name, given, shape))

    @classmethod
    def from_tasks(
        cls,
        xs: Sequence[object],
        ys: Sequence[object],
        *,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        name: str = "rows",
    ) -> "Rows":
        """Tasks of different lengths, padded to the longest; a task's own rows weigh alike.

        Padding repeats a task's first row with weight 0.

        Args:
            xs: for each task its inputs (N_b, ...), or item indices (N_b,).
            ys: for each task its targets (N_b,) or (N_b, C).
            dtype, device, name: as for `from_arrays`.

        Raises:
            ValueError: as `from_arrays` does, and for tasks that do not fit each other.
        """
        if len(xs) != len(ys) or not len(xs):
            raise ValueError(f"{name}: found {len(xs)} inputs and {len(ys)} targets of tasks.")
        inputs = [_tensor(f"{name}: inputs of task {b}", x, device) for b, x in enumerate(xs)]
        targets = [_tensor(f"{name}: targets of task {b}", y, device) for b, y in enumerate(ys)]
        longest = max((len(y) for y in targets if y.ndim), default=0)
        padded_x, padded_y, weights = [], [], []
        for task, (x, y) in enumerate(zip(inputs, targets, strict=True)):
            if not y.ndim or not x.ndim or len(x) != len(y) or not len(y):
                raise ValueError(
                    f"{name}: task {task} has inputs {tuple(x.shape)} and targets "
                    f"{tuple(y.shape)}; needed is a row or more, each with an input and a target."
                )
            for what, found, first in (("inputs", x, inputs[0]), ("targets", y, targets[0])):
                if found.shape[1:] != first.shape[1:]:
                    raise ValueError(
                        f"{name}: {what} of task {task} have rows of shape "
                        f"{tuple(found.shape[1:])}, those of task 0 {tuple(first.shape[1:])}."
                    )
            place = torch.arange(longest, device=y.device)
            weights.append(place < len(y))
            place = torch.where(weights[-1], place, 0)
            padded_x.append(x[place.to(x.device)])
            padded_y.append(y[place])
        return cls.from_arrays(
            torch.stack(padded_x),
            torch.stack(padded_y),
            torch.stack(weights),
            dtype=dtype,
            device=device,
            name=name,
        )

    def select(self, tasks: Tensor | slice) -> "Rows":
        """Some of the tasks."""
        return Rows(self.x[tasks], self.y[tasks], self.weight[tasks])

    @property
    def is_indexed(self) -> bool:
        return not self.x.is_floating_point()

    @property
    def ordinary(self) -> "Rows":
        """The same rows, fit for autograd wherever they were made."""
        return Rows(ordinary(self.x), ordinary(self.y), ordinary(self.weight))


@dataclass(frozen=True)
class TaskBatch:
    """Support and query rows of B tasks.

    Raises:
        ValueError: when the two do not hold the same number of tasks, or inputs of other shapes.
    """

    support: Rows
    query: Rows

    def __post_init__(self) -> None:
        if len(self.support) != len(self.query):
            raise ValueError(
                f"support has {len(self.support)} tasks and query has {len(self.query)}; "
                "both need the same tasks in the same order."
            )
        if self.support.x.shape[2:] != self.query.x.shape[2:]:
            raise ValueError(
                f"support inputs {tuple(self.support.x.shape)} and query inputs "
                f"{tuple(self.query.x.shape)} differ in their features."
            )

    def __len__(self) -> int:
        return len(self.support)

    @property
    def shapes(self) -> tuple[torch.Size, torch.Size]:
        """Of the inputs of support and query."""
        return self.support.x.shape, self.query.x.shape

    def select(self, tasks: Tensor | slice) -> "TaskBatch":
        """Some of the tasks."""
        return TaskBatch(self.support.select(tasks), self.query.select(tasks))

    @classmethod
    def from_arrays(
        cls,
        sx: object,
        sy: object,
        qx: object,
        qy: object,
        *,
        support_weight: object = None,
        query_weight: object = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> "TaskBatch":
        """Build a batch from tensors or arrays: support (sx, sy), query (qx, qy).

        Args are those of `Rows.from_arrays`; dtype and device by default those of `sy`.

        Raises:
            ValueError: for what `Rows.from_arrays` refuses, and sides that do not fit each other.
        """
        target = _tensor("support: targets", sy, device)
        device, dtype = target.device, _dtype(dtype, target)
        support = Rows.from_arrays(
            sx, sy, support_weight, dtype=dtype, device=device, name="support"
        )
        query = Rows.from_arrays(qx, qy, query_weight, dtype=dtype, device=device, name="query")
        return cls(support, query)


def _dtype(wanted: torch.dtype | None, targets: Tensor) -> torch.dtype:
    """Of floats."""
    if wanted is None:
        return targets.dtype if targets.is_floating_point() else torch.get_default_dtype()
    if not wanted.is_floating_point:
        raise ValueError(f"dtype must be one of floats, found {wanted}.")
    return wanted


def _check_shapes(name: str, inputs: Tensor, targets: Tensor) -> None:
    if targets.ndim not in (2, 3) or inputs.ndim < 2 or inputs.shape[:2] != targets.shape[:2]:
        raise ValueError(
            f"{name}: found inputs {tuple(inputs.shape)} and targets {tuple(targets.shape)}; "
            "needed inputs (B, N, ...), or item indices (B, N), and targets (B, N) or (B, N, C)."
        )
    if inputs.ndim == 2 and (inputs.is_floating_point() or inputs.dtype == torch.bool):
        raise ValueError(
            f"{name}: inputs (B, N) must be integer item indices, found {inputs.dtype}; "
            "give real inputs the shape (B, N, D)."
        )
    if 0 in targets.shape[:2]:
        raise ValueError(f"{name}: found {tuple(targets.shape)} rows; every task needs a row.")
    if 0 in inputs.shape:
        raise ValueError(f"{name}: found inputs {tuple(inputs.shape)}; rows need a feature.")
    if 0 in targets.shape:
        raise ValueError(f"{name}: found targets {tuple(targets.shape)}; rows need an output.")


def _weights(name: str, given: Tensor, shape: torch.Size) -> Tensor:
    """Row weights that sum to 1 in each task."""
    if given.shape != shape or not bool((given >= 0).all()):
        raise ValueError(
            f"{name}: row weights must be non-negative and of shape {tuple(shape)}, "
            f"found {tuple(given.shape)}."
        )
    weights = given / given.amax(1, keepdim=True).clamp_min(1)  # their sum is finite
    if not bool(torch.isfinite(weights).all()):
        raise ValueError(f"{name}: row weights hold infinity; every one must be finite.")
    total = weights.sum(1, keepdim=True)
    if not bool((total > 0).all()):
        raise ValueError(f"{name}: a task has no row of positive weight; every task needs one.")
    return weights / total


def _tensor(what: str, values: object, device: torch.device | str | None) -> Tensor:
    """Real numbers as a tensor."""
    try:
        found = torch.as_tensor(values, device=device)
    except (TypeError, ValueError, RuntimeError) as error:
        said = str(error).split("\n")[0]
        raise ValueError(f"{what} must be a full array of numbers: {said}.") from None
    if found.is_complex():
        raise ValueError(f"{what} must be real, found {found.dtype}.")
    return found
