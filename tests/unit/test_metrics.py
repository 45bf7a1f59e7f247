"""Errors of test tasks against numbers worked out by hand."""

import numpy as np
import pytest

from pipeline.metrics import task_errors
from pipeline.records import METRICS


def errors(prediction, target, weight, **units):
    arrays = (np.array(a, dtype=float) for a in (prediction, target, weight))
    return task_errors(*arrays, **({"target_std": 2.0, "target_range": 8.0} | units))


def test_by_hand():
    found = errors([[1, 5], [2, 2]], [[4, 1], [2, 0]], [[1, 1], [1, 1]])
    # errors 3 and 4: mean square 12.5; targets 4 and 1: norm sqrt(17)
    np.testing.assert_allclose(found["rmse"], [12.5**0.5, 2**0.5])
    np.testing.assert_allclose(found["nrmse"], [12.5**0.5 / 2, 2**0.5 / 2])
    np.testing.assert_allclose(found["rmse_over_range"], [12.5**0.5 / 8, 2**0.5 / 8])
    np.testing.assert_allclose(found["relative_l2"], [5 / 17**0.5, 1])
    np.testing.assert_allclose(found["mae"], [3.5, 1])
    assert found["n_query"].tolist() == [2, 2]
    assert found.keys() == {"n_query", *METRICS}


def test_padding_does_not_count():
    whole = errors([[1, 5]], [[4, 1]], [[1, 1]])
    padded = errors([[1, 5, 99, -7]], [[4, 1, 0, 3]], [[1, 1, 0, 0]])
    for name in whole:
        np.testing.assert_array_equal(padded[name], whole[name], err_msg=name)


def test_padding_may_hold_anything():
    found = errors([[1, np.nan]], [[4, np.inf]], [[1, 0]])
    assert found["rmse"].tolist() == [3]
    assert found["relative_l2"].tolist() == [0.75]


def test_targets_of_zero_have_no_relative_error():
    found = errors([[1, 1], [1, 1]], [[0, 0], [0, 2]], [[1, 1], [1, 1]])
    assert np.isnan(found["relative_l2"][0])
    assert found["relative_l2"][1] == pytest.approx(2**0.5 / 2)
    assert found["rmse"].tolist() == [1, 1]


def test_a_perfect_prediction():
    found = errors([[1, 2]], [[1, 2]], [[1, 1]])
    assert all(found[name].tolist() == [0] for name in METRICS)
