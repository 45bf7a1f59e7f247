"""Where methods register themselves, and what is checked before one is called."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from pipeline.core.problem import Adapted

Method = Callable[..., Adapted]
M = TypeVar("M", bound=Method)

METHODS: dict[str, Method] = {}  # filled by the modules of `methods/`, in their order
FIRST_ORDER: set[str] = set()  # of METHODS


def method(*names: str, first_order: bool = False) -> Callable[[M], M]:
    """Register a function `(problem, *, settings) -> Adapted` under one name or several.

    Its keywords are its settings, annotated with their kinds (settings.py).

    Args:
        first_order: its answer leaves out how training depends on where it starts.

    Raises:
        ValueError: when a name is taken.
    """

    def register(function: M) -> M:
        for name in names:
            if name in METHODS:
                raise ValueError(f"two methods are named '{name}'.")
            METHODS[name] = function
            if first_order:
                FIRST_ORDER.add(name)
        return function

    return register


def check_settings(method: str, settings: Mapping[str, Any]) -> None:
    """Refuse an unknown method, unknown or missing settings, and values that cannot be.

    What depends on the tasks, a horizon for each say, or on two settings is checked when the
    method is called.

    Raises:
        ValueError: saying what was found and what is needed.
    """
    if not isinstance(method, str) or method not in METHODS:
        raise ValueError(f"method '{method}' is none of {', '.join(METHODS)}.")
    parameters = inspect.signature(METHODS[method]).parameters.items()
    known = {name: p for name, p in parameters if p.kind is p.KEYWORD_ONLY}
    if unknown := sorted(set(settings) - set(known)):
        raise ValueError(f"`{method}` takes {', '.join(known)}; found {', '.join(unknown)}.")
    needed = [name for name, p in known.items() if p.default is p.empty]
    if missing := [name for name in needed if name not in settings]:
        raise ValueError(f"`{method}` needs {', '.join(missing)}.")
    for name, value in settings.items():
        for check in getattr(known[name].annotation, "__metadata__", ()):
            check(name, value)
