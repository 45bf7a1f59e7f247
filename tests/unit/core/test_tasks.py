"""`TaskBatch` refuses what does not fit, and normalises weights."""

import numpy as np
import pytest
import torch

from pipeline.core import Rows, TaskBatch

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


@pytest.mark.parametrize("shape", [(), (5,), (2, 4, 4)])
@pytest.mark.parametrize("outputs", [(), (3,)])
def test_inputs_and_targets_of_any_shape(shape, outputs):
    rows = Rows.from_arrays(np.zeros((2, 3, 1, *shape)), np.zeros((2, 3, *outputs)))
    assert (rows.x.shape, rows.y.shape) == ((2, 3, 1, *shape), (2, 3, *outputs))
    assert len(rows) == 2


def test_whole_numbers_stay_classes_and_one_output_is_none():
    rows = Rows.from_arrays(X, np.array([[0, 1, 2], [2, 1, 0]]), dtype=torch.float32)
    assert rows.y.dtype == torch.int64
    assert rows.weight.dtype == torch.float32
    assert Rows.from_arrays(X, np.zeros((2, 3, 1))).y.shape == (2, 3)


def test_ragged_tasks_are_padded_by_rows_of_no_weight():
    xs = [np.arange(2.0)[:, None], np.arange(3.0)[:, None] + 5]
    rows = Rows.from_tasks(xs, [np.array([1.0, 2.0]), np.array([3.0, 4.0, 5.0])])
    assert rows.x.squeeze(2).tolist() == [[0, 1, 0], [5, 6, 7]]
    assert rows.y.tolist() == [[1, 2, 1], [3, 4, 5]]
    assert rows.weight.tolist() == [[0.5, 0.5, 0], [1 / 3] * 3]
    items = Rows.from_tasks([[4], [1, 2]], [[0], [1, 0]])
    assert items.x.tolist() == [[4, 4], [1, 2]]
    assert items.y.dtype == torch.int64


@pytest.mark.parametrize(
    ("xs", "ys", "message"),
    [
        ([], [], "found 0 inputs"),
        ([X[0]], [], "found 1 inputs and 0 targets"),
        ([X[0], X[1]], [Y[0], Y[1, :2]], r"task 1 has inputs \(3, 4\) and targets \(2,\)"),
        ([X[0], X[1, :0]], [Y[0], Y[1, :0]], "a row or more"),
        ([X[0], X[1, :, :2]], [Y[0], Y[1]], r"task 1 have rows of shape \(2,\)"),
        ([X[0], "text"], [Y[0], Y[1]], "task 1 must be a full array"),
        ([X[0], X[1] * np.nan], [Y[0], Y[1]], "inputs hold NaN"),
        ([0.0], [0.0], "task 0 has inputs"),
    ],
)
def test_ragged_tasks_that_do_not_fit_are_refused(xs, ys, message):
    with pytest.raises(ValueError, match=message):
        Rows.from_tasks(xs, ys)


def test_a_batch_of_some_tasks():
    batch = TaskBatch.from_arrays(X + np.arange(2)[:, None, None], Y, X, Y)
    assert batch.select(torch.tensor([1])).support.x.unique().tolist() == [1]
    with pytest.raises(ValueError, match="same tasks"):
        TaskBatch(batch.support, batch.query.select(slice(0, 1)))
