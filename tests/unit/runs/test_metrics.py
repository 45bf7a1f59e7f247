"""Errors of test tasks against numbers worked out by hand."""

import numpy as np
import pytest

from pipeline.config.measures import CLASSES
from pipeline.runs.metrics import (
    class_errors,
    derived_errors,
    log_probabilities,
    support_rmse,
    task_errors,
)
from pipeline.runs.records import METRICS


def errors(prediction, target, weight, **units):
    arrays = (np.array(a, dtype=float) for a in (prediction, target, weight))
    return task_errors(*arrays, **({"target_std": 2.0, "target_range": 8.0} | units))


def test_by_hand():
    found = errors([[1, 5], [2, 2]], [[4, 1], [2, 0]], [[1, 1], [1, 1]])
    # errors 3 and 4: mean square 12.5; targets 4 and 1: norm sqrt(17)
    wanted = {
        "rmse": [12.5**0.5, 2**0.5],
        "nrmse": [12.5**0.5 / 2, 2**0.5 / 2],
        "rmse_over_range": [12.5**0.5 / 8, 2**0.5 / 8],
        "relative_l2": [5 / 17**0.5, 1],
        "mae": [3.5, 1],
        "target_norm": [17**0.5, 2],
        "query_std": [1.5, 1],
    }
    assert found["n_query"].tolist() == [2, 2]
    assert found.keys() == {"n_query", *wanted}
    assert set(METRICS) <= wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=3e-7, err_msg=name)
        assert found[name].dtype == np.float32


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
    assert found["relative_l2"][1] == pytest.approx(2**0.5 / 2, rel=3e-7)
    assert found["rmse"].tolist() == [1, 1]


def test_a_perfect_prediction():
    found = errors([[1, 2]], [[1, 2]], [[1, 1]])
    assert all(found[name].tolist() == [0] for name in METRICS)


def test_derived_errors_follow_from_what_is_kept_to_the_last_bit():
    draw = np.random.default_rng(0)
    given = draw.normal(size=(50, 7)), draw.normal(size=(50, 7)), draw.uniform(size=(50, 7)) > 0.2
    found = errors(*given)
    kept = {name: found[name] for name in ("rmse", "n_query", "target_norm")}
    for name, values in derived_errors(kept, target_std=2.0, target_range=8.0).items():
        np.testing.assert_array_equal(values, found[name], err_msg=name)


def test_an_error_beyond_single_precision_is_infinite():
    found = errors([[1e60, 0]], [[0, 0]], [[1, 1]])
    assert np.isinf(found["rmse"][0])
    assert np.isinf(found["nrmse"][0])


def test_support_rows_count_without_padding():
    found = support_rmse(np.array([[1.0, 5, 9]]), np.array([[4.0, 1, 0]]), np.array([[1, 1, 0]]))
    assert found[0] == pytest.approx(12.5**0.5, rel=3e-7)


def class_errors_of(p, target, weight):
    with np.errstate(divide="ignore"):
        log_p = np.log(np.array(p, dtype=float))
    return class_errors(log_p, np.array(target), np.array(weight, dtype=float))


def test_errors_of_classes_by_hand():
    p = [
        [[0.7, 0.2, 0.1], [0.25, 0.5, 0.25], [0.1, 0.85, 0.05]],
        [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.2, 0.6]],
    ]
    found = class_errors_of(p, [[0, 2, 1], [0, 2, 2]], [[1, 1, 1], [1, 1, 0]])
    wanted = {
        "log_loss": [-(np.log(0.7) + np.log(0.25) + np.log(0.85)) / 3, 0],
        "accuracy": [2 / 3, 1],
        # rows of squares .09 + .04 + .01, .0625 + .25 + .5625 and .01 + .0225 + .0025
        "brier": [(0.14 + 0.875 + 0.035) / 3, 0],
        # bins [.5, .6), [.7, .8), [.8, .9) of one row each: |0 - .5|, |1 - .7|, |1 - .85|
        "calibration": [(0.5 + 0.3 + 0.15) / 3, 0],
    }  # fmt: skip
    assert found.keys() == {"n_query", *CLASSES.metrics} == {"n_query", *wanted}
    assert found["n_query"].tolist() == [3, 2]
    for name, values in wanted.items():
        np.testing.assert_allclose(found[name], values, rtol=3e-7, atol=1e-7, err_msg=name)
        assert found[name].dtype == np.float32


def test_calibration_joins_the_rows_of_a_bin():
    p = [[[0.62, 0.38], [0.68, 0.32], [0.65, 0.35], [0.35, 0.65]]]
    found = class_errors_of(p, [[0, 0, 1, 1]], np.ones((1, 4)))
    assert found["calibration"][0] == pytest.approx(abs(3 - 2.6) / 4, rel=1e-6)


def test_what_was_thought_impossible_is_an_infinite_loss():
    found = class_errors_of([[[1.0, 0.0]]], [[1]], [[1]])
    assert np.isinf(found["log_loss"][0])


def test_log_probabilities_of_log_odds():
    one = np.array([[0.0, 2.0, 800.0]])
    two = np.stack([np.zeros_like(one), one], axis=-1)
    found = log_probabilities(one)
    np.testing.assert_allclose(found, log_probabilities(two + 5.0), atol=1e-12)
    np.testing.assert_allclose(found[0, 1], [-2 - np.log1p(np.exp(-2)), -np.log1p(np.exp(-2))])
    assert np.isfinite(found).all()
