"""Read the runs of a grid, checked to be comparable."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.titles import UNTRAINED, label_order, setting_order
from pipeline.errors import BadInput
from pipeline.runs import records

# What makes runs comparable: the same test rows, trivial errors and starting point.

META_INIT = "meta_init"
# Trivial predictors are the same arithmetic in every run, on perhaps another processor; a
# starting point is run through the network, which a GPU rounds more differently.
_RTOL_TRIVIAL, _RTOL_START = 1e-5, 1e-3
REMEDY = "Delete the folders of that setting and seed under `runs/` and run `snakemake` again."


def is_failed(run: records.RunRecord) -> bool:
    return bool(run.metrics["status"] != "ok")


def check_seed(runs: list[records.RunRecord]) -> None:
    """Runs of one setting and seed: same test rows, trivial errors and starting point."""
    for run in runs:
        _check_whole(run)
    reference = runs[0]
    needed, start = tasks_of(reference), _start(reference)
    for run in runs:
        found = tasks_of(run)
        if found != needed:
            differing = sorted(task for task, _ in found ^ needed)[:3]
            raise BadInput(
                f"{run.directory}: found other test rows (task, n_query) than in "
                f"{reference.directory}, first at task {differing}; needed the same frozen "
                f"episodes for every method. {REMEDY}"
            )
        mine, theirs = _trivial_rows(run), _trivial_rows(reference)
        if not mine.index.equals(theirs.index):
            raise BadInput(
                f"{run.directory}: found the trivial predictors {_names(mine)}, needed "
                f"{_names(theirs)} as in {reference.directory}. {REMEDY}"
            )
        if not np.allclose(mine, theirs, rtol=_RTOL_TRIVIAL, atol=0, equal_nan=True):
            raise BadInput(
                f"{run.directory}: found trivial-predictor errors that differ from those in "
                f"{reference.directory}, needed identical ones: the two methods met different "
                f"data. {REMEDY}"
            )
        begun = _start(run)
        if not (
            begun.index.equals(start.index)
            and np.allclose(begun, start, rtol=_RTOL_START, atol=0, equal_nan=True)
        ):
            raise BadInput(
                f"{run.directory}: found another `{UNTRAINED}` error at step 0 than in "
                f"{reference.directory}, needed the same starting point for every method of a "
                f"seed. {REMEDY}"
            )


def _check_whole(run: records.RunRecord) -> None:
    """Each predictor met each test task once at each of its steps.

    `untrained` may lack late steps, and a failed run any of its own: they diverged.
    """
    rows = run.test_rows
    n_tasks = rows["task"].nunique()
    groups = rows.groupby(["predictor", "step"])["task"].agg(["size", "nunique"])
    ragged = groups[(groups["size"] != n_tasks) | (groups["nunique"] != n_tasks)]
    steps, begun = set(steps_of(run, META_INIT)), set(steps_of(run, UNTRAINED))
    what = None
    if len(ragged):
        what = f"{ragged.index[0]} without one row for each of {n_tasks} tasks"
    elif not is_failed(run) and not steps:
        what = f"no rows of `{META_INIT}`, though the run's status is ok"
    elif not is_failed(run) and begun - steps:
        what = f"`{UNTRAINED}` measured at steps {sorted(begun - steps)}, `{META_INIT}` not"
    if what:
        raise BadInput(
            f"{run.directory}/test_rows.parquet: found {what}; needed each predictor on every "
            f"test task at every step. {REMEDY}"
        )


def need_one(what: str, values: dict[str, Any]) -> None:
    """Refuse values, by the place they come from, that are not all the same."""
    (place, value), *others = values.items()
    for other, found in others:
        if found != value:
            raise BadInput(
                f"{other}: found {what} {found}, needed {value} as in {place}: the runs of one "
                f"setting share it. {REMEDY}"
            )


def steps_of(run: records.RunRecord, predictor: str) -> tuple[int, ...]:
    """Test steps at which a predictor was measured, ascending."""
    rows = run.test_rows
    return tuple(sorted({int(step) for step in rows.loc[rows["predictor"] == predictor, "step"]}))


def tasks_of(run: records.RunRecord) -> set[tuple[int, int]]:
    """Test tasks and the number of their query rows."""
    pairs = run.test_rows[["task", "n_query"]].drop_duplicates()
    return set(pairs.itertuples(index=False, name=None))


def _start(run: records.RunRecord) -> pd.Series:
    rows = run.test_rows
    picked = rows[(rows["predictor"] == UNTRAINED) & (rows["step"] == rows["step"].min())]
    return picked.set_index("task").sort_index()["nrmse"]


def _trivial_rows(run: records.RunRecord) -> pd.DataFrame:
    rows = run.test_rows
    picked = rows[~rows["predictor"].isin([META_INIT, UNTRAINED])]
    return picked.set_index(["predictor", "task"]).sort_index()[list(records.METRICS)]


def _names(rows: pd.DataFrame) -> list[str]:
    return sorted(set(rows.index.get_level_values(0)))


ErrorsByStep = dict[tuple[str, int], pd.DataFrame]
MEASURED = (*records.METRICS, "n_query", "query_std", "support_rmse")


@dataclass(frozen=True)
class SettingRuns:
    """The runs of one setting: `runs[label][seed]`, labels and seeds in canonical order.

    Attributes:
        inner_steps: K, the trained horizon in test steps.
        steps: test steps at which errors were measured, ascending.
        trivial: names of the trivial predictors, in canonical order.
        errors: errors per test task by (label, seed) of a run, then (predictor, step).
    """

    setting: str
    dataset: str
    inner_steps: int
    steps: tuple[int, ...]
    trivial: tuple[str, ...]
    runs: dict[str, dict[int, records.RunRecord]]
    errors: dict[tuple[str, int], ErrorsByStep]

    @property
    def labels(self) -> list[str]:
        return list(self.runs)

    @property
    def seeds(self) -> list[int]:
        return list(next(iter(self.runs.values())))

    def some_run(self, seed: int) -> records.RunRecord:
        """The run of the first method: trivial and untrained rows are alike in all of them."""
        return next(iter(self.runs.values()))[seed]

    def task_errors(self, label: str, seed: int, step: int) -> pd.DataFrame | None:
        """What was measured per test task, index task, columns `MEASURED`; None of a failed run.

        `label` is a method, `untrained` (all NaN from the step at which it diverged) or a
        trivial predictor (whose errors are those of step 0 at every step).
        """
        if label in self.runs:
            return self.errors[label, seed].get((META_INIT, step))
        found = self.errors[self.labels[0], seed]
        place = (label, 0 if label in self.trivial else step)
        if place in found:
            return found[place]
        return next(iter(found.values())) * np.nan


def read_grid(
    results_dir: Path, *, methods: Iterable[str], settings: Iterable[str], seeds: Iterable[int]
) -> list[SettingRuns]:
    """Read exactly the runs named, in canonical order.

    Raises:
        BadInput: when a run is missing or unreadable, when it is another run than its folder
            says, or when the runs of a setting and seed did not meet the same test rows.
    """
    labels = sorted(set(methods), key=label_order)
    numbers = sorted(set(seeds))
    grid = []
    for setting in sorted(set(settings)):
        runs = {
            label: {
                seed: _read(results_dir / "runs" / label / setting / str(seed), label)
                for seed in numbers
            }
            for label in labels
        }
        grid.append(check_setting(setting, runs))
    if not (labels and numbers and grid):
        raise BadInput(
            f"{results_dir}: found methods {labels}, seeds {numbers}, settings "
            f"{[runs.setting for runs in grid]}; needed at least one of each. See the grid in "
            "params.yaml."
        )
    return sorted(grid, key=lambda runs: setting_order(runs.dataset, runs.setting))


def _read(directory: Path, label: str) -> records.RunRecord:
    run = records.read_run(directory)
    said = "/".join(str(run.metrics.get(key)) for key in ("label", "setting", "seed"))
    meant = f"{label}/{directory.parent.name}/{directory.name}"
    if said != meant:
        raise BadInput(
            f"{directory}: found the record of {said}, needed that of {meant}. Delete the "
            "folder and run `snakemake` again."
        )
    return run


def check_setting(setting: str, runs: dict[str, dict[int, records.RunRecord]]) -> SettingRuns:
    """The runs of one setting, `runs[label][seed]`, checked to be comparable.

    Raises:
        BadInput: when they did not meet the same test rows, or differ in what a setting fixes.
    """
    everything = [run for by_seed in runs.values() for run in by_seed.values()]
    if not everything:
        return SettingRuns(setting, "", 0, (), (), runs, {})
    for what in ("dataset", "inner_steps"):
        need_one(what, {str(run.directory): run.metrics[what] for run in everything})
    for seed in next(iter(runs.values())):
        check_seed([by_seed[seed] for by_seed in runs.values()])
    first = everything[0]
    finished = [run for run in everything if not is_failed(run)]
    if finished:
        need_one("test steps", {str(run.directory): steps_of(run, META_INIT) for run in finished})
    inner_steps = int(first.metrics["inner_steps"])
    steps = steps_of(finished[0], META_INIT) if finished else steps_of(first, UNTRAINED)
    if finished and inner_steps not in steps:
        raise BadInput(
            f"{finished[0].directory}: found test steps {list(steps)}, needed the trained "
            f"horizon {inner_steps} among them. {REMEDY}"
        )
    others = set(first.test_rows["predictor"]) - {META_INIT, UNTRAINED}
    trivial = tuple(sorted(others, key=label_order))
    errors = {
        (label, seed): _errors_by_step(run)
        for label, by_seed in runs.items()
        for seed, run in by_seed.items()
    }
    dataset = first.metrics["dataset"]
    return SettingRuns(setting, dataset, inner_steps, steps, trivial, runs, errors)


def _errors_by_step(run: records.RunRecord) -> ErrorsByStep:
    """Rows by task, so that the order of a file's rows changes no sum."""
    rows = run.test_rows.sort_values("task").set_index("task")
    kinds = dict.fromkeys(MEASURED, np.float64)
    parts = dict(list(rows.groupby(["predictor", "step"])[list(MEASURED)]))
    return {
        (str(predictor), int(str(step))): part.astype(kinds)
        for (predictor, step), part in parts.items()
        if not (predictor == META_INIT and is_failed(run))
    }
