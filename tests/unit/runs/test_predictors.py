"""What holds for every predictor that a grid asks for, by its card."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.config.predictors import ASKED_FOR, KINDS, PREDICTORS
from pipeline.data.episodes import load_episodes
from pipeline.data.pools import Episodes
from pipeline.runs.predictors import predict
from tests.unit.tiny_runs import RATINGS, SYNTHETIC, make_files


def test_cards_name_kinds_of_data_and_say_what_they_do() -> None:
    assert {kind for card in PREDICTORS.values() for kind in card.of} == {*KINDS}
    assert all(card.text for card in ASKED_FOR.values())
    titles = [card.title for card in PREDICTORS.values()]
    assert len(set(titles)) == len(titles)


@pytest.fixture(scope="module", params=ASKED_FOR)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Episodes, np.ndarray]:
    """A predictor, tasks of its kind, and what it predicts of the test tasks."""
    setting = RATINGS if "ratings" in ASKED_FOR[request.param].of else SYNTHETIC
    episodes = load_episodes(*make_files(tmp_path_factory.mktemp("files"), setting))
    return request.param, episodes, predict(request.param, episodes, episodes.test)


def test_every_query_row_is_predicted_and_the_same_again(case) -> None:
    name, episodes, found = case
    assert found.shape == episodes.test.qy.shape
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(predict(name, episodes, episodes.test), found)


def test_neither_query_targets_nor_padding_are_looked_at(case) -> None:
    name, episodes, found = case
    test = episodes.test
    rows = [(0, 0), (0, 2)]
    padded = replace(
        test,
        sx=np.pad(test.sx, [*rows, *[(0, 0)] * (test.sx.ndim - 2)]),
        sy=np.pad(test.sy, rows, constant_values=1e6),
        s_weight=np.pad(test.s_weight, rows),
        qy=test.qy * -3 + 100,
    )
    np.testing.assert_array_equal(predict(name, replace(episodes, test=padded), padded), found)


def test_support_rows_are_looked_at_task_by_task(case) -> None:
    name, episodes, found = case
    sy = episodes.test.sy.copy()
    sy[0] += 1
    moved = predict(name, episodes, replace(episodes.test, sy=sy))
    assert (moved[0] != found[0]).any()
    np.testing.assert_array_equal(moved[1:], found[1:])
