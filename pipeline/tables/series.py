"""Tables of things that run: errors over test steps, training over updates, cost over K."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.measures import Measure, measure_in
from pipeline.config.methods import BUDGET
from pipeline.config.titles import label_order
from pipeline.errors import BadInput
from pipeline.runs import records
from pipeline.runs.records import AVERAGED, kept_updates, thinned
from pipeline.seals import Damaged, read_sealed
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns
from pipeline.tables.main import pooled_errors

COST_COLUMNS = (
    *("label", "device", "inner_steps", "status", "seconds", "peak_bytes"),
    *(f"seconds_over_{BUDGET.name}", f"peak_bytes_over_{BUDGET.name}", "message"),
)


def curve_columns(measure: Measure) -> tuple[str, ...]:
    """Columns of `curves.csv`."""
    error, *others = measure.metrics
    names = ("setting", "kind", "label", "step", "n_seeds", "n")
    return (*names, error, measure.stderr, *others)


def training_columns(measure: Measure) -> tuple[str, ...]:
    """Columns of `training.csv`."""
    return ("setting", "label", "update", "n_seeds", *_training_values(measure))


def _training_values(measure: Measure) -> tuple[str, ...]:
    seconds = ("seconds", "process_seconds")
    return (*AVERAGED, measure.validation, *seconds, *records.FIDELITY)


def curve_rows(grid: list[SettingRuns]) -> list[Row]:
    """Rows of `curves.csv`: pooled errors at each test step; trivial predictors are constant."""
    rows = []
    for runs in grid:
        for label in runs.predictors:
            for step in runs.steps:
                row: Row = {"setting": runs.setting, "kind": runs.kind_of(label)}
                row["label"] = label
                pooled = pooled_errors(runs, label, step, runs.seeds)
                error = pooled[runs.measure.name]
                if not error.n_seeds:
                    continue
                row |= {"step": step, "n_seeds": error.n_seeds, "n": error.n_values}
                row |= {metric: value.mean for metric, value in pooled.items()}
                rows.append(row | {runs.measure.stderr: error.stderr})
    return rows


def training_rows(grid: list[SettingRuns]) -> list[Row]:
    """Rows of `training.csv`: means over the seeds that reached an update, failed runs included.

    Few updates are kept (pipeline/runs/records.py). Loss and gradient norm are means over the
    updates since the row before, because those of one meta-batch are mostly noise; validation,
    fidelity and seconds are those of the update itself.
    """
    rows = []
    for runs in grid:
        values = _training_values(runs.measure)
        sparse = {runs.measure.validation, *records.FIDELITY}
        for label in runs.labels:
            curves = [run.curve for run in runs.runs[label].values()]
            keep = kept_updates(curves)
            thin = [thinned(curve, keep) for curve in curves]
            by_update = [
                dict(zip(frame["update"], frame.to_dict("records"), strict=True)) for frame in thin
            ]
            for update in keep:
                here = [rows_of[update] for rows_of in by_update if update in rows_of]
                row: Row = {"setting": runs.setting, "label": label, "update": update}
                row |= {"n_seeds": len(here)}
                rows.append(
                    row | {v: _mean_over_seeds(v, [r[v] for r in here], sparse) for v in values}
                )
    return rows


def cost_rows(results_dir: Path, methods: list[str]) -> list[Row]:
    """Rows of `costs.csv`: seconds and bytes per meta-update, and their ratio to the budget's.

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
    budget = [row for row in rows if row["label"] == BUDGET.name]
    bases = {(row["device"], row["inner_steps"]): row for row in budget}
    for row in rows:
        base = bases.get((row["device"], row["inner_steps"]), {})
        for what in ("seconds", "peak_bytes"):
            if row[what] and base.get(what):
                row[f"{what}_over_{BUDGET.name}"] = float(row[what] / base[what])
    return rows


def _profile(results_dir: Path, label: str) -> dict[str, Any] | None:
    path = results_dir / "profile" / f"{label}.json"
    if not path.is_file():
        return None
    try:
        profile = read_sealed(path)
        for entry in profile["entries"]:
            _entry(entry)
    except Damaged:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"{path}: unreadable cost profile ({error!r}); needed what `profile-cost` wrote. "
            "Delete the file and run `snakemake` again."
        ) from error
    return dict(profile)


def _entry(entry: dict[str, Any]) -> Row:
    wanted = ("inner_steps", "status", "seconds", "peak_bytes")
    return {key: entry[key] for key in wanted} | {"message": entry.get("message")}


def _mean_over_seeds(name: str, values: list[float], sparse: Collection[str]) -> float:
    """Mean over those that have one; where nothing may be missing, NaN is divergence and stays."""
    if name in sparse:
        values = [value for value in values if not np.isnan(value)]
    return float(np.mean(values)) if values else float("nan")


# What the fidelity ledger of training says: rows of `training.csv` that have entries.

MEASURES = ("cosine", "relative_error")


def ledger_entries(training: pd.DataFrame) -> pd.DataFrame:
    """Rows of `training.csv` with an entry in the ledger, in their order."""
    return training[training[list(MEASURES)].notna().any(axis=1)]


def fidelity_points(training: pd.DataFrame, main: pd.DataFrame) -> pd.DataFrame:
    """One row per setting and method: its fidelity late in training, and its test error.

    Fidelity is that of the last update at which every method of the setting has an entry. Those
    without a finite test error are left out.

    Args:
        training, main: the tables `training.csv` and `main.csv`.

    Returns:
        Columns setting, dataset, label, update, cosine, relative_error, the primary error, and
        ratio: that over the lowest of the setting's methods.
    """
    entries = ledger_entries(training)
    error = measure_in(main.columns).name
    methods = main[(main["kind"] == "method") & main[error].notna()]
    frames = []
    for setting, rows in methods.groupby("setting", sort=False):
        own = entries[(entries["setting"] == setting) & entries["label"].isin(rows["label"])]
        updates = [set(line["update"]) for _, line in own.groupby("label")]
        common = set.intersection(*updates) if updates else set()
        if not common:
            continue
        last = own.loc[own["update"] == max(common), ["label", "update", *MEASURES]]
        points = rows[["setting", "dataset", "label", error]].merge(last, on="label")
        frames.append(points.assign(ratio=points[error] / points[error].min()))
    columns = ["setting", "dataset", "label", "update", *MEASURES, error, "ratio"]
    return pd.concat(frames)[columns] if frames else pd.DataFrame(columns=columns)
