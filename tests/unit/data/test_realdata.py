"""The real archives, where they are at hand: counts, fingerprints and numbers of tasks."""

import os
from pathlib import Path

import pytest

from pipeline.data.download import obtain
from pipeline.data.episodes import freeze_episodes, load_episodes
from pipeline.data.ratings import build_ratings
from pipeline.data.sets import SOURCES
from pipeline.data.task_sets import build_rating_tasks

RAW_DIR = os.environ.get("AMAML_RAW_DIR")
TASKS_AT = {  # threshold: tasks
    "ml-100k": {"10": 829, "20": 575},
    "ml-1m": {"10": 4985, "20": 3500},
    "ml-latest-small-2016": {"10": 489, "20": 338},
    "jester-1": {"10": 24983, "20": 24983},
}


def test_counts_that_tables_show_are_those_of_the_archives():
    shown = {
        name: {str(least): count for least, count in counts.items()}
        for name, counts in ((name, card.users) for name, card in SOURCES.items() if card.users)
    }
    assert shown == TASKS_AT


@pytest.mark.realdata
@pytest.mark.skipif(RAW_DIR is None, reason="AMAML_RAW_DIR names no folder of archives")
@pytest.mark.parametrize("name", TASKS_AT)
def test_archive_to_episodes(name, tmp_path):
    source = SOURCES[name]
    archive = tmp_path / source.archive
    obtain(source, archive, raw_dir=Path(RAW_DIR), retries=1, timeout_s=10.0)
    ratings, tasks, episodes = (tmp_path / f"{kind}.parquet" for kind in ("r", "t", "e"))
    summary = build_ratings(source, archive, ratings, metadata={})
    assert (summary["ratings"], summary["users"], summary["items"]) == (
        source.n_ratings,
        source.n_users,
        source.n_items,
    )
    assert summary["fingerprint"] == source.fingerprint
    about = build_rating_tasks(ratings, tasks, n_items=100, min_ratings=10, metadata={})
    assert about["tasks"] == TASKS_AT[name]["10"]
    assert about["task_counts"] == TASKS_AT[name]
    freeze_episodes(tasks, episodes, seed=0, support=20, query=30, validation_tasks=20, metadata={})
    loaded = load_episodes(tasks, episodes)
    assert loaded.test.sx.shape == (100, 20)
    assert loaded.metadata["tasks"]["train"] == about["tasks"] - 120
