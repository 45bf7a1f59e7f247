"""Paired statistics against hand-computed values, enumeration and a simulated hierarchy."""

import math
from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from pipeline.tables.paired import compare, differences, holm, interval, resampling


def p_by_enumeration(pairs: list[float]) -> float:
    """Two-sided: share of sign patterns whose rank sum is as far from its mean, zeros as Pratt."""
    ranks = [
        sum(abs(b) < abs(a) for b in pairs) + (1 + sum(abs(b) == abs(a) for b in pairs)) / 2
        for a in pairs
    ]
    kept = [(rank, d > 0) for rank, d in zip(ranks, pairs, strict=True) if d]
    middle = sum(rank for rank, _ in kept) / 2
    found = abs(sum(rank for rank, up in kept if up) - middle)
    patterns = list(product((0, 1), repeat=len(kept)))
    far = [
        abs(sum(sign * rank for sign, (rank, _) in zip(signs, kept, strict=True)) - middle) >= found
        for signs in patterns
    ]
    return sum(far) / len(patterns)


def test_wins_everywhere_by_hand():
    """Five wins: 2 of 32 sign patterns are as extreme."""
    found = compare([np.array([-1.0, -2.0, -3.0]), np.array([-4.0, -5.0])])
    assert found.p == 2 / 32
    assert found.rank_biserial == -1.0
    assert found.difference == (-2.0 - 4.5) / 2  # each seed counts once
    assert found.d_z == pytest.approx(-3 / math.sqrt(2.5))
    assert (found.wins, found.ties, found.losses) == (5, 0, 0)
    assert (found.n_pairs, found.n_seeds, found.seeds_agreeing) == (5, 2, 2)


def test_published_example():
    """Wilcoxon 1945, heights of cross- and self-fertilised plants: T = 24 of 120, p = 0.0413."""
    d = [6.0, 8, 14, 16, 23, 24, 28, 29, 41, -48, 49, 56, 60, -67, 75]
    found = compare([np.array(d)])
    assert found.p == pytest.approx(0.041259765625)
    assert found.rank_biserial == pytest.approx((96 - 24) / 120)


@pytest.mark.parametrize(
    "pairs", [[1.0, 2, 0, 4, -5, 2], [1.0, 1, 1, -1], [0.0, 0, 0, 3], [1.0, -2, 3, -4, 5, 6]]
)
def test_ties_and_zeros_against_enumeration(pairs):
    assert compare([np.array(pairs)]).p == pytest.approx(p_by_enumeration(pairs))


def test_zeros_favour_nobody_but_keep_their_ranks():
    """Ranks 1.5, 1.5 (zeros), 3, 4: (-3 - 4) / 10."""
    found = compare([np.array([0.0, -1.0, 0.0, -2.0])])
    assert found.rank_biserial == pytest.approx(-0.7)
    assert (found.wins, found.ties, found.losses) == (2, 2, 0)


def test_many_pairs_have_the_normal_approximation():
    n = 80
    pairs = np.where(np.arange(n) % 3 == 0, 1.0, -1.0) * np.arange(1, n + 1)
    smaller = pairs[pairs > 0].sum()
    z = (smaller - n * (n + 1) / 4) / math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    assert compare([pairs]).p == pytest.approx(2 * norm.cdf(z))


def test_equal_errors_are_no_difference():
    found = compare([np.zeros(4)])
    assert (found.p, found.rank_biserial, found.ties) == (1.0, 0.0, 4)
    assert math.isnan(found.d_z)


def test_seeds_that_disagree_are_counted():
    found = compare([np.array([-1.0, -2.0]), np.array([0.5, 0.5]), np.array([-1.0, -1.0])])
    assert (found.n_seeds, found.seeds_agreeing) == (3, 2)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_task_is_worse_than_any_other(bad):
    pairs = differences(np.array([bad, 1.0, bad, 2.0]), np.array([9.0, 1.5, bad, bad]))
    assert pairs.tolist() == [math.inf, -0.5, 0.0, -math.inf]
    found = compare([pairs[:3]])
    assert (found.wins, found.ties, found.losses) == (1, 1, 1)
    assert found.rank_biserial == pytest.approx((3 - 2) / 6)
    assert found.difference == math.inf
    assert math.isnan(found.d_z)
    assert math.isnan(compare([pairs]).difference)
    assert math.isnan(interval(pairs, resampling([4], "x"))[0])


def test_holm_by_hand():
    """0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1 raised to the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([]) == []


def test_resampled_means_are_those_of_seeds_then_tasks():
    """Of seeds with constant differences, each resampled mean is one of a few; unequal sizes."""
    weights = resampling([2, 5], "x", draws=400)
    assert weights.sum(1) == pytest.approx(np.ones(400))
    means = weights @ np.array([1.0, 1.0, 3.0, 3.0, 3.0, 3.0, 3.0])
    values, counts = np.unique(means.round(12), return_counts=True)
    assert values.tolist() == [1.0, 2.0, 3.0]
    assert counts / 400 == pytest.approx([0.25, 0.5, 0.25], abs=0.08)


def test_one_seed_resamples_its_tasks():
    pairs = np.random.default_rng(0).standard_normal(200)
    lo, hi = interval(pairs, resampling([200], "x", draws=4000))
    half = 1.96 * pairs.std(ddof=1) / math.sqrt(200)
    assert (lo, hi) == pytest.approx((pairs.mean() - half, pairs.mean() + half), abs=0.15 * half)


def test_draws_depend_on_the_name_alone():
    assert np.array_equal(resampling([3, 4], "a"), resampling([3, 4], "a"))
    assert not np.array_equal(resampling([3, 4], "a"), resampling([3, 4], "b"))


def test_interval_covers_the_mean_of_a_hierarchical_model():
    """12 seeds of 20 tasks, both of spread 1; resampling tasks alone covers far too rarely."""
    generator, n_seeds, n_tasks = np.random.default_rng(4), 12, 20
    both = resampling([n_tasks] * n_seeds, "both", draws=600)
    tasks_alone = resampling([n_tasks * n_seeds], "tasks", draws=600)
    covered = {"both": 0, "tasks": 0}
    repeats = 400
    for _ in range(repeats):
        seeds = generator.standard_normal((n_seeds, 1))
        pairs = (seeds + generator.standard_normal((n_seeds, n_tasks))).ravel()
        for name, weights in (("both", both), ("tasks", tasks_alone)):
            lo, hi = interval(pairs, weights)
            covered[name] += lo <= 0 <= hi
    assert 0.89 <= covered["both"] / repeats <= 0.98
    assert covered["tasks"] / repeats < 0.6
