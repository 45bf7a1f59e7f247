"""Records whose errors are laid down, so that each claim can be made to hold or to fail.

By default every claim holds: A-MAML on either solver and the anytime objective lead at each
step, iMAML follows, then MAML, then FOMAML and Reptile; all beat the trivial predictors.
"""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.comparisons import Comparisons
from pipeline.run_grid import read_grid
from tests import run_records

METHODS = (
    *("maml", "maml1", "fomaml", "reptile", "imaml"),
    *("amaml", "amaml_anytime", "amaml_rkc"),
)
COSMIXTURE, ALPINE = "cosmixture-50shot-50val", "alpine-50shot-50val"
JESTER, SIMULATED = "jester-1-10shot-15val-50steps", "simulated-10shot-15val-50steps"
SETTINGS = (COSMIXTURE, ALPINE, JESTER)
SEEDS = (0, 1)
STEPS = (0, 1, 10, 50)
K = 10
LEVELS = {
    **{"amaml": 0.30, "amaml_anytime": 0.30, "amaml_rkc": 0.30, "imaml": 0.34},
    **{"maml": 0.38, "maml1": 0.42, "fomaml": 0.45, "reptile": 0.45, "untrained": 0.8},
    **{"item_user_offset": 0.6, "item_mean": 0.7, "support_mean": 0.9, "global_mean": 1.0},
}
Level = Callable[[str, str, int], float]


def by_default(label: str, setting: str, step: int) -> float:
    """Mean error of a predictor."""
    return LEVELS[label]


def write(
    root: Path,
    level: Level = by_default,
    *,
    methods: Sequence[str] = METHODS,
    settings: Sequence[str] = SETTINGS,
    seeds: Sequence[int] = SEEDS,
    failed: Collection[tuple[str, str, int]] = (),
    n_tasks: int = 20,
) -> Path:
    """Write runs whose errors are `level` times a task's hardness, give or take one percent."""
    for setting in settings:
        ratings = run_records.dataset_of(setting) not in ("cosmixture", "alpine")
        trivial = ("item_mean", "item_user_offset") if ratings else ("support_mean",)
        for seed in seeds:
            draw = np.random.default_rng([seed, len(setting)])
            hardness = np.exp(0.2 * draw.standard_normal(n_tasks))
            places = [("untrained", step) for step in STEPS]
            places += [(name, 0) for name in ("global_mean", *trivial)]
            shared = [
                run_records.task_rows(name, step, level(name, setting, step) * hardness)
                for name, step in places
            ]
            for label in methods:
                rows = list(shared)
                gone = (label, setting, seed) in failed
                for step in () if gone else STEPS:
                    noise = np.random.default_rng([seed, step, *label.encode()])
                    factor = 1 + 0.01 * noise.standard_normal(n_tasks)
                    errors = level(label, setting, step) * hardness * factor
                    rows.append(run_records.task_rows("meta_init", step, errors))
                run_records.write_one(
                    *(root, label, setting, seed),
                    rows=pd.concat(rows, ignore_index=True),
                    failed=gone,
                    inner_steps=K,
                    updates=4,
                )
    return root


def compared(
    root: Path,
    level: Level = by_default,
    *,
    methods: Sequence[str] = METHODS,
    settings: Sequence[str] = SETTINGS,
    seeds: Sequence[int] = SEEDS,
    failed: Collection[tuple[str, str, int]] = (),
    n_tasks: int = 20,
) -> list[Comparisons]:
    """Write such runs and compare them."""
    which = {"methods": methods, "settings": settings, "seeds": seeds}
    write(root, level, **which, failed=failed, n_tasks=n_tasks)
    grid = read_grid(root, **which)
    return [Comparisons(runs) for runs in grid]
