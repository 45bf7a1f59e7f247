"""What methods and settings vary another, for all who have only their names.

Names say it to people; nothing reads it back out of them. A grid knows its variants
(`Grid.variants`), the recipe of its tables carries them, and whoever compares or shows names of
a grid is told them once: `with told(recipe["variants"]): ...`.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from pydantic import Field

from pipeline.config.card import Strict

EARLY_STOPPING = "early_stopping"  # the parameter that gives each task a horizon of its own
Scalar = bool | int | float | str | None


class Variant(Strict):
    """What sets a method or setting of a grid apart from the one it varies."""

    base: str = Field(description="label or setting that is varied")
    varied: dict[str, Scalar] = Field(default={}, description="parameter -> its value")
    switched: list[str] = Field(default=[], description="points as the authors' code has them")

    @property
    def stops_early(self) -> bool:
        """Whether it is its method with a horizon for each task."""
        return self.varied.get(EARLY_STOPPING) is True


_NONE: Mapping[str, Variant] = {}
_TOLD: ContextVar[Mapping[str, Variant]] = ContextVar("variants", default=_NONE)


@contextmanager
def told(variants: Mapping[str, Any]) -> Iterator[None]:
    """Within it, `variant_of` knows these.

    Args:
        variants: name -> `Variant`, or the same as a recipe holds it.
    """
    known = {name: Variant.model_validate(of) for name, of in variants.items()}
    before = _TOLD.set(known)
    try:
        yield
    finally:
        _TOLD.reset(before)


def variant_of(name: str) -> Variant | None:
    """What a method or setting varies; None of one that varies nothing, or that nobody told."""
    return _TOLD.get().get(name)


def fixed_horizon(label: str) -> str | None:
    """The method of a label that gives each task a horizon of its own; None of any other."""
    variant = variant_of(label)
    return variant.base if variant is not None and variant.stops_early else None
