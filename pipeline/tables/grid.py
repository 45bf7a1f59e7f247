"""Read the runs of a grid, checked to be comparable."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.measures import NUMBERS, Measure, measure_in
from pipeline.config.titles import SIMULATED, UNTRAINED, label_order, setting_order
from pipeline.errors import BadInput
from pipeline.runs import records
from pipeline.runs.records import read_reference, reference_file
from pipeline.tables.files import Row

# What makes runs comparable: the test rows of one reference.

META_INIT = "meta_init"
REMEDY = "Delete the folders of that setting and seed under `runs/` and run `snakemake` again."


def is_failed(run: records.RunRecord) -> bool:
    return bool(run.metrics["status"] != "ok")


def check_run(run: records.RunRecord, reference: pd.DataFrame) -> None:
    """A run met each test task of the reference once, at each of its steps.

    A failed run may lack any step: it diverged.
    """
    rows, needed = run.test_rows, tasks_of(reference)
    found = tasks_of(rows)
    if len(rows) and found != needed:
        differing = sorted(task for task, _ in found ^ needed)[:3]
        raise BadInput(
            f"{run.directory}: found other test rows (task, n_query) than in the reference of its "
            f"setting and seed, first at task {differing}; needed the same frozen episodes for "
            f"every method. {REMEDY}"
        )
    what = _ragged(rows, len(needed))
    steps, begun = set(steps_of(rows, META_INIT)), set(steps_of(reference, UNTRAINED))
    if not is_failed(run) and not what:
        if not steps:
            what = f"no rows of `{META_INIT}`, though the run's status is ok"
        elif begun - steps:
            what = f"`{UNTRAINED}` measured at steps {sorted(begun - steps)}, `{META_INIT}` not"
    if what:
        raise BadInput(
            f"{run.directory}/test_rows.parquet: found {what}; needed each predictor on every "
            f"test task at every step. {REMEDY}"
        )


def _ragged(rows: pd.DataFrame, n_tasks: int) -> str | None:
    groups = rows.groupby(["predictor", "step"])["task"].agg(["size", "nunique"])
    ragged = groups[(groups["size"] != n_tasks) | (groups["nunique"] != n_tasks)]
    return f"{ragged.index[0]} without one row for each of {n_tasks} tasks" if len(ragged) else None


def need_one(what: str, values: dict[str, Any]) -> None:
    """Refuse values, by the place they come from, that are not all the same."""
    (place, value), *others = values.items()
    for other, found in others:
        if found != value:
            raise BadInput(
                f"{other}: found {what} {found}, needed {value} as in {place}: the runs of one "
                f"setting share it. {REMEDY}"
            )


def steps_of(rows: pd.DataFrame, predictor: str) -> tuple[int, ...]:
    """Test steps at which a predictor was measured, ascending."""
    return tuple(sorted({int(step) for step in rows.loc[rows["predictor"] == predictor, "step"]}))


def tasks_of(rows: pd.DataFrame) -> set[tuple[int, int]]:
    """Test tasks and the number of their query rows."""
    pairs = rows[["task", "n_query"]].drop_duplicates()
    return set(pairs.itertuples(index=False, name=None))


ErrorsByStep = dict[tuple[str, int], pd.DataFrame]
REFERENCE = ""  # stands for a label


def measured(measure: Measure) -> tuple[str, ...]:
    """Columns of test rows that hold what was measured of a task."""
    return (*measure.metrics, "n_query", *measure.measured, measure.support)


@dataclass(frozen=True)
class SettingRuns:
    """The runs of one setting: `runs[label][seed]`, labels and seeds in canonical order.

    Attributes:
        inner_steps: K, the trained horizon in test steps.
        steps: test steps at which errors were measured, ascending.
        trivial: names of the trivial predictors, in canonical order.
        reference: test rows of the untrained start and the trivial predictors, by seed.
        errors: errors per test task by (label, seed) of a run or, under `REFERENCE`, of that,
            then (predictor, step).
    """

    setting: str
    dataset: str
    inner_steps: int
    steps: tuple[int, ...]
    trivial: tuple[str, ...]
    runs: dict[str, dict[int, records.RunRecord]]
    reference: dict[int, pd.DataFrame]
    errors: dict[tuple[str, int], ErrorsByStep]

    @property
    def labels(self) -> list[str]:
        return list(self.runs)

    @property
    def seeds(self) -> list[int]:
        return list(next(iter(self.runs.values())))

    @cached_property
    def measure(self) -> Measure:
        """In what predictors are compared, by the columns of the reference."""
        rows = next(iter(self.reference.values()), None)
        return NUMBERS if rows is None else measure_in(rows.columns)

    @property
    def names(self) -> Row:
        """What most tables say of a setting."""
        simulated = self.dataset in SIMULATED
        return {"setting": self.setting, "dataset": self.dataset, "simulated": simulated}

    @property
    def predictors(self) -> list[str]:
        """Methods, the untrained start and trivial predictors."""
        return [*self.runs, UNTRAINED, *self.trivial]

    def kind_of(self, label: str) -> str:
        """`method`, `untrained` or `trivial`."""
        if label in self.runs:
            return "method"
        return UNTRAINED if label == UNTRAINED else "trivial"

    def horizon_of(self, label: str) -> int:
        """Test steps at which a predictor is judged: K, and 0 of a trivial one."""
        return 0 if self.kind_of(label) == "trivial" else self.inner_steps

    def some_run(self, seed: int) -> records.RunRecord:
        """The run of the first method: of data and scales, which are alike in all of them."""
        return next(iter(self.runs.values()))[seed]

    def task_errors(self, label: str, seed: int, step: int) -> pd.DataFrame | None:
        """What was measured per test task, index task, columns `measured`; None of a failed run.

        `label` is a method, `untrained` (all NaN from the step at which it diverged) or a
        trivial predictor (whose errors are those of step 0 at every step).
        """
        if label in self.runs:
            return self.errors[label, seed].get((META_INIT, step))
        found = self.errors[REFERENCE, seed]
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
        files = {seed: reference_file(results_dir, setting, seed) for seed in numbers}
        reference = {seed: read_reference(file) for seed, file in files.items()} if labels else {}
        grid.append(check_setting(setting, runs, reference))
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


def check_setting(
    setting: str,
    runs: dict[str, dict[int, records.RunRecord]],
    reference: dict[int, pd.DataFrame],
) -> SettingRuns:
    """The runs of one setting, `runs[label][seed]`, checked to be comparable.

    Raises:
        BadInput: when they did not meet the test rows of the reference, by seed, or differ in
            what a setting fixes.
    """
    everything = [run for by_seed in runs.values() for run in by_seed.values()]
    if not everything:
        return SettingRuns(setting, "", 0, (), (), runs, reference, {})
    for what in ("dataset", "inner_steps"):
        need_one(what, {str(run.directory): run.metrics[what] for run in everything})
    for by_seed in runs.values():
        for seed, run in by_seed.items():
            check_run(run, reference[seed])
    first = everything[0]
    finished = [run for run in everything if not is_failed(run)]
    measured = {str(run.directory): steps_of(run.test_rows, META_INIT) for run in finished}
    if measured:
        need_one("test steps", measured)
    some = next(iter(reference.values()))
    inner_steps = int(first.metrics["inner_steps"])
    steps = next(iter(measured.values()), steps_of(some, UNTRAINED))
    if finished and inner_steps not in steps:
        raise BadInput(
            f"{finished[0].directory}: found test steps {list(steps)}, needed the trained "
            f"horizon {inner_steps} among them. {REMEDY}"
        )
    others = set(some["predictor"]) - {UNTRAINED}
    trivial = tuple(sorted(others, key=label_order))
    errors = {(REFERENCE, seed): _errors_by_step(rows) for seed, rows in reference.items()}
    for label, by_seed in runs.items():
        for seed, run in by_seed.items():
            errors[label, seed] = {} if is_failed(run) else _errors_by_step(run.test_rows)
    dataset = first.metrics["dataset"]
    return SettingRuns(setting, dataset, inner_steps, steps, trivial, runs, reference, errors)


def _errors_by_step(rows: pd.DataFrame) -> ErrorsByStep:
    """Rows by task, so that the order of a file's rows changes no sum."""
    rows = rows.sort_values("task").set_index("task")
    columns = measured(measure_in(rows.columns))
    kinds = dict.fromkeys(columns, np.float64)
    parts = dict(list(rows.groupby(["predictor", "step"])[list(columns)]))
    return {
        (str(predictor), int(str(step))): part.astype(kinds)
        for (predictor, step), part in parts.items()
    }
