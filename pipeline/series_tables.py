"""Tables of things that run: errors over test steps, training over updates, cost over K."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import records
from pipeline.errors import BadInput
from pipeline.files import read_json
from pipeline.labels import UNTRAINED, label_order
from pipeline.main_table import Row, kind_of, pooled_errors
from pipeline.run_grid import SettingRuns

MAX_ROWS = 100  # of training.csv, per setting and method
CURVE_COLUMNS = (
    *("setting", "kind", "label", "step", "n_seeds", "n", "nrmse", "nrmse_stderr"),
    *records.METRICS[1:],
)
_AVERAGED = ("meta_loss", "gradient_norm")
_SPARSE = ("validation_nrmse", *records.FIDELITY)  # missing where not measured
TRAINING_VALUES = (*_AVERAGED, "validation_nrmse", "seconds", "process_seconds", *records.FIDELITY)
TRAINING_COLUMNS = ("setting", "label", "update", "n_seeds", *TRAINING_VALUES)
COST_COLUMNS = (
    *("label", "device", "inner_steps", "status", "seconds", "peak_bytes"),
    *("seconds_over_fomaml", "peak_bytes_over_fomaml", "message"),
)


def curve_rows(grid: list[SettingRuns]) -> list[Row]:
    """Rows of `curves.csv`: pooled errors at each test step; trivial predictors are constant."""
    rows = []
    for runs in grid:
        for label in (*runs.labels, UNTRAINED, *runs.trivial):
            for step in runs.steps:
                row: Row = {"setting": runs.setting, "kind": kind_of(runs, label), "label": label}
                pooled = pooled_errors(runs, label, step, runs.seeds)
                nrmse = pooled["nrmse"]
                if not nrmse.n_seeds:
                    continue
                row |= {"step": step, "n_seeds": nrmse.n_seeds, "n": nrmse.n_values}
                row |= {metric: value.mean for metric, value in pooled.items()}
                rows.append(row | {"nrmse_stderr": nrmse.stderr})
    return rows


def training_rows(grid: list[SettingRuns]) -> list[Row]:
    """Rows of `training.csv`: means over the seeds that reached an update, failed runs included.

    At most `MAX_ROWS` updates are kept. Loss and gradient norm are means over the updates since
    the row before, because those of one meta-batch are mostly noise; validation, fidelity and
    seconds are those of the update itself.
    """
    rows = []
    for runs in grid:
        for label in runs.labels:
            curves = [run.curve for run in runs.runs[label].values()]
            keep = kept_updates(curves)
            binned = [_binned(curve, keep) for curve in curves]
            for update in keep:
                here = [frame[update] for frame in binned if update in frame]
                row: Row = {"setting": runs.setting, "label": label, "update": update}
                row |= {"n_seeds": len(here)}
                rows.append(
                    row | {v: _mean_over_seeds(v, [r[v] for r in here]) for v in TRAINING_VALUES}
                )
    return rows


def kept_updates(curves: list[pd.DataFrame], limit: int = MAX_ROWS) -> list[int]:
    """Updates to show: validated ones (at most half the rows) and those with an entry in the
    fidelity ledger (at most a quarter), the rest evenly spaced.
    """
    every = pd.concat(curves)
    updates = np.unique(every["update"].to_numpy(np.int64))
    if len(updates) <= limit:
        return [int(update) for update in updates]
    chosen = np.union1d(
        _spaced(_measured(every, ["validation_nrmse"]), limit // 2),
        _spaced(_measured(every, list(records.FIDELITY)), limit // 4),
    )
    filler = _spaced(updates, limit - len(chosen))
    return [int(update) for update in np.union1d(chosen, filler)]


def cost_rows(results_dir: Path, methods: list[str]) -> list[Row]:
    """Rows of `costs.csv`: seconds and bytes per meta-update, and their ratio to FOMAML's.

    Raises:
        BadInput: when a profile is there and cannot be read.
    """
    profiles = {label: _profile(results_dir, label) for label in sorted(methods, key=label_order)}
    rows: list[Row] = [
        {"label": label, "device": profile.get("device")} | _entry(entry)
        for label, profile in profiles.items()
        if profile is not None
        for entry in sorted(profile["entries"], key=lambda entry: entry["inner_steps"])
    ]
    fomaml = {(row["device"], row["inner_steps"]): row for row in rows if row["label"] == "fomaml"}
    for row in rows:
        base = fomaml.get((row["device"], row["inner_steps"]), {})
        for what in ("seconds", "peak_bytes"):
            if row[what] and base.get(what):
                row[f"{what}_over_fomaml"] = float(row[what] / base[what])
    return rows


def _profile(results_dir: Path, label: str) -> dict[str, Any] | None:
    path = results_dir / "profile" / f"{label}.json"
    if not path.is_file():
        return None
    try:
        profile = read_json(path)
        for entry in profile["entries"]:
            _entry(entry)
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path}: unreadable cost profile ({error!r}); needed what `profile-cost` wrote. "
            "Delete the file and run `snakemake` again."
        ) from error
    return dict(profile)


def _entry(entry: dict[str, Any]) -> Row:
    wanted = ("inner_steps", "status", "seconds", "peak_bytes")
    return {key: entry[key] for key in wanted} | {"message": entry.get("message")}


def _binned(curve: pd.DataFrame, keep: list[int]) -> dict[int, dict[str, float]]:
    """Values at the kept updates, loss and gradient norm averaged since the kept one before."""
    ordered = curve.sort_values("update")
    updates = ordered["update"].to_numpy(np.int64)
    values = {name: ordered[name].to_numpy(np.float64) for name in TRAINING_VALUES}
    binned = {}
    for before, update in pairwise([0, *keep]):
        since, here = (updates > before) & (updates <= update), updates == update
        if here.any():
            binned[update] = {
                name: float(column[since if name in _AVERAGED else here].mean())
                for name, column in values.items()
            }
    return binned


def _measured(curves: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Updates at which any of the values is there."""
    there = curves[names].notna().any(axis=1)
    return np.unique(curves.loc[there, "update"].to_numpy(np.int64))


def _spaced(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the sorted values, evenly spaced, the first and the last among them."""
    if len(values) <= count:
        return values
    return values[np.unique(np.linspace(0, len(values) - 1, count).round().astype(int))]


def _mean_over_seeds(name: str, values: list[float]) -> float:
    """Mean over those that have one; where nothing may be missing, NaN is divergence and stays."""
    if name in _SPARSE:
        values = [value for value in values if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")
