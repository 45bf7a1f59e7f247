"""Means and standard errors over tasks and seeds, against hand-computed values."""

import math

import numpy as np
import pytest

from pipeline.tables.pooling import gain, pool


def test_one_seed_has_the_standard_error_over_tasks():
    """[1, 3]: variance 2, of the mean 2/2 = 1."""
    pooled = pool([np.array([1.0, 3.0])])
    assert (pooled.mean, pooled.stderr, pooled.n_values) == (2.0, 1.0, 2)
    assert math.isnan(pooled.seed_std)


def test_seeds_that_differ_count_as_draws():
    """Means 2 and 6: between 8, within 1, stderr sqrt(8/2)."""
    pooled = pool([np.array([1.0, 3.0]), np.array([5.0, 7.0])])
    assert (pooled.mean, pooled.stderr) == (4.0, 2.0)
    assert pooled.seed_std == pytest.approx(math.sqrt(8))


def test_seeds_that_agree_by_chance_keep_the_spread_of_their_tasks():
    pooled = pool([np.array([1.0, 3.0]), np.array([1.0, 3.0])])
    assert pooled.stderr == pytest.approx(math.sqrt(1 / 2))


def test_each_seed_counts_once_whatever_its_number_of_tasks():
    assert pool([np.array([1.0, 1.0, 1.0, 1.0]), np.array([3.0])]).mean == 2.0


def test_one_task_per_seed_leaves_the_spread_between_seeds():
    assert pool([np.array([1.0]), np.array([3.0])]).stderr == pytest.approx(1.0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_diverged_task_is_not_averaged_away(bad):
    pooled = pool([np.array([1.0, bad])])
    assert math.isnan(pooled.mean)
    assert pooled.n_not_finite == 1


def test_gain_is_percent_of_the_reference():
    assert gain(1.5, 2.0) == 25.0
    assert gain(3.0, 2.0) == -50.0
    assert math.isnan(gain(1.0, 0.0))
