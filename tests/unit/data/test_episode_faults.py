"""Settings that a task set cannot serve, and episodes that belong to another task set."""

import numpy as np
import pytest

from pipeline.data.episodes import freeze_episodes, load_episodes
from pipeline.errors import BadInput
from tests.unit.data.task_files import rating_columns, write_rating_tasks, write_synthetic_tasks

RATINGS = {"seed": 0, "support": 4, "query": 5, "test_tasks": 6, "validation_tasks": 3}
SYNTHETIC = {"seed": 1, "support": 5, "query": 7, "validation_tasks": 3, "evaluation_points": 11}


def freeze(tasks, out, base=RATINGS, **changes):
    return freeze_episodes(tasks, out, **(base | changes), metadata={})


@pytest.fixture
def ratings(tmp_path):
    """A task set of ratings."""
    return write_rating_tasks(tmp_path / "ratings.parquet", rating_columns())


@pytest.fixture
def synthetic(tmp_path):
    """A task set of a synthetic family, seeds 0 and 1."""
    return write_synthetic_tasks(tmp_path / "synthetic.parquet")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"support": 16}, r"found 0 tasks with at least 21 rows \(16 support \+ 5; the largest"),
        ({"test_tasks": 29}, "but 32 are needed"),
        ({"query": 40}, r"found at most 20 rows.*44 are needed \(4 support \+ 40 query\)"),
    ],
)
def test_ratings_that_cannot_give_the_shots(changes, expected, ratings, tmp_path):
    with pytest.raises(BadInput, match=expected) as caught:
        freeze(ratings, tmp_path / "e.parquet", **changes)
    assert str(ratings) in str(caught.value)
    assert "Lower the `shots`" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"query": 26}, r"found 30 points per task, but 31 are needed \(5 support \+ 26 query\)"),
        ({"evaluation_points": 26}, r"31 are needed \(5 support \+ 26 evaluation points\)"),
        ({"validation_tasks": 12}, "found 12 training and 6 test tasks of seed 1"),
        ({"seed": 2}, r"those of seed 2 are needed"),
    ],
)
def test_families_that_cannot_give_the_shots(changes, expected, synthetic, tmp_path):
    with pytest.raises(BadInput, match=expected):
        freeze(synthetic, tmp_path / "e.parquet", SYNTHETIC, **changes)


@pytest.mark.parametrize("about", [{"fingerprint": "g"}, {"min_ratings": 7}])
def test_episodes_of_another_task_set_are_refused(about, ratings, tmp_path):
    freeze(ratings, tmp_path / "e.parquet")
    other = write_rating_tasks(tmp_path / "o.parquet", rating_columns(), **about)
    with pytest.raises(BadInput, match="Freeze the episodes again"):
        load_episodes(other, tmp_path / "e.parquet")


def test_targets_that_do_not_differ(tmp_path):
    columns = rating_columns()
    same = np.full(len(columns["y"]), 3)
    tasks = write_rating_tasks(tmp_path / "t.parquet", columns | {"y": same})
    with pytest.raises(BadInput, match="the same value in all"):
        freeze(tasks, tmp_path / "e.parquet")
