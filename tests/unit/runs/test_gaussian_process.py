"""The Gaussian process of tasks, against scikit-learn on one task and the formulas."""

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from pipeline.data.pools import Episodes, FrozenTasks, Scaling, TaskPool
from pipeline.runs.predictors import gaussian_process
from pipeline.runs.predictors.gaussian_process import most_likely

ROWS = 25


def kernel():
    return ConstantKernel(1.0) * Matern([1.0, 1.0], nu=2.5) + WhiteKernel(0.1)


def draw_tasks(number: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Smooth functions of the first of two inputs, each with a level of its own."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        x = draw.uniform(-2, 2, (ROWS, 2))
        level, phase = draw.normal(0, 2), draw.uniform(0, 6)
        found.append((x, level + np.sin(2 * x[:, 0] + phase) + x[:, 0]))
    return found


def episodes(inputs: tuple[int, ...] = (2,)) -> Episodes:
    tasks = draw_tasks(8)
    x = np.concatenate([x for x, _ in tasks]).reshape(-1, *inputs)
    pool = TaskPool(
        np.arange(8),
        x,
        np.concatenate([y for _, y in tasks]) * 10 + 50,  # not standardised
        np.arange(8) * ROWS,
        np.full(8, ROWS),
    )
    held_out = draw_tasks(3, seed=1)
    x, y = (np.stack(part) for part in zip(*held_out, strict=True))
    x, y = x.reshape(3, ROWS, *inputs), y * 10 + 50
    weights = np.ones((3, ROWS))
    test = FrozenTasks(
        np.arange(3), x[:, :12], y[:, :12], weights[:, :12], x[:, 12:], y[:, 12:], weights[:, 12:]
    )
    return Episodes(pool, test, test, Scaling([], [], 0.0, 1.0, 1.0), 0, {})


@pytest.fixture(scope="module")
def predicted() -> np.ndarray:
    return gaussian_process.predict(episodes(), episodes().test)


def test_of_one_task_it_is_scikit_learn_s_own_fit() -> None:
    ((x, y),) = draw_tasks(1)
    value, found = most_likely(kernel(), [(x, y)])
    wanted = GaussianProcessRegressor(kernel()).fit(x, y)
    assert value == pytest.approx(wanted.log_marginal_likelihood_value_)
    np.testing.assert_allclose(found.theta, wanted.kernel_.theta, rtol=1e-4)


def test_of_several_tasks_it_maximises_the_sum() -> None:
    tasks = draw_tasks(3)
    value, found = most_likely(kernel(), tasks)

    def total(theta: np.ndarray) -> float:
        regressors = [GaussianProcessRegressor(kernel(), optimizer=None).fit(*t) for t in tasks]
        return sum(each.log_marginal_likelihood(theta) for each in regressors)

    assert value == pytest.approx(total(found.theta))
    inside = (found.theta > found.bounds[:, 0] + 0.1) & (found.theta < found.bounds[:, 1] - 0.1)
    assert inside.any()
    for place in np.flatnonzero(inside):
        for by in (-0.1, 0.1):
            moved = found.theta.copy()
            moved[place] += by
            assert total(moved) < value


def test_the_prediction_is_the_conditional_mean() -> None:
    given = episodes()
    process = gaussian_process.fit(given.train)
    test = given.test
    x, y, query = test.sx[0], test.sy[0], test.qx[0]
    common, k = process.common.predict, process.kernel
    rest = (y - process.mean) / process.deviation - common(x)
    # between rows that differ there is no noise: k(x, x') of two arrays has none
    mean = common(query) + k(query, x) @ np.linalg.solve(k(x), rest)
    found = gaussian_process.conditional_mean(process, (x, y), query)
    np.testing.assert_allclose(found, process.mean + process.deviation * mean, rtol=1e-6)


def test_it_learns_what_tasks_have_in_common(predicted: np.ndarray) -> None:
    test = episodes().test
    error = np.sqrt(((predicted - test.qy) ** 2).mean(1)) / test.qy.std(1)
    assert (error < 0.3).all()


def test_it_gives_the_same_twice_and_on_inputs_of_any_shape(predicted: np.ndarray) -> None:
    given = episodes((2, 1, 1))
    np.testing.assert_array_equal(gaussian_process.predict(given, given.test), predicted)


def test_many_inputs_share_one_length() -> None:
    draw = np.random.default_rng(0)
    x = draw.standard_normal((20, gaussian_process.SEPARATE + 1))
    found = gaussian_process._likeliest([(x, x[:, 0])], level=True)
    assert len(found.theta) == 4
