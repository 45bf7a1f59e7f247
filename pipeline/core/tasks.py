"""Batches of tasks: padded arrays with row weights, so that ragged tasks run together."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.core.ambient import ordinary


@dataclass(frozen=True)
class Rows:
    """One side (support or query) of B tasks.

    x: (B, N, D) floats, or (B, N) integer item indices standing for one-hot rows.
    y: (B, N) targets. weight: (B, N), summing to 1 in each task; padding rows weigh 0.
    """

    x: Tensor
    y: Tensor
    weight: Tensor

    @property
    def is_indexed(self) -> bool:
        return not self.x.is_floating_point()

    @property
    def ordinary(self) -> "Rows":
        """The same rows, fit for autograd wherever they were made."""
        return Rows(ordinary(self.x), ordinary(self.y), ordinary(self.weight))


@dataclass(frozen=True)
class TaskBatch:
    """Support and query rows of B tasks."""

    support: Rows
    query: Rows

    def __len__(self) -> int:
        return self.support.y.shape[0]

    @property
    def shapes(self) -> tuple[torch.Size, torch.Size]:
        """Of the inputs of support and query."""
        return self.support.x.shape, self.query.x.shape

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
        """Build a batch from tensors or arrays.

        Args:
            sx, qx: inputs (B, N, D), (B, M, D); or integer item indices (B, N), (B, M).
            sy, qy: targets (B, N), (B, M).
            support_weight, query_weight: non-negative row weights of the same shape as the
                targets; 0 marks padding. Rows weigh alike by default. They are scaled to sum
                to 1 in each task, so that a loss is a weighted mean.
            dtype: of floats; default that of `sy`, or float32 when it is an integer array.
            device: default that of `sy` when it is a tensor, else the CPU.

        Raises:
            ValueError: for shapes that do not fit, NaN or infinity, negative item indices,
                or a task without a row.
        """
        target = _tensor("support: targets", sy, device)
        if dtype is None:
            dtype = target.dtype if target.is_floating_point() else torch.get_default_dtype()
        elif not dtype.is_floating_point:
            raise ValueError(f"dtype must be one of floats, found {dtype}.")
        support = _rows("support", sx, sy, support_weight, dtype, target.device)
        query = _rows("query", qx, qy, query_weight, dtype, target.device)
        if len(support.y) != len(query.y):
            raise ValueError(
                f"support has {len(support.y)} tasks and query has {len(query.y)}; "
                "both need the same tasks in the same order."
            )
        if support.x.shape[2:] != query.x.shape[2:]:
            raise ValueError(
                f"support inputs {tuple(support.x.shape)} and query inputs "
                f"{tuple(query.x.shape)} differ in their features."
            )
        return cls(support, query)


def _rows(
    name: str, x: object, y: object, weight: object, dtype: torch.dtype, device: torch.device
) -> Rows:
    inputs = _tensor(f"{name}: inputs", x, device)
    targets = _tensor(f"{name}: targets", y, device)
    if targets.ndim != 2 or inputs.ndim not in (2, 3) or inputs.shape[:2] != targets.shape:
        raise ValueError(
            f"{name}: found inputs {tuple(inputs.shape)} and targets {tuple(targets.shape)}; "
            "needed inputs (B, N, D), or item indices (B, N), and targets (B, N)."
        )
    if inputs.ndim == 2 and (inputs.is_floating_point() or inputs.dtype == torch.bool):
        raise ValueError(
            f"{name}: inputs (B, N) must be integer item indices, found {inputs.dtype}; "
            "give real inputs the shape (B, N, D)."
        )
    if inputs.shape[-1] == 0 and 0 not in targets.shape:
        raise ValueError(f"{name}: found inputs {tuple(inputs.shape)}; rows need a feature.")
    if 0 in targets.shape:
        raise ValueError(f"{name}: found {tuple(targets.shape)} rows; every task needs a row.")
    targets = targets.to(dtype)
    if inputs.ndim == 3:
        inputs = inputs.to(dtype)
    else:
        inputs = inputs.to(torch.int64)
        if int(inputs.min()) < 0:
            raise ValueError(f"{name}: found item index {int(inputs.min())}; indices start at 0.")
    for what, values in (("inputs", inputs), ("targets", targets)):
        if values.is_floating_point() and not bool(torch.isfinite(values).all()):
            raise ValueError(f"{name}: {what} hold NaN or infinity; every row must be finite.")
    if weight is None:
        weights = torch.ones_like(targets)
    else:
        weights = _tensor(f"{name}: row weights", weight, device).to(dtype)
        if weights.shape != targets.shape or not bool((weights >= 0).all()):
            raise ValueError(
                f"{name}: row weights must be non-negative and of shape {tuple(targets.shape)}, "
                f"found {tuple(weights.shape)}."
            )
        weights = weights / weights.amax(1, keepdim=True).clamp_min(1)  # their sum is finite
        if not bool(torch.isfinite(weights).all()):
            raise ValueError(f"{name}: row weights hold infinity; every one must be finite.")
    total = weights.sum(1, keepdim=True)
    if not bool((total > 0).all()):
        raise ValueError(f"{name}: a task has no row of positive weight; every task needs one.")
    return Rows(inputs, targets, weights / total)


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
