"""Records whose errors are laid down, so that each claim can be made to hold or to fail.

By default every claim holds: A-MAML on either solver and the anytime objective lead at each
step, iMAML follows, then MAML, then FOMAML and Reptile; all beat the trivial predictors.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.titles import label_order
from pipeline.runs.records import METRICS, RunRecord
from pipeline.tables.comparisons import Comparisons
from pipeline.tables.grid import META_INIT, REFERENCE, SettingRuns
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
Levels = tuple[tuple[tuple[str, int], float], ...]  # of (predictor, step)
Run = tuple[str, str, int]  # label, setting, seed


def by_default(label: str, setting: str, step: int) -> float:
    """Mean error of a predictor."""
    return LEVELS[label]


def write(
    root: Path,
    level: Level = by_default,
    *,
    settings: Sequence[str] = SETTINGS,
    failed: Collection[Run] = (),
) -> Path:
    """Write runs of `METHODS` and `SEEDS` whose errors are as `_errors` lays them down."""
    for label, setting, seed in product(METHODS, settings, SEEDS):
        gone = (label, setting, seed) in failed
        levels = dict(_levels(level, METHODS, setting))
        errors = _errors(levels, label, setting, seed, gone, n_tasks=20)
        rows = [run_records.task_rows(*place, values) for place, values in errors.items()]
        run_records.write_one(
            *(root, label, setting, seed),
            rows=pd.concat(rows, ignore_index=True),
            failed=gone,
            inner_steps=K,
            updates=4,
        )
    return root


def compared(
    level: Level = by_default,
    *,
    methods: Sequence[str] = METHODS,
    settings: Sequence[str] = SETTINGS,
    seeds: Sequence[int] = SEEDS,
    failed: Collection[Run] = (),
    n_tasks: int = 20,
) -> list[Comparisons]:
    """Compare such runs as `read_grid` would read them, without a file.

    A setting of the same errors is compared once per process: do not change what you get.
    """
    labels = tuple(sorted(methods, key=label_order))
    return [
        _compared(
            *(setting, labels, tuple(seeds), frozenset(run for run in failed if run[1] == setting)),
            *(n_tasks, _levels(level, labels, setting)),
        )
        for setting in settings
    ]


def _levels(level: Level, labels: Sequence[str], setting: str) -> Levels:
    places = [(name, step) for name in ("untrained", *labels) for step in STEPS]
    places += [(name, 0) for name in _trivial(setting)]
    return tuple((place, level(place[0], setting, place[1])) for place in places)


@lru_cache(maxsize=100)
def _compared(
    setting: str,
    labels: tuple[str, ...],
    seeds: tuple[int, ...],
    failed: frozenset[Run],
    n_tasks: int,
    levels: Levels,
) -> Comparisons:
    given = dict(levels)
    runs: dict[str, dict[int, RunRecord]] = {label: {} for label in labels}
    errors, reference = {}, {}
    for label, seed in product(labels, seeds):
        gone = (label, setting, seed) in failed
        values = _errors(given, label, setting, seed, gone, n_tasks)
        frames = {place: _frame(*place, tuple(e.tolist())) for place, e in values.items()}
        metrics = {"status": "failed" if gone else "ok", "message": None, "meta_updates": 4}
        rows = pd.concat([of_task for of_task, _ in frames.values()], ignore_index=True)
        runs[label][seed] = RunRecord(Path(), {}, metrics, rows, rows, np.zeros(1))
        by_place = {place: by_task for place, (_, by_task) in frames.items()}
        errors[label, seed] = {p: v for p, v in by_place.items() if p[0] == META_INIT}
        reference[seed] = rows
        errors[REFERENCE, seed] = {p: v for p, v in by_place.items() if p[0] != META_INIT}
    names = (run_records.dataset_of(setting), K, STEPS, _trivial(setting))
    return Comparisons(SettingRuns(setting, *names, runs, reference, errors))


@lru_cache(maxsize=4000)
def _frame(
    predictor: str, step: int, values: tuple[float, ...]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of a record, and their errors by task."""
    rows = run_records.task_rows(predictor, step, values)
    return rows, rows.set_index("task")[list(METRICS)]


def _errors(
    levels: Mapping[tuple[str, int], float],
    label: str,
    setting: str,
    seed: int,
    failed: bool,
    n_tasks: int,
) -> dict[tuple[str, int], np.ndarray]:
    """A level times a task's hardness; a method's give or take one percent."""
    draw = np.random.default_rng([seed, len(setting)])
    hardness = np.exp(0.2 * draw.standard_normal(n_tasks))
    places = [("untrained", step) for step in STEPS] + [(name, 0) for name in _trivial(setting)]
    errors = {place: levels[place] * hardness for place in places}
    for step in () if failed else STEPS:
        noise = np.random.default_rng([seed, step, *label.encode()]).standard_normal(n_tasks)
        errors["meta_init", step] = levels[label, step] * hardness * (1 + 0.01 * noise)
    return errors


def _trivial(setting: str) -> tuple[str, ...]:
    if run_records.dataset_of(setting) in ("cosmixture", "alpine"):
        return ("global_mean", "support_mean")
    return ("global_mean", "item_mean", "item_user_offset")
