"""Paired and unpaired comparisons against numbers worked out by hand and by scipy."""

import math

import numpy as np
import pytest
from scipy import stats

from pipeline.tables.paired import correct, holm, paired, unpaired


def test_paired_differences_are_taken_task_by_task_on_the_seeds_of_both():
    first = {0: np.array([3.0, 5.0, 8.0]), 1: np.array([9.0, 9.0, 9.0])}
    second = {0: np.array([1.0, 4.0, 7.0]), 2: np.array([0.0, 0.0, 0.0])}
    found = paired(first, second, "here")
    assert found["difference"] == pytest.approx(4 / 3)  # (2 + 1 + 1) / 3
    assert (found["wins"], found["losses"], found["n_pairs"], found["n_seeds"]) == (0, 3, 3, 1)
    assert found["p"] == pytest.approx(stats.wilcoxon([2.0, 1.0, 1.0]).pvalue)
    assert 1.0 <= found["lo"] <= found["difference"] <= found["hi"] <= 2.0


def test_nothing_in_common_is_no_comparison():
    assert paired({0: np.ones(2)}, {1: np.ones(2)}, "here") == {}
    assert unpaired({}, {0: np.ones(2)}) == {}


def test_of_one_seed_means_are_compared_as_by_welchs_test():
    """scipy's own Welch test of the tasks is the reference."""
    draw = np.random.default_rng(3)
    first, second = draw.normal(1.0, 0.2, 30), draw.normal(0.8, 0.5, 17)
    found = unpaired({0: first}, {0: second})
    test = stats.ttest_ind(first, second, equal_var=False)
    around = test.confidence_interval(0.95)
    assert found["p"] == pytest.approx(test.pvalue)
    assert found["difference"] == pytest.approx(first.mean() - second.mean())
    assert (found["lo"], found["hi"]) == pytest.approx((around.low, around.high))


def test_of_several_seeds_their_means_are_the_sample():
    """Where the seeds' means spread more than their tasks explain, scipy's test of the means."""
    first = {
        seed: np.array([mean - 1e-6, mean + 1e-6]) for seed, mean in enumerate((1.0, 2.0, 6.0))
    }
    second = {seed: np.array([mean - 1e-6, mean + 1e-6]) for seed, mean in enumerate((0.5, 0.1))}
    found = unpaired(first, second)
    test = stats.ttest_ind([1.0, 2.0, 6.0], [0.5, 0.1], equal_var=False)
    assert found["p"] == pytest.approx(test.pvalue)
    assert found["hi"] == pytest.approx(test.confidence_interval().high)


def test_errors_that_are_not_finite_leave_a_mean_undefined():
    found = unpaired({0: np.array([1.0, np.inf])}, {0: np.array([1.0, 2.0])})
    assert all(math.isnan(found[key]) for key in ("difference", "lo", "hi", "p"))


def test_no_spread_at_all_has_no_p_value():
    found = unpaired({0: np.ones(3)}, {0: np.zeros(3)})
    assert (found["difference"], found["lo"], found["hi"]) == (1.0, 1.0, 1.0)
    assert math.isnan(found["p"])


def test_only_rows_with_a_p_value_share_in_the_correction():
    rows = [{"p": 0.01}, {"p": math.nan}, {}, {"p": 0.03}]
    correct(rows)
    assert [rows[0]["p_holm"], rows[3]["p_holm"]] == holm([0.01, 0.03]) == [0.02, 0.03]
    assert "p_holm" not in rows[1]
    assert "p_holm" not in rows[2]
