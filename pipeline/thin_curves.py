"""A training curve at the updates that are shown: what tables, MLflow and evidence are made of.

Thinning twice is thinning once: evidence keeps thinned curves, and tables made of them come out
the same.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd

from pipeline.records import FIDELITY

MAX_ROWS = 100  # of a thinned curve
AVERAGED = ("meta_loss", "gradient_norm")  # since the row before: of one meta-batch mostly noise


def kept_updates(curves: Sequence[pd.DataFrame], limit: int = MAX_ROWS) -> list[int]:
    """Updates to show: validated ones (at most half the rows) and those with an entry in the
    fidelity ledger (at most a quarter), the rest evenly spaced.
    """
    every = pd.concat(curves)
    updates = np.unique(every["update"].to_numpy(np.int64))
    if len(updates) <= limit:
        return [int(update) for update in updates]
    chosen = np.union1d(
        _spaced(_measured(every, ["validation_nrmse"]), limit // 2),
        _spaced(_measured(every, list(FIDELITY)), limit // 4),
    )
    filler = _spaced(updates, limit - len(chosen))
    return [int(update) for update in np.union1d(chosen, filler)]


def thinned(curve: pd.DataFrame, keep: Sequence[int]) -> pd.DataFrame:
    """The rows at the kept updates, `AVERAGED` columns as means since the kept one before."""
    ordered = curve.sort_values("update")
    updates = ordered["update"].to_numpy(np.int64)
    rows = ordered[np.isin(updates, keep)].copy()
    for name in AVERAGED:
        values = ordered[name].to_numpy(np.float64)
        means = {
            update: float(values[(updates > before) & (updates <= update)].mean())
            for before, update in pairwise([0, *keep])
            if (updates == update).any()
        }
        rows[name] = rows["update"].map(means)
    return rows.reset_index(drop=True)


def _measured(curves: pd.DataFrame, names: list[str]) -> np.ndarray:
    """Updates at which any of the values is there."""
    there = curves[names].notna().any(axis=1)
    return np.unique(curves.loc[there, "update"].to_numpy(np.int64))


def _spaced(values: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of the sorted values, evenly spaced, the first and the last among them."""
    if len(values) <= count:
        return values
    return values[np.unique(np.linspace(0, len(values) - 1, count).round().astype(int))]
