"""`equal_cost.csv`: errors of synthetic settings against what training had cost by then.

Validation nRMSE is that of the update itself, mean over seeds: its running best would select.
Costs are cumulative, mean over the same seeds:

    process_seconds        CPU seconds of training (pipeline/runs/records.py)
    gradients, hvps        evaluations for the whole meta-batch; the Hessian-vector products
                           that autograd takes on its way back through unrolled steps, one per
                           step, are among the `hvps`
    gradient_equivalents   gradients + 2 hvps: a Hessian-vector product is a forward and a
                           backward pass through a gradient, the work of about two

The last row of a method also holds its test nRMSE at K and the peak memory of a meta-update,
from the cost profile at the steps that it takes at K (`cost_steps`; capped MAML unrolls fewer).
Between profiled steps the peak is interpolated linearly. Runs that failed are left out.

Seconds are comparable within one machine only: methods of a setting that ran on another one
(column `machine`) than the method whose cost is the budget (its card says so), or than most where
it is not, have none.
"""

from collections import Counter
from collections.abc import Mapping

import numpy as np
import pandas as pd

from pipeline.config.methods import BUDGET, METHODS
from pipeline.config.titles import label_order
from pipeline.data.families import FAMILIES
from pipeline.runs.records import RunRecord, kept_updates
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns, is_failed
from pipeline.tables.main import machine_of, pooled_error

REFERENCE = BUDGET.name  # its whole training is the budget at which errors are compared
HVP_GRADIENTS = 2  # gradient evaluations that one Hessian-vector product counts as
SECONDS = ("seconds", "process_seconds")
COSTS = (*SECONDS, "gradients", "hvps")
EQUAL_COST_COLUMNS = (
    *("grid", "setting", "dataset", "inner_steps", "label", "update", "n_seeds"),
    *("validation_nrmse", *COSTS, "gradient_equivalents"),
    *("test_nrmse", "test_nrmse_stderr", "cost_steps", "peak_bytes", "machine"),
)


def equal_cost_rows(
    name: str, grid: list[SettingRuns], costs: list[Row], companions: Mapping[str, pd.DataFrame]
) -> list[Row]:
    """Rows of `equal_cost.csv` in canonical order.

    Args:
        name: of the grid.
        costs: rows of `costs.csv`.
        companions: `equal_cost.csv` of companion grids: of the same settings and K, methods that
            this grid lacks are taken over if they trained for as many meta-updates.
    """
    rows = []
    for runs in grid:
        if runs.dataset not in FAMILIES:
            continue
        own = [row for label in runs.labels for row in _label_rows(name, runs, label, costs)]
        updates = max((row["update"] for row in own), default=0)
        for companion, table in companions.items():
            taken = _taken_over(companion, table, runs, updates)
            there = {row["label"] for row in own}
            own += [row for row in taken if row["label"] not in there]
        _drop_other_seconds(own)
        rows += sorted(own, key=lambda row: (label_order(row["label"]), row["update"]))
    return rows


def peak_at(costs: list[Row], label: str, steps: int) -> float:
    """Peak bytes of a label's meta-update at some inner steps, interpolated; NaN outside."""
    points = sorted(
        (row["inner_steps"], row["peak_bytes"])
        for row in costs
        if row["label"] == label and row["status"] == "ok" and row["peak_bytes"] is not None
    )
    if not points:
        return float("nan")
    places, peaks = zip(*points, strict=True)
    return float(np.interp(steps, places, peaks, left=np.nan, right=np.nan))


def reference_machine(machines: Mapping[str, str]) -> str | None:
    """That of `REFERENCE`, or of most labels; of equally many, the first in the alphabet's order.

    Args:
        machines: of each label.
    """
    if REFERENCE in machines:
        return machines[REFERENCE]
    counted = Counter(machines.values())
    return min(counted, key=lambda machine: (-counted[machine], machine), default=None)


def _drop_other_seconds(rows: list[Row]) -> None:
    kept = reference_machine({row["label"]: row["machine"] for row in rows})
    for row in rows:
        if row["machine"] != kept:
            row |= dict.fromkeys(SECONDS)


def _label_rows(name: str, runs: SettingRuns, label: str, costs: list[Row]) -> list[Row]:
    by_seed = runs.runs[label]
    done = [run for run in by_seed.values() if not is_failed(run)]
    if not done:
        return []
    keep = kept_updates([run.curve for run in by_seed.values()])
    measured = [_validated(run).reindex(keep).dropna(subset="validation_nrmse") for run in done]
    machine = "; ".join(sorted({machine_of(run.metrics) for run in done}))
    rows = []
    for update in sorted({int(update) for curve in measured for update in curve.index}):
        here = [curve.loc[update] for curve in measured if update in curve.index]
        row: Row = {
            "grid": name,
            "setting": runs.setting,
            "dataset": runs.dataset,
            "inner_steps": runs.inner_steps,
            "label": label,
            "update": update,
            "n_seeds": len(here),
            "machine": machine,
        }
        for column in ("validation_nrmse", *COSTS):
            row[column] = float(np.mean([values[column] for values in here]))
        row["gradient_equivalents"] = row["gradients"] + HVP_GRADIENTS * row["hvps"]
        rows.append(row)
    if rows:
        nrmse = pooled_error(runs, label, runs.inner_steps, runs.seeds)
        steps = _steps(done[0], runs.inner_steps)
        rows[-1] |= {
            "test_nrmse": nrmse.mean,
            "test_nrmse_stderr": nrmse.stderr,
            "cost_steps": steps,
            "peak_bytes": peak_at(costs, label, steps),
        }
    return rows


def _validated(run: RunRecord) -> pd.DataFrame:
    """The curve by update, autograd's own Hessian-vector products put in."""
    curve = run.curve.set_index("update")[["validation_nrmse", *COSTS]].astype(float)
    if (card := METHODS.get(run.spec["method"])) and card.unrolled:
        steps = int(run.spec.get("settings", {}).get("inner_steps", 1))
        curve["hvps"] += steps * curve.index.to_numpy(float)
    return curve


def _steps(run: RunRecord, inner_steps: int) -> int:
    """Inner steps at which the profile has a run's meta-update: K, or what it is capped to."""
    card = METHODS.get(run.spec["method"])
    if card is None or not card.capped:
        return inner_steps
    return int(run.spec.get("settings", {}).get("inner_steps", inner_steps))


def _taken_over(companion: str, table: pd.DataFrame, runs: SettingRuns, updates: int) -> list[Row]:
    """A companion's own rows of a setting whose methods trained for `updates` meta-updates."""
    same = (table["setting"] == runs.setting) & (table["inner_steps"] == runs.inner_steps)
    rows = table[same & (table["grid"] == companion)]
    as_long = rows.groupby("label")["update"].transform("max") == updates
    return [
        {str(key): None if pd.isna(value) else value for key, value in row.items()}
        for row in rows[as_long].to_dict("records")
    ]
