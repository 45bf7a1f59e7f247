"""`choices.csv`: which value of a method its validation tasks choose, and what that comes to.

In a setting, a method and those that vary a value of it (pipeline/config/variants.py) are
candidates. Chosen is the one whose validation error at K, after the last meta-update and as a
mean over seeds, is least, among those that finished in every seed. Test errors choose nothing:
they stand beside it. Validation tasks are tasks of meta-training that no run trains on.
"""

import math

import numpy as np

from pipeline.config.measures import Measure
from pipeline.config.variants import variant_of
from pipeline.runs.records import validation_error
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns, is_failed
from pipeline.tables.main import pooled_error


def choice_columns(measure: Measure) -> tuple[str, ...]:
    """Columns of `choices.csv`."""
    return (
        *("grid", "setting", "dataset", "inner_steps", "base", "label"),
        *("outer_lr", "meta_batch", "omega", "meta_updates", "n_seeds", "n_failed"),
        *(measure.validation, "validation_stderr", "chosen", measure.name, measure.stderr),
    )


def choice_rows(grid: str, runs: list[SettingRuns]) -> list[Row]:
    """Rows of `choices.csv` in canonical order; [] where no method has two candidates."""
    rows = []
    for of in runs:
        for method in of.labels:
            candidates = [method, *(label for label in of.labels if _varies(label, method))]
            if len(candidates) > 1:
                found = [_row(grid, of, method, label) for label in candidates]
                _mark_chosen(found, of.measure)
                rows += found
    return rows


def _varies(label: str, method: str) -> bool:
    variant = variant_of(label)
    return (
        variant is not None
        and variant.base == method
        and bool(variant.varied)
        and not variant.stops_early
    )


def _row(grid: str, of: SettingRuns, method: str, label: str) -> Row:
    by_seed = list(of.runs[label].values())
    done = [run for run in by_seed if not is_failed(run)]
    spec = by_seed[0].spec
    training = spec.get("training", {})
    validated = np.array([validation_error(run) for run in done])
    test = pooled_error(of, label, of.inner_steps, of.seeds)
    return {
        "grid": grid,
        "setting": of.setting,
        "dataset": of.dataset,
        "inner_steps": of.inner_steps,
        "base": method,
        "label": label,
        "outer_lr": training.get("outer_lr"),
        "meta_batch": training.get("meta_batch"),
        "omega": spec.get("settings", {}).get("omega"),
        "meta_updates": training.get("meta_updates"),
        "n_seeds": len(done),
        "n_failed": len(by_seed) - len(done),
        of.measure.validation: float(validated.mean()) if len(done) else math.nan,
        "validation_stderr": _stderr(validated),
        "chosen": False,
        of.measure.name: test.mean,
        of.measure.stderr: test.stderr,
    }


def _stderr(values: np.ndarray) -> float | None:
    """Of the mean over seeds; None for one."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None


def _mark_chosen(candidates: list[Row], measure: Measure) -> None:
    whole = [row for row in candidates if not row["n_failed"]]
    if whole:
        min(whole, key=lambda row: row[measure.validation])["chosen"] = True
