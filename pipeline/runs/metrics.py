"""Errors of test tasks, in raw units: one row per task."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def task_errors(
    prediction: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    *,
    target_std: float,
    target_range: float,
) -> dict[str, np.ndarray]:
    """What is measured on T tasks' query rows, in the float32 that records hold.

        n_query         number of rows
        target_norm     |y|, rating units
        query_std       standard deviation of y (divisor n), rating units
        rmse            sqrt(mean (y - yhat)²), rating units
        mae             mean |y - yhat|, rating units

    and what follows from these, see `derived_errors`.

    Args:
        prediction, target: (T, M), raw units.
        weight: (T, M), 1 for a row and 0 for padding.
        target_std, target_range: of the meta-training targets or the rating scale.

    Returns:
        Arrays (T,) by name.
    """
    rows = weight > 0
    error = np.where(rows, prediction - target, 0.0)
    count = rows.sum(1)
    y = np.where(rows, target, 0.0)
    around = np.where(rows, y - (y.sum(1) / count)[:, None], 0.0)
    measured = {
        "target_norm": np.sqrt((y**2).sum(1)),
        "query_std": np.sqrt((around**2).sum(1) / count),
        "rmse": np.sqrt((error**2).sum(1) / count),
        "mae": np.abs(error).sum(1) / count,
    }
    with np.errstate(over="ignore"):  # an error beyond float32 is an infinite one
        single = {name: values.astype(np.float32) for name, values in measured.items()}
    found = {"n_query": count, **single}
    return found | derived_errors(found, target_std=target_std, target_range=target_range)


def derived_errors(
    measured: Mapping[str, Any], *, target_std: float, target_range: float
) -> dict[str, np.ndarray]:
    """The error measures that follow from `rmse`, `n_query` and `target_norm` of T tasks.

        nrmse           rmse / standard deviation of the pooled meta-training targets (primary)
        rmse_over_range rmse / range of the targets
        relative_l2     |y - yhat| / |y|; NaN where all of y is 0

    From the float32 values, so that evidence (pipeline/runs/evidence.py), which keeps only those,
    gives the same numbers to the last bit.
    """
    rmse = np.asarray(measured["rmse"], dtype=np.float64)
    size = np.asarray(measured["target_norm"], dtype=np.float64)
    distance = rmse * np.sqrt(np.asarray(measured["n_query"], dtype=np.float64))
    derived = {
        "nrmse": rmse / target_std,
        "rmse_over_range": rmse / target_range,
        # a user who rated everything 0 has no relative error
        "relative_l2": np.divide(distance, size, out=np.full_like(size, np.nan), where=size > 0),
    }
    with np.errstate(over="ignore"):
        return {name: values.astype(np.float32) for name, values in derived.items()}


def support_rmse(prediction: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """RMSE (T,) on the rows a task was trained on, rating units, float32; shapes (T, N)."""
    squares = np.where(weight > 0, prediction - target, 0.0) ** 2
    with np.errstate(over="ignore"):
        return np.sqrt(squares.sum(1) / (weight > 0).sum(1)).astype(np.float32)
