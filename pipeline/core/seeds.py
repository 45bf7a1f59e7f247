"""Rows of several seeds in one tensor: S seeds with B rows each, seed by seed, S B in all."""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

Seeds = tuple[int, ...]  # positions of seeds, in the order in which their rows are wanted


@cache
def rows_of(seeds: Seeds, each: int, device: torch.device) -> slice | Tensor:
    """The rows of `seeds`: a slice where they lie together, else row numbers."""
    first = seeds[0]
    if seeds == tuple(range(first, first + len(seeds))):
        return slice(first * each, (first + len(seeds)) * each)
    wanted = torch.tensor(seeds, device=device).unsqueeze(1) * each
    return (wanted + torch.arange(each, device=device)).flatten()


def take(values: Tensor, seeds: Seeds, of: int) -> Tensor:
    """The rows of `seeds` out of those of `of` seeds; `values` itself where that is all."""
    if seeds == tuple(range(of)):
        return values
    return values[rows_of(seeds, len(values) // of, values.device)]


def put(values: Tensor, seeds: Seeds, part: Tensor, of: int) -> Tensor:
    """`values` with the rows of `seeds` replaced; `part` itself where that is all."""
    if seeds == tuple(range(of)):
        return part
    changed = values.clone()
    changed[rows_of(seeds, len(values) // of, values.device)] = part
    return changed


def per_row(numbers: Sequence[float], like: Tensor) -> float | Tensor:
    """A number of each seed as one of each row of `like`, (R, 1); itself for one seed."""
    if len(numbers) == 1:
        return numbers[0]
    each = torch.tensor(numbers, dtype=like.dtype, device=like.device)
    return each.repeat_interleave(len(like) // len(numbers)).unsqueeze(1)


def largest_of_each(values: Tensor, seeds: int) -> list[float]:
    """The largest of each seed's rows (S B,): one wait for the device."""
    found: list[float] = values.view(seeds, -1).amax(1).tolist()
    return found


def not_finite(values: Tensor) -> Sequence[int]:
    """The rows of (R, Q) that hold NaN or infinity."""
    rows: list[int] = (~torch.isfinite(values).all(1)).nonzero().flatten().tolist()
    return rows
