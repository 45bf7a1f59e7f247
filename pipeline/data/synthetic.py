"""Two families of functions of two variables; a task is one function and points drawn on it.

Equation numbers are those of Li et al. 2023, arXiv:2110.08432. A new family is one function
and one line in `FAMILIES`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

Parameters = Mapping[str, Any]  # one number, or one array of shape (tasks,), per name


def cos_mixture(x: np.ndarray, *, A: Any, w: Any, phi: Any) -> np.ndarray:
    """Equation (12): f(x) = -0.1 sum_i A cos(w x_i + phi) - sum_i x_i², x of shape (..., 2)."""
    A, w, phi = (np.asarray(value)[..., None] for value in (A, w, phi))
    return (-0.1 * A * np.cos(w * x + phi) - x**2).sum(axis=-1)


def alpine(x: np.ndarray, *, phi_1: Any, phi_2: Any) -> np.ndarray:
    """Equation (13): f(x) = sum_i |x_i sin(x_i + phi_i) + 0.1 x_i|, x of shape (..., 2)."""
    phi = np.stack([np.asarray(phi_1), np.asarray(phi_2)], axis=-1)
    return np.abs(x * np.sin(x + phi) + 0.1 * x).sum(axis=-1)


def cos_mixture_released(x: np.ndarray, *, A: Any, w: Any, phi: Any) -> np.ndarray:
    """The authors' code for (12), without its factor 0.1, x of shape (..., 2)."""
    A, w, phi = (np.asarray(value)[..., None] for value in (A, w, phi))
    return (-A * np.cos(w * x + phi) - x**2).sum(axis=-1)


def alpine_released(x: np.ndarray, *, phi: Any) -> np.ndarray:
    """The authors' code for (13): f(x) = sum_i |x_i sin(x_i + phi) - 0.1 x_i|, (..., 2)."""
    return np.abs(x * np.sin(x + np.asarray(phi)[..., None]) - 0.1 * x).sum(axis=-1)


@dataclass(frozen=True)
class Family:
    """A family of functions.

    Attributes:
        title: the name used in tables and figures.
        function: from x of shape (..., 2) and the parameters to values of shape (...).
        bounds: lowest and highest value of both inputs.
        ranges: each parameter's interval; a task draws it uniformly there.
    """

    title: str
    function: Callable[..., np.ndarray]
    bounds: tuple[float, float]
    ranges: Mapping[str, tuple[float, float]]


_PHASE = (-5 * np.pi / 12, 5 * np.pi / 12)

FAMILIES: dict[str, Family] = {
    "cosmixture": Family(
        "CosMixture",
        cos_mixture,
        (-1.0, 1.0),
        {"A": (0.1, 1.0), "w": (0.5 * np.pi, 2 * np.pi), "phi": (3.0, 6.0)},
    ),
    # The paper prints the domain as [10, 10]²; Alpine's usual one is [-10, 10]².
    "alpine": Family("Alpine", alpine, (-10.0, 10.0), {"phi_1": _PHASE, "phi_2": _PHASE}),
    # As in the authors' code: ranges of frequency and phase swapped; one phase for both inputs.
    "cosmixture-released": Family(
        "CosMixture (released code)",
        cos_mixture_released,
        (-1.0, 1.0),
        {"A": (0.1, 1.0), "w": (3.0, 6.0), "phi": (0.5 * np.pi, 2 * np.pi)},
    ),
    "alpine-released": Family(
        "Alpine (released code)", alpine_released, (-10.0, 10.0), {"phi": _PHASE}
    ),
}


class DrawnTasks(NamedTuple):
    """Tasks of one seed.

    Attributes:
        rows: columns task int32, split ("train" or "test"), x0, x1 and y float64; the tasks
            0 to n_train - 1 are for meta-training, the rest for meta-test.
        parameters: the parameters of each task, arrays of shape (n_train + n_test,).
    """

    rows: pd.DataFrame
    parameters: dict[str, np.ndarray]


def evaluate(family: str, parameters: Parameters, x: np.ndarray) -> np.ndarray:
    """Return f(x) of one task at x, shape (..., 2), or of T tasks at x, shape (T, ..., 2).

    Args:
        family: key of `FAMILIES`.
        parameters: a number each for one task, an array of shape (T,) each for T tasks.
    """
    n_inner = np.ndim(x) - 1
    shaped = {}
    for name in FAMILIES[family].ranges:
        value = np.asarray(parameters[name], dtype=np.float64)
        shaped[name] = value.reshape(value.shape + (1,) * (n_inner - value.ndim))
    return FAMILIES[family].function(np.asarray(x, dtype=np.float64), **shaped)


def draw_tasks(
    family: str, *, n_train: int, n_test: int, points: int, generator: np.random.Generator
) -> DrawnTasks:
    """Draw `n_train + n_test` tasks with `points` uniform inputs each.

    Args:
        family: key of `FAMILIES`.
        generator: the only source of chance; the same state gives the same tasks.
    """
    chosen, n_tasks = FAMILIES[family], n_train + n_test
    parameters = {
        name: generator.uniform(low, high, size=n_tasks)
        for name, (low, high) in chosen.ranges.items()
    }
    x = generator.uniform(*chosen.bounds, size=(n_tasks, points, 2))
    y = evaluate(family, parameters, x)
    split = np.where(np.arange(n_tasks) < n_train, "train", "test")
    rows = pd.DataFrame(
        {
            "task": np.repeat(np.arange(n_tasks, dtype=np.int32), points),
            "split": np.repeat(split, points),
            "x0": x[..., 0].ravel(),
            "x1": x[..., 1].ravel(),
            "y": y.ravel(),
        }
    )
    return DrawnTasks(rows, parameters)
