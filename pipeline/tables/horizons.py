"""`horizons.csv` and `early_stopping.csv`: does longer training of the initialisation pay?

Settings of one synthetic family and support and query size that differ in the trained K only
have the same test tasks, so that their runs are compared task by task at equal test steps.

    horizons.csv        family x method x trained K x test step; `difference` is the nRMSE minus
                        that of the next shorter K at the same step, negative where longer is
                        better. The p values of one family, method and step are one family of
                        Holm's correction
    early_stopping.csv  horizon by task minus fixed horizon of the same method, in the
                        same setting, at each test step; those of one data set, method and step
                        are one family of Holm's correction

Formulas: pipeline/tables/paired.py.
"""

from itertools import pairwise

import numpy as np

from pipeline.config.variants import fixed_horizon
from pipeline.data.families import PRINTED
from pipeline.errors import BadInput
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns, is_failed, tasks_of
from pipeline.tables.main import pooled_error
from pipeline.tables.paired import correct, errors_by_seed, paired

_NAMES = ("grid", "dataset", "setting", "label", "inner_steps", "horizon", "step", "own")
_PAIRED = ("difference", "lo", "hi", "p", "p_holm", "rank_biserial", "wins", "losses", "n_pairs")
HORIZON_COLUMNS = (
    *(*_NAMES, "n_seeds", "n_failed", "nrmse", "nrmse_stderr", "best_step", "best_horizon"),
    *("shorter", "shorter_setting", *_PAIRED),
)
EARLY_COLUMNS = (*_NAMES, "fixed", "nrmse_fixed", "nrmse_early", *_PAIRED, "n_seeds")


def horizon_rows(grid: str, runs: list[SettingRuns]) -> list[Row]:
    """Rows of `horizons.csv`; [] where no family has two trained horizons.

    `best_step` marks the test step at which a line's mean is smallest, `best_horizon` the K whose
    mean is smallest at a step, among methods that finished in every seed. `own` marks K itself.

    Raises:
        BadInput: when settings that differ in K only met different test tasks.
    """
    rows: list[Row] = []
    for family in _families(runs):
        _check_same_tasks(family)
        for label in family[0].labels:
            lines = [_line(grid, of, label) for of in family]
            for (shorter, before), (of, after) in pairwise(zip(family, lines, strict=True)):
                for row in after:
                    if row["step"] in {other["step"] for other in before}:
                        row |= _over(shorter, of, label, row["step"])
            for step in sorted({row["step"] for line in lines for row in line}):
                at_step = [row for line in lines for row in line if row["step"] == step]
                _mark(at_step, "best_horizon")
                correct(at_step)
            rows += [row for line in lines for row in line]
    return rows


def early_rows(grid: str, runs: list[SettingRuns]) -> list[Row]:
    """Rows of `early_stopping.csv`; [] where no label stops early beside its fixed horizon."""
    rows: list[Row] = []
    for family in _families(runs):
        for label in family[0].labels:
            fixed = fixed_horizon(label)
            if fixed is None or fixed not in family[0].runs:
                continue
            found = [_early(grid, of, label, fixed, step) for of in family for step in of.steps]
            for step in dict.fromkeys(row["step"] for row in found):
                correct([row for row in found if row["step"] == step])
            rows += found
    return rows


def _families(runs: list[SettingRuns]) -> list[list[SettingRuns]]:
    """Settings that differ in K only, K ascending, where there are at least two."""
    groups: dict[tuple, list[SettingRuns]] = {}
    for of in runs:
        if of.dataset in PRINTED:
            spec = of.some_run(of.seeds[0]).spec
            key = (of.dataset, spec["support"], spec["query"])
            groups.setdefault(key, []).append(of)
    return [
        sorted(group, key=lambda of: of.inner_steps)
        for group in groups.values()
        if len({of.inner_steps for of in group}) > 1
    ]


def _check_same_tasks(family: list[SettingRuns]) -> None:
    first = family[0]
    for of in family[1:]:
        for seed in of.seeds:
            here, there = of.some_run(seed), first.some_run(seed)
            if tasks_of(of.reference[seed]) != tasks_of(first.reference[seed]):
                raise BadInput(
                    f"{here.directory}: found other test tasks than in {there.directory}; needed "
                    f"the same in '{of.setting}' and '{first.setting}', which differ in "
                    "`inner_steps` only. Delete both folders and run `snakemake` again."
                )


def _names(grid: str, of: SettingRuns, label: str, step: int) -> Row:
    horizon = float(of.runs[label][of.seeds[0]].metrics["horizon"])
    values = (grid, of.dataset, of.setting, label, of.inner_steps, horizon, step)
    return dict(zip(_NAMES, (*values, step == of.inner_steps), strict=True))


def _line(grid: str, of: SettingRuns, label: str) -> list[Row]:
    """Rows of one method and K, by step."""
    rows = []
    failed = sum(is_failed(run) for run in of.runs[label].values())
    for step in of.steps:
        pooled = pooled_error(of, label, step, of.seeds)
        counts = {"n_seeds": pooled.n_seeds, "n_failed": failed}
        means = {"nrmse": pooled.mean, "nrmse_stderr": pooled.stderr}
        rows.append(_names(grid, of, label, step) | counts | means)
    _mark(rows, "best_step")
    return rows


def _over(shorter: SettingRuns, of: SettingRuns, label: str, step: int) -> Row:
    """A horizon against the next shorter one."""
    found = paired(
        errors_by_seed(of, label, step),
        errors_by_seed(shorter, label, step),
        f"horizons/{of.dataset}",
    )
    found.pop("n_seeds", None)  # of the comparison; the row's are of its mean
    return {"shorter": shorter.inner_steps, "shorter_setting": shorter.setting} | found


def _early(grid: str, of: SettingRuns, label: str, fixed: str, step: int) -> Row:
    found = paired(
        errors_by_seed(of, label, step),
        errors_by_seed(of, fixed, step),
        f"early/{of.dataset}",
    )
    means = [pooled_error(of, name, step, of.seeds).mean for name in (fixed, label)]
    named = dict(zip(("nrmse_fixed", "nrmse_early"), means, strict=True))
    return _names(grid, of, label, step) | {"fixed": fixed} | named | found


def _mark(rows: list[Row], mark: str) -> None:
    """Set `mark` true in the row with the smallest mean, false in the others."""
    whole = [row["nrmse"] for row in rows if row["n_seeds"] and not row["n_failed"]]
    finite = [value for value in whole if np.isfinite(value)]
    for row in rows:
        row[mark] = bool(finite) and not row["n_failed"] and row["nrmse"] == min(finite)
