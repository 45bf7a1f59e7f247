"""Rows of weight 0: what they hold must not matter, and is made harmless."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from pipeline.core.tasks import Rows


def filled(rows: Rows) -> Rows:
    """The same with padding that repeats the task's row of most weight.

    Where padding does not matter this changes nothing, but that its losses are finite:
    0 times infinity would be none.
    """
    padding = rows.weight == 0
    if not bool(padding.any()):
        return rows
    first = rows.weight.argmax(1)
    task = torch.arange(len(rows), device=first.device)
    return replace(
        rows,
        x=torch.where(_like(padding, rows.x), rows.x[task, first].unsqueeze(1), rows.x),
        y=torch.where(_like(padding, rows.y), rows.y[task, first].unsqueeze(1), rows.y),
    )


def refilled(rows: Rows) -> Iterator[Rows]:
    """The same with two other fillings of padding, in inputs and targets."""
    padding = rows.weight == 0
    for variant in (1, 2):
        x, y = (
            torch.where(_like(padding, values), _others(values, variant), values)
            for values in (rows.x, rows.y)
        )
        yield replace(rows, x=x, y=y)


def can_refill(rows: Rows) -> bool:
    """Whether every value has another to be replaced by."""
    return all(
        values.is_floating_point() or bool((values != values.flatten()[0]).any())
        for values in (rows.x, rows.y)
    )


def _others(values: Tensor, variant: int) -> Tensor:
    """Other values: beyond all that are there, or, of whole numbers, among those that are."""
    known = values.unique() if bool((values == values.round()).all()) else values[:0]
    if len(known) > 1 or not values.is_floating_point():
        if variant == 2:
            return torch.where(values == known[-1], known[0], known[-1])
        return known[(torch.searchsorted(known, values) + 1) % len(known)]
    beyond = 2 * values.abs().amax() + 1
    moved = values.roll(variant, 1)
    return 1.5 * moved + beyond if variant == 1 else -0.7 * moved - beyond


def _like(padding: Tensor, values: Tensor) -> Tensor:
    """(B, N) as (B, N, 1, ...)."""
    return padding.view(*padding.shape, *[1] * (values.ndim - 2))
