"""Whether test rows are those that a run's metrics tell of.

Files of one record may come from several: a kill between two of them, a checkout or a copy of one
alone. Each can be read, and together they would show numbers of no run.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.measures import NUMBERS, measure_in

ROUNDING = 1e-5  # relative to the mean: sums of float32 in another order differ by 1e-7
NEEDED = ("status", "inner_steps", "n_test_tasks")
SCALES = ("target_std", "target_range")
SHARED = ("label", "setting", "seed", "inner_steps")  # with the recipe
WHERE = ("predictor", "step", "task", "n_query")  # of each row
# By name: a frame, or its columns alone, since every start of Snakemake looks here.
Rows = pd.DataFrame | Mapping[str, np.ndarray]
OF_TASK = ("n_query", "target_norm", "query_std")  # whatever is predicted


def run_fault(spec: Any, metrics: Any, rows: Rows) -> str | None:
    """What of a run's test rows its recipe and metrics say otherwise; None where they agree.

    A failed run may lack any step: it diverged.
    """
    if fault := _fault_of_metrics(spec, metrics) or _holes(rows):
        return fault
    step = np.asarray(rows["step"])
    steps = {int(found) for found in np.unique(step)}
    wanted = {*_steps(spec.get("evaluation")), metrics["inner_steps"]}
    if metrics["status"] == "ok" and (missing := sorted(wanted - steps)):
        return f"no rows at step {missing[0]}"
    if fault := _ragged(rows, metrics["n_test_tasks"]):
        return fault
    measure = measure_in(metrics)
    errors = np.asarray(rows[measure.name])[step == metrics["inner_steps"]].astype(np.float64)
    mean = _finite(errors.mean()) if len(errors) else None
    found = {measure.name: mean}
    if measure.stderr in metrics:
        stderr = errors.std(ddof=1) / len(errors) ** 0.5 if len(errors) > 1 else None
        found[measure.stderr] = _finite(stderr)
    for name, value in found.items():
        if not _same(value, metrics[name], scale=mean):
            return f"rows whose {name} is {_text(value)} where metrics say {_text(metrics[name])}"
    return None


def reference_fault(metrics: Any, rows: Rows, run_rows: Rows) -> str | None:
    """The same of reference rows, which have to be on the test tasks of a run of their seed."""
    if fault := _fault_of_metrics({}, metrics) or _holes(rows):
        return fault
    if not len(rows["task"]):
        return "no rows of the untrained start and the trivial predictors"
    if fault := _ragged(rows, metrics["n_test_tasks"]):
        return fault
    (ours, a), (theirs, b) = (_of_tasks(part) for part in (rows, run_rows))
    both, at, there = np.intersect1d(ours, theirs, return_indices=True)
    alike = np.isclose(a[at], b[there], rtol=ROUNDING, equal_nan=True).all(axis=1)
    return None if alike.all() else f"another test task {both[~alike][0]} than a run of its seed"


def _of_tasks(rows: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Tasks in ascending order, and what is the same in all rows of each: (T,), (T, 3)."""
    tasks, first = np.unique(np.asarray(rows["task"]), return_index=True)
    names = [name for name in OF_TASK if name in rows]
    columns = [np.asarray(rows[name], np.float64)[first] for name in names]
    return tasks, np.column_stack(columns)


def scales_fault(metrics: Any) -> str | None:
    """Of the numbers by which errors follow from those that evidence keeps."""
    for name in SCALES if measure_in(metrics) is NUMBERS else ():
        value = metrics.get(name)
        if not (_number(value) and 0 < value < np.inf):
            return f"metrics whose {name} is {_text(value)}"
    return None


def are_objects(*values: Any) -> bool:
    """Whether all are what a JSON object gives."""
    return all(isinstance(value, dict) for value in values)


def _fault_of_metrics(spec: Any, metrics: Any) -> str | None:
    if not are_objects(spec, metrics):
        return "a recipe or metrics that are no JSON objects"
    if missing := [name for name in (*NEEDED, measure_in(metrics).name) if name not in metrics]:
        return f"metrics without {', '.join(missing)}"
    if type(metrics["inner_steps"]) is not int:
        return f"metrics whose inner_steps is {metrics['inner_steps']!r}"
    for name in SHARED:
        if name in spec and name in metrics and spec[name] != metrics[name]:
            return f"metrics of {name} {metrics[name]!r} beside a recipe of {spec[name]!r}"
    return None


def _holes(rows: Rows) -> str | None:
    lost = [name for name in WHERE if name not in rows or pd.isna(np.asarray(rows[name])).any()]
    return f"rows without {lost[0]}" if lost else None


def _steps(evaluation: Any) -> list[int]:
    steps = evaluation.get("steps") if are_objects(evaluation) else None
    return [step for step in steps if type(step) is int] if isinstance(steps, list) else []


def _ragged(rows: Rows, n_tasks: int) -> str | None:
    """Steps of a predictor without one row for each of the test tasks, the same at all steps."""
    codes, names = pd.factorize(np.asarray(rows["predictor"], object))
    step, task = np.asarray(rows["step"]), np.asarray(rows["task"])
    order = np.lexsort((task, step, codes))  # once for all
    codes, step, task = codes[order], step[order], task[order]
    begins = np.r_[True, (codes[1:] != codes[:-1]) | (step[1:] != step[:-1])][: len(task)]
    starts = np.flatnonzero(begins)
    every = np.unique(task)
    for first, count in zip(starts, np.diff(np.r_[starts, len(task)]), strict=True):
        if count != n_tasks or not np.array_equal(task[first : first + count], every):
            return (
                f"`{names[codes[first]]}` at step {step[first]} without one row for each of "
                f"{n_tasks} test tasks"
            )
    return None


def _same(a: float | None, b: Any, scale: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return _number(b) and bool(abs(a - b) <= ROUNDING * abs(scale or a))


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None


def _text(value: Any) -> str:
    return f"{value:.9g}" if _number(value) else "undefined" if value is None else repr(value)
