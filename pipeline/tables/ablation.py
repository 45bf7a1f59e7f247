"""`ablation.csv`: what each point where the authors' code differs does to the error, alone.

A row is one base setting, method and point of pipeline/config/expand.py. Its effect is the error of
the released variant minus that of ours at the trained horizon: positive where the authors' way
is worse. Variants of a method, and of the scaling, meet the test tasks of ours and are compared
task by task; another family or rating threshold has other tasks, and means are compared
(pipeline/tables/paired.py). The p values of one base setting are one family of Holm's correction.

Runs of ours that a variant of a setting is compared with are the grid's own, or those in the
evidence of a companion. A grid without variants shows the rows of its companions.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.config.expand import (
    ALL,
    METHOD_POINTS,
    SETTING_POINTS,
    Point,
)
from pipeline.config.measures import Measure, measure_in
from pipeline.config.titles import DATASETS, label_order
from pipeline.config.variants import variant_of
from pipeline.errors import BadInput
from pipeline.runs.evidence import evidence_file, kept_references, kept_runs
from pipeline.runs.records import RunRecord
from pipeline.tables.comparisons import ALPHA
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns, check_setting, is_failed, tasks_of
from pipeline.tables.main import pooled_error
from pipeline.tables.paired import correct, errors_by_seed, paired, unpaired

TOGETHER = Point(
    "all of the method together",
    paper="as above",
    released="all points above that concern the method",
    ours="as above",
)
TEXTS = {**METHOD_POINTS, ALL: TOGETHER, **SETTING_POINTS}
SAME_TASKS = ("scaling",)  # points of a setting that leave its test tasks as they are


def ablation_columns(measure: Measure) -> tuple[str, ...]:
    """Columns of `ablation.csv`."""
    return (
        *("grid", "grid_ours", "setting", "dataset", "label", "point", "released"),
        *("inner_steps", "status", f"{measure.name}_ours", f"{measure.name}_released"),
        *("effect", "lo", "hi", "p", "p_holm", "paired"),
        *("rank_biserial", "d_z", "wins", "ties", "losses", "n_pairs"),
        *("n_seeds", "seeds_left_out", "seeds_agreeing", "message"),
    )


def ablation_rows(
    grid: str, runs: list[SettingRuns], results_dir: Path, companions: Sequence[str]
) -> list[Row]:
    """Rows of `ablation.csv`, in the order of settings, points and methods; [] without variants.

    `grid_ours` is the grid that runs of ours are from, `grid` that of the variant.
    `wins` counts the test tasks on which the released variant has the smaller error.

    Args:
        grid: name of the grid, which the rows carry.
        runs: of the grid, in canonical order.
        results_dir: `results/{grid}`; companions lie beside it.
        companions: grids to look for runs of ours in.

    Raises:
        BadInput: when a variant has no runs of ours to be compared with, or when these differ in
            more than the point.
    """
    by_name = {of.setting: of for of in runs}
    rows: list[Row] = []
    for of in runs:
        variant = variant_of(of.setting)
        if variant is not None and variant.switched:
            base, (point,) = variant.base, variant.switched
            from_grid, ours = grid, by_name.get(base)
            if ours is None:
                from_grid, ours = _companion_runs(results_dir, companions, base, of)
            for label in of.labels:
                names: Row = {"label": label, "point": point, "released": of.setting}
                names |= {"grid_ours": from_grid}
                rows.append(names | _effect(ours, label, of, label, point))
            continue
        for released in of.labels:
            variant = variant_of(released)
            if variant is not None and variant.switched and variant.base in of.runs:
                label, (point,) = variant.base, variant.switched
                names = {"label": label, "point": point, "released": released}
                names |= {"grid_ours": grid}
                rows.append(names | _effect(of, label, of, released, point))
    rows = [{"grid": grid} | row for row in rows]
    settings, points = list(dict.fromkeys(row["setting"] for row in rows)), list(TEXTS)
    rows.sort(
        key=lambda row: (
            settings.index(row["setting"]),
            points.index(row["point"]),
            label_order(row["label"]),
        )
    )
    for setting in settings:
        correct([row for row in rows if row["setting"] == setting])
    return rows


def _effect(
    ours: SettingRuns, label: str, theirs: SettingRuns, released: str, point: str
) -> dict[str, Any]:
    """One row without its names."""
    step = ours.inner_steps
    if theirs is not ours:
        _check_alike(ours, theirs, label, same_tasks=point in SAME_TASKS)
    same_tasks = theirs is ours or point in SAME_TASKS
    before, after = errors_by_seed(ours, label, step), errors_by_seed(theirs, released, step)
    seeds = sorted(before.keys() & after.keys())
    before, after = ({seed: by[seed] for seed in seeds} for by in (before, after))
    name = f"ablation/{ours.setting}"
    found = paired(after, before, name) if same_tasks else unpaired(after, before)
    pooled = [
        pooled_error(of, of_label, step, seeds)
        for of, of_label in ((ours, label), (theirs, released))
    ]
    failed = [
        f"{of_label}, seed {seed}: {run.metrics.get('message') or 'failed'}"
        for of, of_label in ((ours, label), (theirs, released))
        for seed, run in of.runs[of_label].items()
        if is_failed(run)
    ]
    lost = sum(p.n_not_finite for p in pooled)
    status = "diverged" if lost else "partly failed" if failed else "ok"
    if lost:
        failed.append(f"{lost} test tasks have no finite error at step {step}")
    return found | {
        "setting": ours.setting,
        "dataset": ours.dataset,
        "inner_steps": step,
        "status": status if seeds else "failed",
        f"{ours.measure.name}_ours": pooled[0].mean,
        f"{ours.measure.name}_released": pooled[1].mean,
        "effect": found.get("difference"),
        "paired": same_tasks,
        "n_seeds": len(seeds),
        "seeds_left_out": len(ours.seeds) - len(seeds),
        "message": "; ".join(failed),
    }


def _companion_runs(
    results_dir: Path, companions: Sequence[str], setting: str, like: SettingRuns
) -> tuple[str, SettingRuns]:
    """The first companion whose evidence has all runs needed of a setting, and these."""
    wanted = [(label, seed) for label in like.labels for seed in like.seeds]
    looked_at = []
    for companion in companions:
        file = evidence_file(results_dir.parent / companion, setting)
        kept = kept_runs(file)
        if all(key in kept for key in wanted):
            runs: dict[str, dict[int, RunRecord]] = {label: {} for label in like.labels}
            for label, seed in wanted:
                runs[label][seed] = kept[label, seed]
            return companion, check_setting(setting, runs, kept_references(file, like.seeds))
        missing = ", ".join(
            f"{label} seed {seed}" for label, seed in wanted if (label, seed) not in kept
        )
        looked_at.append(f"{file} without {missing}")
    raise BadInput(
        f"{results_dir}: found runs of '{like.setting}' but none of '{setting}' to compare them "
        f"with ({'; '.join(looked_at) or 'the grid has no companions'}); needed the same methods "
        "and seeds. Run the companion first (`snakemake --config grid=...`), or name it under "
        "`companions` of this grid in params.yaml."
    )


def _check_alike(ours: SettingRuns, theirs: SettingRuns, label: str, *, same_tasks: bool) -> None:
    """Refuse runs that differ in training, evaluation, method or horizon, or that do not pair."""
    for seed, run in theirs.runs[label].items():
        base = ours.runs[label][seed]
        met = tasks_of(ours.reference[seed]), tasks_of(theirs.reference[seed])
        for key in ("inner_steps", "training", "evaluation", "settings"):
            if base.spec.get(key) != run.spec.get(key):
                raise BadInput(
                    f"{run.directory}: found {key} {run.spec.get(key)}, needed "
                    f"{base.spec.get(key)} as in {base.directory} ({label}, seed {seed}): the "
                    "two are to differ at one point only. Give both grids the same in "
                    "params.yaml and run `snakemake` again for each."
                )
        if same_tasks and met[0] != met[1]:
            raise BadInput(
                f"{run.directory}: found other test tasks than in {base.directory} ({label}, "
                f"seed {seed}); needed the same, to compare them task by task. Run `snakemake` "
                "again for both grids."
            )


# How rows of `ablation.csv` read, on paper and in a figure.


def measure_of_effects(table: pd.DataFrame) -> Measure:
    """In what a table of effects compares, by its columns."""
    return measure_in(str(column).removesuffix("_ours") for column in table)


def outcome(row: dict[str, Any]) -> str:
    """`worse` or `better` than ours, by the corrected test and the mean; otherwise `same`."""
    sure = row["p_holm"] < ALPHA
    ranks = row["rank_biserial"] if row["paired"] else row["effect"]
    if sure and row["effect"] > 0 and ranks > 0:
        return "worse"
    return "better" if sure and row["effect"] < 0 and ranks < 0 else "same"


def setting_title(table: pd.DataFrame, setting: str) -> str:
    """The data set's name; the setting's where the table has several of one data set."""
    pairs = table[["setting", "dataset"]].drop_duplicates()
    dataset = str(pairs.loc[pairs["setting"] == setting, "dataset"].iloc[0])
    alone = (pairs["dataset"] == dataset).sum() == 1
    return DATASETS.get(dataset, dataset) if alone else setting


def signed(value: float) -> str:
    """An effect with its sign, to two digits."""
    return f"{value:+.2g}".replace("-", "−")
