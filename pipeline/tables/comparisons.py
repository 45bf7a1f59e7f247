"""`comparisons.csv`: methods compared pair by pair on the same test tasks, at each test step.

References are our methods, with learned rates too, and the best method of a step, and those whose
card says so: some at the trained horizon, some early. Each is compared with every other method, the
untrained start and the trivial predictors. `pipeline/tables/paired.py` has the formulas;
the p values of one setting, step and reference are one family of Holm's correction.

A pair of predictors is compared on the seeds in which both finished; `seeds_left_out` says how
many did not. A method that failed in every seed is in no comparison.
"""

from functools import cached_property

import numpy as np

from pipeline.config.methods import METHODS, OURS
from pipeline.config.variants import variant_of
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns, is_failed
from pipeline.tables.main import pooled_error
from pipeline.tables.paired import correct, errors_by_seed, paired

EARLY = 10  # test steps up to which a method's start is judged
ALPHA = 0.05
COMPARISON_COLUMNS = (
    *("setting", "inner_steps", "step", "reference", "reference_is_best", "other"),
    *("difference", "lo", "hi", "p", "p_holm", "rank_biserial", "d_z"),
    *("wins", "ties", "losses", "n_pairs", "n_seeds", "seeds_left_out", "seeds_agreeing"),
)


class Comparisons:
    """All comparisons of one setting: `rows`, and `row(step, reference, other)`."""

    def __init__(self, runs: SettingRuns) -> None:
        self.runs = runs

    @cached_property
    def rows(self) -> list[Row]:
        """Rows of `comparisons.csv`: by step, reference and other, each in canonical order."""
        return [
            row
            for step in self.runs.steps
            for reference in self._references(step)
            for row in self._family(step, reference)
        ]

    def row(self, step: int, reference: str, other: str) -> Row | None:
        """One comparison; None where a method failed everywhere or was not compared."""
        return self._by_place.get((step, reference, other))

    def mean(self, step: int, label: str) -> float:
        """Mean error over all seeds; NaN of a method that is not `whole`, or that diverged."""
        return self._means.get(step, {}).get(label, float("nan"))

    def best(self, step: int) -> str | None:
        """The method with the smallest `mean`; None when no method has one."""
        means = self._means.get(step, {})
        finite = {label: mean for label, mean in means.items() if np.isfinite(mean)}
        return min(finite, key=lambda label: finite[label], default=None)

    @cached_property
    def whole(self) -> list[str]:
        """Methods that finished in every seed: a mean over fewer is not compared with theirs."""
        runs = self.runs.runs
        return [label for label in runs if not any(is_failed(run) for run in runs[label].values())]

    @cached_property
    def _means(self) -> dict[int, dict[str, float]]:
        runs = self.runs
        return {
            step: {label: pooled_error(runs, label, step, runs.seeds).mean for label in self.whole}
            for step in runs.steps
        }

    @cached_property
    def _by_place(self) -> dict[tuple[int, str, str], Row]:
        return {(row["step"], row["reference"], row["other"]): row for row in self.rows}

    def _references(self, step: int) -> list[str]:
        wanted = {*filter(is_ours, self.runs.labels), self.best(step)}
        when = {"at the horizon": step == self.runs.inner_steps, "early": step <= EARLY}
        wanted |= {name for name, card in METHODS.items() if when.get(card.compared or "")}
        return [label for label in self.runs.labels if label in wanted]

    def _family(self, step: int, reference: str) -> list[Row]:
        runs, best = self.runs, self.best(step)
        errors = {label: errors_by_seed(runs, label, step) for label in runs.predictors}
        rows: list[Row] = []
        for other in (label for label in errors if label != reference):
            if found := paired(errors[reference], errors[other], runs.setting):
                names = {"setting": runs.setting, "inner_steps": runs.inner_steps, "step": step}
                names |= {"reference": reference, "other": other}
                left_out = {"seeds_left_out": len(runs.seeds) - found["n_seeds"]}
                rows.append(names | {"reference_is_best": reference == best} | found | left_out)
        correct(rows)
        return rows


def is_ours(label: str) -> bool:
    """Whether it is a method of ours, or one with learned rates: other values make no new one."""
    variant = variant_of(label)
    if variant is not None and variant.varied.keys() == {"rates"}:
        return variant.base in OURS
    return label in OURS


def is_better(row: Row, alpha: float = ALPHA) -> bool:
    """Whether the reference is better than the other: by the corrected test and by the mean."""
    return bool(row["p_holm"] < alpha and row["difference"] < 0 and row["rank_biserial"] < 0)


def is_worse(row: Row, alpha: float = ALPHA) -> bool:
    """Whether the reference is worse than the other: by the corrected test and by the mean."""
    return bool(row["p_holm"] < alpha and row["difference"] > 0 and row["rank_biserial"] > 0)


def mark_best(rows: list[Row], settings: list[Comparisons]) -> list[Row]:
    """Rows of `main.csv` with `best` and `not_worse_than_best` where they can be said.

    Both are of methods that finished in every seed with finite errors, at the trained horizon;
    the best one is itself not worse.
    """
    by_setting = {comparisons.runs.setting: comparisons for comparisons in settings}
    return [row | _marks(row, by_setting[row["setting"]]) for row in rows]


def _marks(row: Row, comparisons: Comparisons) -> Row:
    best = comparisons.best(comparisons.runs.inner_steps)
    if row["kind"] != "method" or best is None:
        return {}
    if row["label"] == best:
        return {"best": True, "not_worse_than_best": True}
    found = comparisons.row(comparisons.runs.inner_steps, best, row["label"])
    marked = row["status"] == "ok" and found is not None and not is_better(found)
    return {"best": False, "not_worse_than_best": marked}
