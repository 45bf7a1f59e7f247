"""What makes runs comparable: the same test rows, trivial errors and starting point."""

from typing import Any

import numpy as np
import pandas as pd

from pipeline import records
from pipeline.errors import BadInput
from pipeline.labels import UNTRAINED

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
