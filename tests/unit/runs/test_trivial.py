"""The predictors to beat, against numbers worked out by hand and simulated variances."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.config.predictors import PREDICTORS
from pipeline.data.episodes import load_episodes
from pipeline.data.pools import Episodes, FrozenTasks, Scaling, TaskPool
from pipeline.runs.trivial import item_means, trivial_predictions, user_shrinkage
from tests.unit.tiny_runs import RATINGS, SYNTHETIC, make_files


def trivial(kind: str) -> list[str]:
    """Those of a kind of data that stand in every grid, by their cards."""
    cards = PREDICTORS.items()
    return [name for name, card in cards if kind in card.of and not card.asked_for]


def hand_made(n_items: int = 3) -> Episodes:
    """Two users who rated items 0 and 1; a test user with support [0], query [1, 2]."""
    pool = TaskPool(
        tasks=np.array([1, 2]),
        x=np.array([0, 1, 0, 1]),
        y=np.array([1.0, 3.0, 3.0, 5.0]),
        starts=np.array([0, 2]),
        counts=np.array([2, 2]),
    )
    test = FrozenTasks(
        tasks=np.array([7]),
        sx=np.array([[0, 0]]),
        sy=np.array([[5.0, 0.0]]),
        s_weight=np.array([[1.0, 0.0]]),
        qx=np.array([[1, 2]]),
        qy=np.array([[4.0, 4.0]]),
        q_weight=np.ones((1, 2)),
    )
    return Episodes(pool, test, test, Scaling([], [], 0.0, 1.0, 1.0), n_items, {})


def test_rating_predictors_by_hand():
    episodes = hand_made()
    found = trivial_predictions(episodes, episodes.test)
    assert list(found) == trivial("ratings")
    # item means 2 and 4; item 2 was never rated: the global mean 3
    np.testing.assert_allclose(found["global_mean"], [[3, 3]])
    np.testing.assert_allclose(found["item_mean"], [[4, 3]])
    # residuals -1, -1 | 1, 1: users differ, their rows do not, so nothing is shrunk; the
    # test user's one residual is 5 - 2 = 3
    np.testing.assert_allclose(found["item_user_offset"], [[7, 6]])


def test_the_offset_is_shrunk():
    episodes = hand_made()
    pool = replace(episodes.train, y=np.array([1.0, 3.0, 2.0, 6.0]))
    # item means 1.5, 4.5; residuals -.5, -1.5 | .5, 1.5: means -1, 1; within = 4 * .25 / 2 = .5;
    # around = 2 * (1 + 1) / 1 = 4; size = 2; between = 1.75; k = .5 / 1.75
    assert user_shrinkage(np.array([-0.5, -1.5, 0.5, 1.5]), np.array([2, 2])) == pytest.approx(
        0.5 / 1.75
    )
    found = trivial_predictions(replace(episodes, train=pool), episodes.test)
    offset = (5 - 1.5) / (1 + 0.5 / 1.75)
    np.testing.assert_allclose(found["item_user_offset"], [[4.5 + offset, 3 + offset]])


def test_synthetic_predictors_by_hand():
    episodes = hand_made(n_items=0)
    test = replace(
        episodes.test,
        sy=np.array([[5.0, 2.0], [1.0, 9.0]]),
        s_weight=np.array([[1.0, 1.0], [1.0, 0.0]]),
        qy=np.zeros((2, 3)),
    )
    found = trivial_predictions(episodes, test)
    assert list(found) == trivial("synthetic")
    np.testing.assert_allclose(found["global_mean"], np.full((2, 3), 3.0))
    np.testing.assert_allclose(found["support_mean"], [[3.5] * 3, [1.0] * 3])


def test_item_means_fill_in_the_global_mean():
    found = item_means(np.array([2, 2, 0]), np.array([1.0, 2.0, 6.0]), 4)
    np.testing.assert_allclose(found, [6, 3, 1.5, 3])


@pytest.mark.parametrize(("within", "between"), [(1.0, 0.25), (0.5, 2.0)])
def test_shrinkage_finds_simulated_variances(within, between):
    draw = np.random.default_rng(0)
    counts = draw.integers(5, 40, 4000)
    users = draw.normal(0, between**0.5, len(counts))
    residuals = np.repeat(users, counts) + draw.normal(0, within**0.5, counts.sum())
    assert user_shrinkage(residuals, counts) == pytest.approx(within / between, rel=0.07)


def test_users_who_do_not_differ_are_shrunk_away():
    assert user_shrinkage(np.array([1.0, -1.0, 1.0, -1.0]), np.array([2, 2])) == float("inf")


def test_rows_that_do_not_differ_are_not_shrunk():
    assert user_shrinkage(np.array([1.0, 1.0, -1.0, -1.0]), np.array([2, 2])) == 0


@pytest.mark.parametrize("setting", [SYNTHETIC, RATINGS])
def test_the_query_targets_are_not_looked_at(setting, tmp_path):
    episodes = load_episodes(*make_files(tmp_path, setting))
    test = episodes.test
    before = trivial_predictions(episodes, test)
    after = trivial_predictions(episodes, replace(test, qy=test.qy * -3 + 100))
    for name in before:
        np.testing.assert_array_equal(before[name], after[name])
    moved = trivial_predictions(episodes, replace(test, sy=test.sy + 1))
    last = list(before)[-1]  # the one that does look at the support rows
    assert (moved[last] > before[last]).all()
    np.testing.assert_array_equal(moved["global_mean"], before["global_mean"])


def test_padded_support_rows_are_not_looked_at(tmp_path):
    episodes = load_episodes(*make_files(tmp_path, RATINGS))
    test = episodes.test
    wider = [np.pad(a, ((0, 0), (0, 2))) for a in (test.sx, test.sy, test.s_weight)]
    wider[1][:, -2:] = 1e6
    padded = replace(test, sx=wider[0], sy=wider[1], s_weight=wider[2])
    before, after = (trivial_predictions(episodes, t) for t in (test, padded))
    for name in before:
        np.testing.assert_allclose(before[name], after[name])


def test_predictors_of_classes_by_hand():
    """Training rows of classes 0, 0, 1, 2; a test user with the support rows 2, 2 and padding."""
    episodes = replace(
        hand_made(),
        train=replace(hand_made().train, x=np.zeros((4, 1)), y=np.array([0, 0, 1, 2])),
        test=replace(
            hand_made().test,
            sx=np.zeros((1, 3, 1)),
            sy=np.array([[2, 2, 0]]),
            s_weight=np.array([[1.0, 1.0, 0.0]]),
        ),
        n_items=0,
        classes=("a", "b", "c"),
    )
    found = trivial_predictions(episodes, episodes.test)
    assert list(found) == trivial("classes")
    train = (np.array([2, 1, 1]) + 1 / 3) / 5
    own = (np.array([0, 0, 2]) + 3 * train) / 5
    for name, wanted in (("train_frequencies", train), ("support_frequencies", own)):
        assert found[name].shape == (1, 2, 3)
        np.testing.assert_allclose(np.exp(found[name]), [[wanted, wanted]], atol=1e-15)
        np.testing.assert_allclose(np.exp(found[name]).sum(-1), 1)


def test_no_class_is_impossible():
    episodes = replace(
        hand_made(),
        train=replace(hand_made().train, y=np.zeros(4, int)),
        n_items=0,
        classes=("a", "b"),
    )
    assert all(np.isfinite(p).all() for p in trivial_predictions(episodes, episodes.test).values())
