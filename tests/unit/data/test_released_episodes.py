"""Scaling by all tasks, and a rating threshold of a setting's own."""

import numpy as np
import pytest

from pipeline.data import schemas
from pipeline.data.episodes import load_episodes
from pipeline.errors import BadInput
from tests.unit.data.task_files import rating_columns, write_rating_tasks, write_synthetic_tasks
from tests.unit.data.test_episodes import RATINGS, SYNTHETIC, freeze, tasks_by_role


def test_scaling_by_all_ratings(tmp_path):
    columns = rating_columns()
    tasks = write_rating_tasks(tmp_path / "t.parquet", columns)
    ours, lines = freeze(tasks, tmp_path / "a.parquet")
    leaky, same = freeze(tasks, tmp_path / "b.parquet", scaling="all")
    assert (ours["scaled_by"], leaky["scaled_by"]) == ("meta_train", "all")
    for name in lines:
        np.testing.assert_array_equal(lines[name], same[name])
    train = np.isin(columns["task"], list(tasks_by_role(lines)["train"]))
    for found, rows in ((ours, train), (leaky, np.ones_like(train))):
        y = columns["y"][rows]
        mean = sum(y.tolist()) / len(y)
        assert found["scaling"]["y_mean"] == pytest.approx(mean)
        assert found["scaling"]["y_std"] == pytest.approx(
            (sum((v - mean) ** 2 for v in y.tolist()) / len(y)) ** 0.5
        )
    assert ours["scaling"]["y_mean"] != leaky["scaling"]["y_mean"]
    # the unit of nRMSE stays that of the meta-training targets
    assert leaky["target_std"] == leaky["scaling"]["target_std"] == ours["target_std"]


def test_scaling_by_all_points(tmp_path):
    """Those that a role uses: twelve of a training or validation task, sixteen of a test task."""
    tasks = write_synthetic_tasks(tmp_path / "t.parquet")
    leaky, _ = freeze(tasks, tmp_path / "e.parquet", SYNTHETIC, scaling="all")
    columns = schemas.read_rows(tasks, schemas.SYNTHETIC_TASKS)
    place = np.arange(len(columns["task"])) % 30
    trained = (columns["task"] < 12) & (place < 5 + 7)
    tested = (columns["task"] >= 12) & ((place < 5) | (place >= 30 - 11))
    used = (columns["seed"] == 1) & (trained | tested)
    assert used.sum() == 12 * 12 + 6 * 16
    for i, name in enumerate(("x0", "x1")):
        assert leaky["scaling"]["x_mean"][i] == pytest.approx(columns[name][used].mean())
        assert leaky["scaling"]["x_std"][i] == pytest.approx(columns[name][used].std())
    assert leaky["scaling"]["y_mean"] == pytest.approx(columns["y"][used].mean())
    loaded = load_episodes(tasks, tmp_path / "e.parquet")
    assert abs(loaded.train.y.mean()) > 1e-6  # no longer centred on its own


def test_an_unknown_scaling_is_refused(tmp_path):
    tasks = write_rating_tasks(tmp_path / "t.parquet", rating_columns())
    with pytest.raises(BadInput, match="scaling: found 'test', allowed: meta_train, all"):
        freeze(tasks, tmp_path / "e.parquet", scaling="test")


def test_a_threshold_takes_tasks_from_every_role(tmp_path):
    columns = rating_columns()
    tasks = write_rating_tasks(tmp_path / "t.parquet", columns)
    ids, counts = np.unique(columns["task"], return_counts=True)
    for least in (6, 12):
        summary, lines = freeze(tasks, tmp_path / "e.parquet", min_ratings=least)
        roles = tasks_by_role(lines)
        assert set.union(*roles.values()) == set(ids[counts >= least].tolist())
        assert (len(roles["test"]), len(roles["validation"])) == (6, 3)
        assert summary["min_ratings"] == least
        loaded = load_episodes(tasks, tmp_path / "e.parquet")
        assert set(loaded.train.tasks.tolist()) == roles["train"]
        assert loaded.train.counts.min() >= least
    assert 0 < (counts >= 12).sum() < len(ids)


def test_a_threshold_of_the_task_set_changes_no_draw(tmp_path):
    tasks = write_rating_tasks(tmp_path / "t.parquet", rating_columns())
    _, plain = freeze(tasks, tmp_path / "a.parquet", RATINGS)
    _, same = freeze(tasks, tmp_path / "b.parquet", RATINGS, min_ratings=6)
    for name in plain:
        np.testing.assert_array_equal(plain[name], same[name])


@pytest.mark.parametrize(("least", "found"), [(21, "found at most 20 rows per task, but 21")])
def test_a_threshold_that_no_task_reaches(least, found, tmp_path):
    tasks = write_rating_tasks(tmp_path / "t.parquet", rating_columns())
    with pytest.raises(BadInput, match=found):
        freeze(tasks, tmp_path / "e.parquet", min_ratings=least)


def test_a_synthetic_family_has_no_threshold(tmp_path):
    tasks = write_synthetic_tasks(tmp_path / "t.parquet")
    with pytest.raises(BadInput, match="only rating data have such a threshold"):
        freeze(tasks, tmp_path / "e.parquet", SYNTHETIC, min_ratings=20)
