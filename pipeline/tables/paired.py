"""Two predictors on the same test tasks: is the difference of their errors more than chance?

A pair is one test task of one seed; its difference d is the reference's error minus the other's,
so that everything signed here is negative where the reference is better.

    test       Wilcoxon signed-rank over all pairs, two-sided (Wilcoxon 1945). Equal errors keep
               their rank and favour nobody (Pratt 1959). scipy's `auto`: exact up to 50 pairs,
               with ties or zeros up to 13; the normal approximation above
    rank       matched-pairs rank-biserial correlation, sum_i sign(d_i) R_i / (n (n + 1) / 2), with
    biserial   R_i the rank of |d_i| (King, Minium 2008): -1 when the reference wins everywhere
    d_z        mean(d) / std(d), divisor n - 1 (Cohen 1988)
    mean       mean over seeds of the seeds' means, as in pipeline/tables/pooling.py
    interval   percentiles of that mean under a hierarchical bootstrap: seeds are drawn with
               replacement, then tasks within each drawn seed; of one seed, tasks alone
    Holm       step-down correction of a family of p values (Holm 1979)

The tasks of a seed share one trained initialisation. The pooled test therefore speaks of the
initialisations that were trained; whether another seed would say the same shows in the interval
and in `seeds_agreeing`. Of S seeds the bootstrap spreads the seed effect by the factor
(S - 1) / S too little in variance, so that at two or three seeds with large effects of the seed
it is too narrow.

An error that is not finite is worse than any finite one, and two such errors are equal. Those
pairs have infinite or zero differences: they count in the test, in its effect size and among
the wins and losses, but a mean difference and d_z are then undefined (infinite or NaN).
"""

import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import stats
from scipy.stats import rankdata, wilcoxon

from pipeline.tables.grid import SettingRuns
from pipeline.tables.pooling import Pooled, pool

DRAWS = 2000  # bootstrap resamples
LEVEL = 0.95  # of the interval
_SEED = 1945


@dataclass(frozen=True)
class Paired:
    """Comparison of a reference with another predictor; NaN where undefined.

    Attributes:
        difference: mean difference of their errors; infinite or NaN where a task diverged.
        p: two-sided, not corrected.
        wins, ties, losses: pairs in which the reference's error is smaller, equal, larger.
        seeds_agreeing: seeds whose own mean difference has the sign of `difference`.
    """

    difference: float
    p: float
    rank_biserial: float
    d_z: float
    wins: int
    ties: int
    losses: int
    n_pairs: int
    n_seeds: int
    seeds_agreeing: int


def differences(reference: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Errors of the reference minus those of the other on the same tasks, shape (n,)."""
    mine, theirs = (np.where(np.isfinite(e), e, np.inf) for e in (reference, other))
    with np.errstate(invalid="ignore"):
        return np.where(np.isinf(mine) & np.isinf(theirs), 0.0, mine - theirs)


def compare(seeds: Sequence[np.ndarray]) -> Paired:
    """Compare over seeds, one array of `differences` of shape (n_s,) each, none empty."""
    pairs = np.concatenate(seeds)
    with np.errstate(invalid="ignore"):  # infinite differences of both signs: NaN
        means = np.array([tasks.mean() for tasks in seeds])
        mean = float(means.mean())  # each seed counts once
    ranks = rankdata(np.abs(pairs))
    finite = bool(np.isfinite(pairs).all())
    spread = float(np.std(pairs, ddof=1)) if finite and len(pairs) > 1 else 0.0
    return Paired(
        difference=mean,
        p=signed_rank_p(pairs),
        rank_biserial=float((np.sign(pairs) * ranks).sum() / ranks.sum()),
        d_z=float(pairs.mean() / spread) if spread else float("nan"),
        wins=int((pairs < 0).sum()),
        ties=int((pairs == 0).sum()),
        losses=int((pairs > 0).sum()),
        n_pairs=len(pairs),
        n_seeds=len(seeds),
        seeds_agreeing=int((np.sign(means) == np.sign(mean)).sum()),
    )


def signed_rank_p(pairs: np.ndarray) -> float:
    """Two-sided p value of the Wilcoxon signed-rank test; 1 where every difference is zero."""
    if not pairs.any():
        return 1.0
    return float(wilcoxon(pairs, zero_method="pratt").pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's corrected p values of a family, in the order given.

    The k-th smallest of m (k from 0) is multiplied by m - k, then made no smaller than those
    before it and no larger than 1.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    stepped = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(stepped, 1.0)
    return [float(value) for value in corrected]


def resampling(sizes: Sequence[int], name: str, draws: int = DRAWS) -> np.ndarray:
    """Weights of the pairs in each hierarchical resample, shape (draws, sum of sizes).

    A row times the pairs, seed after seed, is a resampled mean. The generator depends on `name`
    alone, so that no order of jobs or comparisons changes a draw.

    Args:
        sizes: number of tasks of each seed.
        name: says what is resampled, such as the setting and its seeds.
    """
    generator = np.random.default_rng([_SEED, zlib.crc32(name.encode())])
    size, n_seeds = np.asarray(sizes), len(sizes)
    start = np.concatenate([[0], np.cumsum(size)[:-1]])
    drawn = generator.integers(n_seeds, size=(draws, n_seeds, 1))
    uniform = generator.random((draws, n_seeds, size.max()))
    position = start[drawn] + (uniform * size[drawn]).astype(np.int64)
    used = np.arange(size.max()) < size[drawn]
    row = np.arange(draws)[:, None, None] * size.sum()
    weights = np.broadcast_to(1.0 / (size[drawn] * n_seeds), used.shape)
    flat = np.bincount((row + position)[used], weights[used], minlength=draws * size.sum())
    return flat.reshape(draws, -1)


def interval(pairs: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """Bounds of the mean difference at `LEVEL`; NaN where a difference is infinite.

    Args:
        pairs: differences of all seeds, one seed after another, shape (n,).
        weights: of `resampling`, shape (draws, n).
    """
    if not np.isfinite(pairs).all():
        return float("nan"), float("nan")
    lo, hi = np.quantile(weights @ pairs, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(lo), float(hi)


# Comparisons of errors seed by seed: on the same test tasks, or on others.
#
# On the same tasks, formulas are those above. Two sets of runs whose
# tasks differ have means m_1, m_2 and standard errors e_1, e_2 of pipeline/tables/pooling.py.
# Their
# difference has the standard error sqrt(e_1² + e_2²), and is compared with Student's t at the
# degrees of freedom of Welch (1947),
#
#     (e_1² + e_2²)² / (e_1⁴ / (n_1 - 1) + e_2⁴ / (n_2 - 1)),
#
# n_i the number of seeds; of tasks, where there is one seed. Everything signed is the first minus
# the second: negative where the first is better.

BySeed = dict[int, np.ndarray]


def errors_by_seed(runs: SettingRuns, label: str, step: int) -> BySeed:
    """Primary error of the test tasks, shape (n_s,), for each seed in which a method finished."""
    found = {seed: runs.task_errors(label, seed, step) for seed in runs.seeds}
    return {
        seed: frame[runs.measure.name].to_numpy(np.float64)
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
