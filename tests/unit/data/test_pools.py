"""Drawing meta-batches, padding and scaling."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.pools import Scaling, TaskPool, group_rows, pad_rows
from pipeline.errors import BadInput

COUNTS = st.lists(st.integers(1, 12), min_size=3, max_size=10)


def pool_of(counts, inputs=0):
    """Tasks whose rows are numbered: x is the row (or inputs copies of it), y is 1000 + row."""
    counts = np.array(counts)
    rows = np.arange(counts.sum())
    x = rows if not inputs else np.repeat(rows[:, None], inputs, axis=1).astype(float)
    starts = np.cumsum(counts) - counts
    return TaskPool(np.arange(len(counts)) * 7, x, 1000.0 + rows, starts, counts)


@settings(deadline=None)
@given(counts=COUNTS, support=st.integers(1, 3), query=st.integers(1, 3), seed=st.integers(0, 99))
def test_a_batch_is_rows_of_different_tasks_without_overlap(counts, support, query, seed):
    pool = pool_of(counts)
    n_tasks = sum(count >= support + query for count in counts)
    generator = np.random.default_rng(seed)
    if n_tasks < 2:
        with pytest.raises(BadInput, match=f"found {n_tasks} with at least {support + query}"):
            pool.draw(2, support, query, generator)
        return
    sx, sy, qx, qy = pool.draw(2, support, query, generator)
    assert sx.shape == sy.shape == (2, support)
    assert qx.shape == qy.shape == (2, query)
    np.testing.assert_array_equal(sy, 1000 + sx)
    np.testing.assert_array_equal(qy, 1000 + qx)
    rows = np.concatenate([sx, qx], axis=1)
    owners = np.searchsorted(pool.starts, rows, side="right") - 1
    assert (owners == owners[:, :1]).all()
    assert owners[0, 0] != owners[1, 0]
    assert all(len(set(task)) == support + query for task in rows.tolist())


def test_inputs_with_several_columns():
    sx, _, qx, _ = pool_of([10, 10, 10], inputs=2).draw(3, 4, 5, np.random.default_rng(0))
    assert sx.shape == (3, 4, 2)
    assert qx.shape == (3, 5, 2)


def test_every_task_and_every_row_is_drawn_alike():
    pool, generator = pool_of([4, 6, 3, 5]), np.random.default_rng(0)
    support = np.zeros(18)
    drawn = np.zeros(18)
    for _ in range(6000):
        sx, _, qx, _ = pool.draw(2, 1, 3, generator)
        np.add.at(support, sx.ravel(), 1)
        np.add.at(drawn, np.concatenate([sx, qx], axis=1).ravel(), 1)
    # Task 2 has too few rows; of the other three, two are drawn each time.
    assert not drawn[10:13].any()
    for first, last, count in ((0, 4, 4), (4, 10, 6), (13, 18, 5)):
        np.testing.assert_allclose(drawn[first:last], 4000 * 4 / count, rtol=0.06)
        np.testing.assert_allclose(support[first:last], 4000 / count, rtol=0.15)


def test_the_generator_decides():
    pool = pool_of([9, 8, 7])
    same = [pool.draw(2, 2, 2, np.random.default_rng(5))[0].tolist() for _ in range(2)]
    assert same[0] == same[1]
    assert pool.draw(2, 2, 2, np.random.default_rng(6))[0].tolist() != same[0]


def test_groups_and_padding():
    keys = np.array([4, 4, 9, 2, 2, 2])
    ids, starts, counts = group_rows(keys)
    assert (ids.tolist(), starts.tolist(), counts.tolist()) == ([4, 9, 2], [0, 2, 3], [2, 1, 3])
    padded, weight = pad_rows(np.arange(1.0, 7.0), starts, counts)
    assert padded.tolist() == [[1, 2, 0], [3, 0, 0], [4, 5, 6]]
    assert weight.tolist() == [[1, 1, 0], [1, 0, 0], [1, 1, 1]]


def test_no_groups_at_all():
    ids, starts, counts = group_rows(np.array([], dtype=int))
    padded, weight = pad_rows(np.empty((0, 2)), starts, counts)
    assert (len(ids), padded.shape, weight.shape) == (0, (0, 0, 2), (0, 0))


def test_scaling_goes_there_and_back():
    scaling = Scaling([1.0, 2.0], [2.0, 4.0], 3.0, 0.5, 0.5)
    y = np.array([[1.0, 2.5]])
    np.testing.assert_allclose(scaling.scale_y(y), [[-4.0, -1.0]])
    np.testing.assert_allclose(scaling.to_raw_y(scaling.scale_y(y)), y)
    np.testing.assert_allclose(scaling.scale_x(np.array([[3.0, -2.0]])), [[1.0, -1.0]])
    items = np.array([3, 1])
    assert Scaling([], [], 0.0, 1.0, 1.0).scale_x(items) is items
