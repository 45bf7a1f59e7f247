"""Comparisons of errors seed by seed: on the same test tasks, or on others.

On the same tasks, formulas are those of pipeline/paired_statistics.py. Two sets of runs whose
tasks differ have means m_1, m_2 and standard errors e_1, e_2 of pipeline/pooling.py. Their
difference has the standard error sqrt(e_1² + e_2²), and is compared with Student's t at the
degrees of freedom of Welch (1947),

    (e_1² + e_2²)² / (e_1⁴ / (n_1 - 1) + e_2⁴ / (n_2 - 1)),

n_i the number of seeds; of tasks, where there is one seed. Everything signed is the first minus
the second: negative where the first is better.
"""

from dataclasses import asdict
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats

from pipeline.paired_statistics import LEVEL, compare, differences, holm, interval, resampling
from pipeline.pooling import Pooled, pool
from pipeline.run_grid import SettingRuns

BySeed = dict[int, np.ndarray]


def errors_by_seed(runs: SettingRuns, label: str, step: int) -> BySeed:
    """nRMSE of the test tasks, shape (n_s,), for each seed in which a method finished."""
    found = {seed: runs.task_errors(label, seed, step) for seed in runs.seeds}
    return {
        seed: frame["nrmse"].to_numpy(np.float64)
        for seed, frame in found.items()
        if frame is not None
    }


def paired(first: BySeed, second: BySeed, name: str) -> dict[str, Any]:
    """Compare on the seeds that both have; {} when there is none.

    Args:
        first, second: errors of the same tasks, in the same order.
        name: says what is resampled, for the bootstrap's generator.

    Returns:
        The fields of `paired_statistics.Paired`, and `lo`, `hi` of the mean difference.
    """
    seeds = sorted(first.keys() & second.keys())
    if not seeds:
        return {}
    pairs = [differences(first[seed], second[seed]) for seed in seeds]
    said = f"{name}/{','.join(map(str, seeds))}"
    lo, hi = interval(np.concatenate(pairs), _weights(tuple(len(p) for p in pairs), said))
    return asdict(compare(pairs)) | {"lo": lo, "hi": hi}


def unpaired(first: BySeed, second: BySeed) -> dict[str, Any]:
    """Compare the means of runs that met other tasks: `difference`, `lo`, `hi`, `p`.

    {} when either has no seed; NaN where an error is not finite or a spread is undefined.
    """
    if not first or not second:
        return {}
    one, other = pool([*first.values()]), pool([*second.values()])
    difference = one.mean - other.mean
    squares = np.array([one.stderr, other.stderr]) ** 2
    stderr = float(np.sqrt(squares.sum()))
    found = {"difference": difference, "lo": difference, "hi": difference, "p": float("nan")}
    if not stderr > 0:  # NaN, or no spread at all
        return found | ({} if stderr == 0 else {"lo": float("nan"), "hi": float("nan")})
    free = squares.sum() ** 2 / (squares**2 / [_free(one), _free(other)]).sum()
    reach = float(stats.t.ppf((1 + LEVEL) / 2, free)) * stderr
    p = 2 * float(stats.t.sf(abs(difference) / stderr, free))
    return found | {"lo": difference - reach, "hi": difference + reach, "p": p}


def correct(rows: list[dict[str, Any]]) -> None:
    """Put `p_holm` into the rows of one family, of those that have a p value."""
    tested = [row for row in rows if np.isfinite(row.get("p", float("nan")))]
    for row, p_holm in zip(tested, holm([row["p"] for row in tested]), strict=True):
        row["p_holm"] = p_holm


def _free(pooled: Pooled) -> int:
    return (pooled.n_seeds if pooled.n_seeds > 1 else pooled.n_values) - 1


@lru_cache(maxsize=64)
def _weights(sizes: tuple[int, ...], name: str) -> np.ndarray:
    return resampling(sizes, name)
