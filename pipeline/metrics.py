"""Errors of test tasks, in raw units: one row per task."""

from collections.abc import Mapping

import numpy as np


def task_errors(
    prediction: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    *,
    target_std: float,
    target_range: float,
) -> Mapping[str, np.ndarray]:
    """The error measures of T tasks on their query rows.

        rmse            sqrt(mean (y - yhat)²), rating units
        nrmse           rmse / standard deviation of the pooled meta-training targets (primary)
        rmse_over_range rmse / range of the targets
        relative_l2     |y - yhat| / |y|
        mae             mean |y - yhat|

    Args:
        prediction, target: (T, M), raw units.
        weight: (T, M), 1 for a row and 0 for padding.
        target_std, target_range: of the meta-training targets or the rating scale.

    Returns:
        Arrays (T,) by name, and `n_query`, the number of rows.
    """
    rows = weight > 0
    error = np.where(rows, prediction - target, 0.0)
    count = rows.sum(1)
    squares = (error**2).sum(1)
    rmse = np.sqrt(squares / count)
    size = np.sqrt((np.where(rows, target, 0.0) ** 2).sum(1))
    return {
        "n_query": count,
        "rmse": rmse,
        "nrmse": rmse / target_std,
        "rmse_over_range": rmse / target_range,
        # a user who rated everything 0 has no relative error
        "relative_l2": np.divide(
            np.sqrt(squares), size, out=np.full_like(size, np.nan), where=size > 0
        ),
        "mae": np.abs(error).sum(1) / count,
    }
