"""The Gaussian model of ratings, against EM written out user by user, and formulas."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from pipeline.data.episodes import load_episodes
from pipeline.data.pools import FrozenTasks, ItemModel, TaskPool
from pipeline.runs.predictors import gaussian_items
from tests.unit.tiny_runs import RATINGS, make_files

USERS, ITEMS = 60, 6


def drawn(missing: float, users: int = USERS) -> np.ndarray:
    """Ratings (users, items) of one Gaussian, with holes; every user has one, some have all."""
    draw = np.random.default_rng(0)
    root = draw.standard_normal((ITEMS, ITEMS)) * 0.5
    table = draw.standard_normal((users, ITEMS)) @ root + np.arange(ITEMS) / 2
    holes = draw.random(table.shape) < missing
    holes[np.arange(users), draw.integers(0, ITEMS, users)] = False
    holes[:5] = False
    return np.where(holes, np.nan, table)


def written_out(items: ItemModel, table: np.ndarray) -> ItemModel:
    """One iteration of EM with the moments of every user: what `step` does all at once."""
    total, square = np.zeros(ITEMS), np.zeros((ITEMS, ITEMS))
    for ratings in table:
        seen = ~np.isnan(ratings)
        to, own = items.covariance[:, seen], items.covariance[np.ix_(seen, seen)]
        guess = items.mean + to @ np.linalg.solve(own, (ratings - items.mean)[seen])
        total += guess
        rest = items.covariance - to @ np.linalg.solve(own, to.T)
        square += np.outer(guess, guess) + rest
    mean = total / len(table)
    return ItemModel(mean, square / len(table) - np.outer(mean, mean))


def log_likelihood(items: ItemModel, table: np.ndarray) -> float:
    found = 0.0
    for ratings in table:
        seen = ~np.isnan(ratings)
        own = items.covariance[np.ix_(seen, seen)]
        found += multivariate_normal.logpdf(ratings[seen], items.mean[seen], own)
    return float(found)


def steps(table: np.ndarray, iterations: int) -> list[ItemModel]:
    found = [gaussian_items.start(table)]
    parts = list(gaussian_items._by_size(~np.isnan(table)))
    for _ in range(iterations):
        found.append(gaussian_items.step(found[-1], table, parts))
    return found


@pytest.mark.parametrize("missing", [0.2, 0.5, 0.8])
def test_an_iteration_is_that_of_every_user_one_by_one(missing: float) -> None:
    table = drawn(missing)
    for before, after in zip(found := steps(table, 3), found[1:], strict=False):
        wanted = written_out(before, table)
        np.testing.assert_allclose(after.mean, wanted.mean, atol=1e-12)
        np.testing.assert_allclose(after.covariance, wanted.covariance, atol=1e-11)


def test_many_users_in_small_stacks_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    table = drawn(0.5)
    whole, stacks = steps(table, 2)[-1], len([*gaussian_items._by_size(~np.isnan(table))])
    monkeypatch.setattr(gaussian_items, "_ENTRIES", 10)
    assert len([*gaussian_items._by_size(~np.isnan(table))]) > 2 * stacks
    np.testing.assert_allclose(steps(table, 2)[-1].covariance, whole.covariance, atol=1e-12)


@pytest.mark.parametrize("missing", [0.2, 0.5, 0.7])
def test_the_likelihood_rises_at_each_iteration(missing: float) -> None:
    table = drawn(missing, users=200)
    found = [log_likelihood(items, table) for items in steps(table, 12)]
    assert (np.diff(found) > 0).all()


def test_complete_ratings_give_their_mean_and_covariance() -> None:
    table = drawn(0.0)
    found = gaussian_items.fit(table, weight=0, iterations=1)
    np.testing.assert_allclose(found.mean, table.mean(0), atol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(table.T, bias=True), atol=1e-12)


def test_it_starts_at_the_model_of_the_user_s_offset() -> None:
    """Equal variances and equal correlations: the conditional mean is a shrunk mean residual."""
    items = gaussian_items.start(drawn(0.4))
    variance, between = items.covariance[0, 0], items.covariance[0, 1]
    assert np.ptp(np.diag(items.covariance)) == 0
    assert 0 < between < variance
    task = one_task(support=[0, 1], y=[2.0, 1.0], query=[3])
    residual = (np.array([2.0, 1.0]) - items.mean[:2]).sum() / (2 + variance / between - 1)
    found = gaussian_items.conditional_means(items, task)
    np.testing.assert_allclose(found, [[items.mean[3] + residual]])


def test_shrinkage_moves_towards_equal_variances_and_correlations() -> None:
    table = drawn(0.0)
    plain = gaussian_items.fit(table, 0, 1).covariance
    half = gaussian_items.shrunk(ItemModel(table.mean(0), plain), USERS, USERS).covariance
    target = 2 * half - plain
    off = ~np.eye(ITEMS, dtype=bool)
    np.testing.assert_allclose(np.diag(target), np.diag(plain).mean())
    wanted = max(plain[off].mean(), 0)
    np.testing.assert_allclose(target[off], wanted, atol=1e-12)


def one_task(support: list[int], y: list[float], query: list[int]) -> FrozenTasks:
    return FrozenTasks(
        tasks=np.array([1]),
        sx=np.array([support]),
        sy=np.array([y]),
        s_weight=np.ones((1, len(support))),
        qx=np.array([query]),
        qy=np.zeros((1, len(query))),
        q_weight=np.ones((1, len(query))),
    )


def test_the_prediction_is_the_conditional_mean() -> None:
    items = gaussian_items.fit(drawn(0.3), weight=5)
    found = gaussian_items.conditional_means(items, one_task([4, 1], [1.0, -2.0], [0, 5, 1]))
    # of the joint density of a query and the support, the place where it is largest
    seen = [4, 1]
    for query, value in zip([0, 5], found[0], strict=False):
        place = [query, *seen]
        joint = multivariate_normal(items.mean[place], items.covariance[np.ix_(place, place)])
        densities = [joint.logpdf([value + d, 1.0, -2.0]) for d in (-1e-3, 0, 1e-3)]
        assert max(densities) == densities[1]
        assert densities[0] == pytest.approx(densities[2], abs=1e-9)
    assert found[0, 2] == pytest.approx(-2.0)  # what was seen


def test_padding_is_not_looked_at() -> None:
    items = gaussian_items.fit(drawn(0.3), weight=5)
    task = one_task([4, 1], [1.0, -2.0], [0, 5])
    padded = replace(
        task,
        sx=np.array([[4, 1, 0, 0]]),
        sy=np.array([[1.0, -2.0, 1e6, 0.0]]),
        s_weight=np.array([[1.0, 1.0, 0.0, 0.0]]),
    )
    one, other = (gaussian_items.conditional_means(items, given) for given in (task, padded))
    np.testing.assert_array_equal(one, other)


def test_an_item_that_is_rated_twice_counts_with_its_mean() -> None:
    items = gaussian_items.fit(drawn(0.3), weight=5)
    twice, once = one_task([4, 1, 4], [1.0, -2.0, 2.0], [0]), one_task([4, 1], [1.5, -2.0], [0])
    one, other = (gaussian_items.conditional_means(items, given) for given in (twice, once))
    np.testing.assert_allclose(one, other)
    pool = TaskPool(
        tasks=np.array([1, 2]),
        x=np.array([0, 1, 0, 2]),
        y=np.array([1.0, 5.0, 2.0, 3.0]),
        starts=np.array([0, 3]),
        counts=np.array([3, 1]),
    )
    nan = np.nan
    wanted = [[1.5, 5.0, nan], [nan, nan, 3.0]]
    np.testing.assert_array_equal(gaussian_items.ratings_table(pool, 3), wanted)


def test_an_item_without_ratings_is_predicted_by_the_user_s_level() -> None:
    table = drawn(0.3)
    table[:, 2] = np.nan
    items = gaussian_items.fit(table, weight=50)
    low, high = (
        gaussian_items.conditional_means(items, one_task([0, 1], y, [2]))[0, 0]
        for y in ([-2.0, -2.0], [2.0, 2.0])
    )
    assert np.isfinite([low, high]).all()
    assert np.isfinite(items.covariance).all()
    assert (np.linalg.eigvalsh(items.covariance) > 0).all()


def test_ratings_that_are_all_alike_are_predicted() -> None:
    table = np.tile(np.arange(4.0), (8, 1))
    found = gaussian_items.conditional_means(
        gaussian_items.fit(table, weight=20), one_task([0], [0.0], [3])
    )
    np.testing.assert_allclose(found, [[3.0]])


def test_validation_tasks_choose_the_weight(
    tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The test tasks have no say: another weight may be better there."""
    episodes = load_episodes(*make_files(tmp_path, RATINGS))
    errors = {}
    for weight in gaussian_items.WEIGHTS:
        table = gaussian_items.ratings_table(episodes.train, episodes.n_items)
        found = gaussian_items.conditional_means(
            gaussian_items.fit(table, weight), episodes.validation
        )
        tasks = episodes.validation
        squares = ((found - tasks.qy) ** 2 * tasks.q_weight).sum(1) / tasks.q_weight.sum(1)
        errors[weight] = np.sqrt(squares).mean()
    best = min(errors, key=errors.__getitem__)
    chosen = gaussian_items.predict(episodes, episodes.test)
    assert f"weight of {best:g} users" in capsys.readouterr().err
    monkeypatch.setattr(gaussian_items, "WEIGHTS", (best,))
    np.testing.assert_array_equal(gaussian_items.predict(episodes, episodes.test), chosen)


def test_many_users_are_thinned_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaussian_items, "ENOUGH", 20)
    table = drawn(0.3)
    np.testing.assert_array_equal(gaussian_items.enough(table), table[::3])
    np.testing.assert_array_equal(gaussian_items.enough(table[:20]), table[:20])
    assert len(gaussian_items.enough(table[:21])) == 11
