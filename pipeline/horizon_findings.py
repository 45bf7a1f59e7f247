"""What `horizons.csv` and `early_stopping.csv` say, in one sentence."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.comparisons import ALPHA
from pipeline.grid_extras import EARLY
from pipeline.labels import DATASETS, label_title

FEW = 10  # test steps after which a quick start is judged


def horizons_finding(tables: Path) -> str | None:
    """The sentence from the two tables; None where the grid has no long horizons."""
    path, early = (tables / f"{name}.csv" for name in ("horizons", "early_stopping"))
    if not path.is_file():
        return None
    said = horizon_sentence(pd.read_csv(path))
    if said and early.is_file():
        table = pd.read_csv(early)
        said += f"; {early_sentence(table)}" if table["own"].any() else ""
    return f"{said}." if said else None


def horizon_sentence(table: pd.DataFrame) -> str | None:
    """Up to which T longer training pays; early stopping apart, None without a finite error."""
    fixed = table[~table["label"].str.endswith(EARLY) & np.isfinite(table["nrmse"])]
    least = []
    for (dataset, label), line in fixed[fixed["own"]].groupby(["dataset", "label"], sort=False):
        own = line.sort_values("inner_steps")
        best = own.loc[own["nrmse"].idxmin()]
        shown = own[own["horizon"].isin([own["horizon"].iloc[i] for i in (0, -1)])]
        shown = pd.concat([shown, own[own["horizon"] == best["horizon"]]]).drop_duplicates()
        each = ", ".join(
            f"{row.nrmse:.3g} at T = {row.horizon:g}"
            for row in shown.sort_values("inner_steps").itertuples()
        )
        where = f"{DATASETS.get(dataset, dataset)} with {label_title(label)}"
        least.append(f"T = {best['horizon']:g} on {where} ({each})")
    if not least:
        return None
    text = f"The nRMSE at the trained horizon itself is least for {', '.join(least)}"
    steps = sorted(int(step) for step in set(fixed["step"]))
    for step in sorted({min((s for s in steps if s >= FEW), default=steps[-1]), steps[-1]}):
        longest, of = _leads(fixed[fixed["step"] == step])
        text += f"; after {step:,} test steps the longest training leads in {longest} of {of} cases"
    return text


def early_sentence(table: pd.DataFrame) -> str:
    """In how many settings a horizon for each task is better or worse than the fixed one."""
    own = table[table["own"]]
    sure = own["p_holm"] < ALPHA
    better = int((sure & (own["difference"] < 0) & (own["rank_biserial"] < 0)).sum())
    worse = int((sure & (own["difference"] > 0) & (own["rank_biserial"] > 0)).sum())
    return (
        f"a horizon for each task beats the fixed one at the trained horizon in {better} of "
        f"{len(own)} pairs of family and T and loses in {worse}"
    )


def _leads(rows: pd.DataFrame) -> tuple[int, int]:
    """Family and method pairs in which the longest horizon is best, and pairs in all."""
    best = rows[rows["best_horizon"]]
    longest = rows.groupby(["dataset", "label"])["inner_steps"].max()
    leads = best.set_index(["dataset", "label"])["inner_steps"]
    return int((leads == longest.reindex(leads.index)).sum()), len(longest)
