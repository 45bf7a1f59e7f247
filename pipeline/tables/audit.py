"""Metric audit: every reading of "nRMSE" we could think of, side by side, on the same test rows.

The paper does not define its nRMSE. Per test task, with e = y - yhat over its n query rows,
m support rows after training on them, sd and range those of the meta-training targets and of
the rating scale (pipeline/runs/metrics.py), the readings are `READINGS`. Each is computed per task
and pooled as in pipeline/tables/pooling.py. Errors on support rows are those after adaptation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.data.sets import SOURCES
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns
from pipeline.tables.pooling import pool

NO_SPREAD = 1e-6  # of the range: a task whose targets spread less has the same target everywhere


@dataclass(frozen=True)
class Measured:
    """What was measured on T test tasks, arrays (T,), and the scales of their seed."""

    n_query: np.ndarray
    query_std: np.ndarray
    rmse: np.ndarray
    relative_l2: np.ndarray
    mae: np.ndarray
    support_rmse: np.ndarray
    n_support: int
    std: float
    range: float

    @property
    def has_spread(self) -> np.ndarray:
        """Tasks (T,) whose query targets are not all the same."""
        return self.query_std > NO_SPREAD * self.range

    @property
    def all_rows_rmse(self) -> np.ndarray:
        """RMSE (T,) over support and query rows together."""
        seen, unseen = self.n_support, self.n_query
        squares = seen * self.support_rmse**2 + unseen * self.rmse**2
        return np.sqrt(squares / (seen + unseen))


@dataclass(frozen=True)
class Reading:
    """One definition of the error of a task: in words, and of T tasks."""

    text: str
    of: Callable[[Measured], np.ndarray]


READINGS = {
    "nrmse": Reading("RMSE / sd (ours)", lambda t: t.rmse / t.std),
    "rmse": Reading("RMSE, rating units", lambda t: t.rmse),
    "rmse_over_range": Reading("RMSE / range", lambda t: t.rmse / t.range),
    "relative_l2": Reading("|e| / |y|", lambda t: t.relative_l2),
    "mae": Reading("MAE, rating units", lambda t: t.mae),
    "rmse_over_own_std": Reading(
        "RMSE / the task's own sd", lambda t: t.rmse[t.has_spread] / t.query_std[t.has_spread]
    ),
    "all_rows_nrmse": Reading(
        "RMSE on support and query rows together / sd", lambda t: t.all_rows_rmse / t.std
    ),
    "seen_rows_nrmse": Reading(
        "RMSE on the support rows alone / sd", lambda t: t.support_rmse / t.std
    ),
    "norm_per_row": Reading("|e| / n, rating units", lambda t: t.rmse / np.sqrt(t.n_query)),
    "norm_per_row_over_std": Reading("|e| / (n sd)", lambda t: t.rmse / np.sqrt(t.n_query) / t.std),
    "norm_per_row_over_range": Reading(
        "|e| / (n range)", lambda t: t.rmse / np.sqrt(t.n_query) / t.range
    ),
    "relative_l2_per_row": Reading("|e| / (n |y|)", lambda t: t.relative_l2 / t.n_query),
    "mse_over_variance": Reading("MSE / sd²", lambda t: (t.rmse / t.std) ** 2),
    "mse_over_range_squared": Reading("MSE / range²", lambda t: (t.rmse / t.range) ** 2),
    "relative_l2_squared": Reading("|e|² / |y|²", lambda t: t.relative_l2**2),
}
AUDIT_COLUMNS = (
    *("setting", "dataset", "simulated", "kind", "label", "step", "n_seeds", "n_tasks"),
    *READINGS,
    *("tasks_without_spread", "target_std", "target_range"),
    *(f"users_at_{least}" for least in (10, 20)),
)


def audit_rows(grid: list[SettingRuns]) -> list[Row]:
    """Rows of `audit.csv`: each predictor of each rating setting at K, trivial ones at step 0.

    `n_tasks` counts those of all seeds. `users_at_10`, `users_at_20`: users with so many ratings
    of the 100 most-rated items; blank where that is not known.
    """
    rated = [runs for runs in grid if runs.dataset in SOURCES]
    return [_row(runs, label) for runs in rated for label in runs.predictors]


def _row(runs: SettingRuns, label: str) -> Row:
    step = runs.horizon_of(label)
    found = {seed: _measured(runs, label, seed, step) for seed in runs.seeds}
    tasks = [measured for measured in found.values() if measured is not None]
    about = [runs.some_run(seed).metrics for seed in runs.seeds]
    row: Row = runs.names | {
        "kind": runs.kind_of(label),
        "label": label,
        "step": step,
        "n_seeds": len(tasks),
        "n_tasks": sum(len(task.rmse) for task in tasks),
        "tasks_without_spread": sum(int((~task.has_spread).sum()) for task in tasks),
        "target_std": _mean([metrics["target_std"] for metrics in about]),
        "target_range": _mean([metrics["target_range"] for metrics in about]),
    }
    source = SOURCES.get(runs.dataset)
    counts = source.users if source else {}
    row |= {f"users_at_{least}": counts.get(least) for least in (10, 20)}
    with np.errstate(over="ignore", invalid="ignore"):  # of a diverged task
        return row | {
            name: pool([reading.of(task) for task in tasks]).mean
            for name, reading in READINGS.items()
        }


def _measured(runs: SettingRuns, label: str, seed: int, step: int) -> Measured | None:
    errors = runs.task_errors(label, seed, step)
    if errors is None:
        return None
    run = runs.some_run(seed)
    columns: dict[str, Any] = {
        name: errors[name].to_numpy(np.float64)
        for name in ("n_query", "query_std", "rmse", "relative_l2", "mae", "support_rmse")
    }
    return Measured(
        **columns,
        n_support=int(run.spec["support"]),
        std=float(run.metrics["target_std"]),
        range=float(run.metrics["target_range"]),
    )


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
