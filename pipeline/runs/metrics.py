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


def log_probabilities(outputs: np.ndarray) -> np.ndarray:
    """ln p (..., C) of log odds: (...) of the second of two classes, or (..., C) of each."""
    if outputs.ndim == 2:
        outputs = np.stack([np.zeros_like(outputs), outputs], axis=-1)
    found: np.ndarray = outputs - np.logaddexp.reduce(outputs, axis=-1, keepdims=True)
    return found


BINS = 10  # of confidence


def class_errors(
    log_p: np.ndarray, target: np.ndarray, weight: np.ndarray
) -> dict[str, np.ndarray]:
    """What is measured on T tasks' query rows of classes, float32.

        n_query      number of rows
        log_loss     mean of -ln p(true class), nats (primary)
        accuracy     share of rows whose most probable class, the first of equals, is the true one
        brier        mean of sum_c (p_c - [c is true])²
        calibration  expected calibration error: rows in 10 bins of equal width by the largest p,
                     sum over bins of share x |accuracy - mean of the largest p|

    The error of calibration is Naeini, Cooper, Hauskrecht's (AAAI 2015). Few rows make it large.

    Args:
        log_p: (T, M, C), log probabilities.
        target: (T, M), numbers of classes.
        weight: (T, M), 1 for a row and 0 for padding.

    Returns:
        Arrays (T,) by name.
    """
    rows = weight > 0
    count = rows.sum(1)
    true = target.astype(np.int64)
    p = np.exp(log_p)
    hit = log_p.argmax(2) == true
    of_true = np.take_along_axis(log_p, true[..., None], 2)[..., 0]
    squares = ((p - np.eye(log_p.shape[2])[true]) ** 2).sum(2)
    measured = {
        "log_loss": -np.where(rows, of_true, 0.0).sum(1) / count,
        "accuracy": (hit & rows).sum(1) / count,
        "brier": np.where(rows, squares, 0.0).sum(1) / count,
        "calibration": _calibration(p.max(2), hit, rows),
    }
    with np.errstate(over="ignore"):  # an error beyond float32 is an infinite one
        return {"n_query": count} | {n: values.astype(np.float32) for n, values in measured.items()}


def _calibration(confidence: np.ndarray, hit: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """sum over bins of |hits - sum of confidences| / rows, (T,)."""
    place = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    gap = np.zeros(len(rows))
    for k in range(BINS):
        inside = rows & (place == k)
        gap += np.abs(np.where(inside, hit - confidence, 0.0).sum(1))
    return gap / rows.sum(1)


def support_log_loss(log_p: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Log loss (T,) on the rows a task was trained on, float32; shapes as for `class_errors`."""
    return class_errors(log_p, target, weight)["log_loss"]


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
