"""`TaskBatch` refuses what does not fit, and normalises weights."""

import numpy as np
import pytest
import torch

from pipeline.core import TaskBatch

X, Y = np.zeros((2, 3, 4)), np.zeros((2, 3))


def test_weights_sum_to_one_in_each_task():
    weight = np.array([[1.0, 1.0, 0.0], [2.0, 0.0, 0.0]])
    batch = TaskBatch.from_arrays(X, Y, X, Y, support_weight=weight)
    assert batch.support.weight.tolist() == [[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]
    torch.testing.assert_close(batch.query.weight, torch.full((2, 3), 1 / 3).double())


def test_dtype_follows_targets_or_the_argument():
    assert TaskBatch.from_arrays(X, Y, X, Y).support.x.dtype == torch.float64
    batch = TaskBatch.from_arrays(X, Y, X, Y, dtype=torch.float32)
    assert {batch.support.x.dtype, batch.query.weight.dtype} == {torch.float32}
    indexed = TaskBatch.from_arrays(Y.astype(int), Y, Y.astype(int), Y, dtype=torch.float32)
    assert indexed.support.x.dtype == torch.int64
    assert indexed.support.is_indexed


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sx": np.zeros((2, 4, 4))}, "support: found inputs"),
        ({"qx": np.zeros((2, 3))}, "integer item indices"),
        ({"qx": np.zeros((2, 3, 5))}, "differ in their features"),
        ({"qx": np.zeros((1, 3, 4)), "qy": np.zeros((1, 3))}, "same tasks"),
        ({"sx": np.zeros((2, 0, 4)), "sy": np.zeros((2, 0))}, "every task needs a row"),
        ({"sy": np.full((2, 3), np.nan)}, "targets hold NaN"),
        ({"qx": np.full((2, 3, 4), np.inf)}, "inputs hold NaN"),
        ({"support_weight": -np.ones((2, 3))}, "non-negative"),
        ({"support_weight": np.ones((2, 2))}, "non-negative and of shape"),
        ({"query_weight": np.zeros((2, 3))}, "no row of positive weight"),
        ({"sx": np.full((2, 3), -1), "qx": np.zeros((2, 3), int)}, "indices start at 0"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TaskBatch.from_arrays(**({"sx": X, "sy": Y, "qx": X, "qy": Y} | change))
