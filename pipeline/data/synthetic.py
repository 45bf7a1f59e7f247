"""Tasks of a synthetic family: a task is one function and points drawn on it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.data.families import FAMILIES

Parameters = Mapping[str, Any]  # one number, or one array of shape (tasks,), per name


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
