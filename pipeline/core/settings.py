"""Kinds of settings: each refuses what cannot be, in one sentence that names the setting.

A method annotates each keyword with its kind, `rtol: Positive = 1e-3`; `check_settings` then
checks what a caller gives, before anything is computed.
"""

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Annotated, Any

import torch
from torch import Tensor

Check = Callable[[str, Any], None]  # of a setting's name and value; raises ValueError


def is_finite(value: object) -> bool:
    """Whether it is a finite real number, and no truth value."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond the range of floats
        return False


def check_positive(name: str, value: Any) -> None:
    if not (is_finite(value) and value > 0):
        raise ValueError(f"{name} must be positive and finite, found {value!r}.")


def check_positive_or_none(name: str, value: Any) -> None:
    if value is not None:
        check_positive(name, value)


def check_not_negative(name: str, value: Any) -> None:
    if not (is_finite(value) and value >= 0):
        raise ValueError(f"{name} must be finite and not negative, found {value!r}.")


def as_horizon(name: str, value: Any) -> Any:
    """A number as it is; a list or array of them as a tensor, one a task."""
    if isinstance(value, Tensor) or is_finite(value):
        return value
    if (isinstance(value, Sequence) and not isinstance(value, str)) or hasattr(value, "__array__"):
        try:
            found = torch.as_tensor(value)
            # Python's numbers are doubles
            listed = isinstance(value, Sequence) and found.is_floating_point()
            return torch.as_tensor(value, dtype=torch.float64) if listed else found
        except (TypeError, ValueError, RuntimeError):
            pass
    raise ValueError(f"{name} must be positive and finite, found {value!r}.")


def check_horizon(name: str, value: Any) -> None:
    found = as_horizon(name, value)
    if not isinstance(found, Tensor):
        check_positive(name, found)
        return
    if found.dtype == torch.bool or found.is_complex():
        raise ValueError(f"{name} must hold real numbers, found {found.dtype}.")
    if found.ndim > 1 or not found.numel():
        raise ValueError(f"{name} must be one number or one a task, found {tuple(found.shape)}.")
    if not bool(((found > 0) & torch.isfinite(found)).all()):
        raise ValueError(f"{name} must be positive and finite, found {value}.")


def check_share(name: str, value: Any) -> None:
    if not (is_finite(value) and 0 <= value <= 1):
        raise ValueError(f"{name} must lie in [0, 1], found {value!r}.")


def check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(f"{name} must be a whole number of at least 1, found {value!r}.")


def check_switch(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, found {value!r}.")


def one_of(allowed: Sequence[str]) -> Check:
    """The check that a setting is one of some names."""

    def check(name: str, value: Any) -> None:
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}, found '{value}'.")

    return check


Horizon = Annotated[float | Sequence[float] | Tensor, check_horizon]
Positive = Annotated[float, check_positive]
NotNegative = Annotated[float, check_not_negative]
Share = Annotated[float, check_share]
Count = Annotated[int, check_count]
Switch = Annotated[bool, check_switch]
Megabytes = Annotated[float | None, check_positive_or_none]  # 10^6 bytes; None: the usual
