"""Several seeds in one job: each as if it were alone, whatever its companions come to."""

import numpy as np
import pytest
import torch

from pipeline.data.episodes import load_episodes
from pipeline.runs import training
from pipeline.runs.recipe import Recipe
from pipeline.runs.records import FILES
from tests.unit.seed_runs import (
    SEEDS,
    Paths,
    all_equal,
    alone,
    divergent_recipes,
    make,
    recipes,
    together,
    watched,
)
from tests.unit.tiny_runs import METHODS, RATINGS, SYNTHETIC


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return make(tmp_path_factory.mktemp("synthetic"), SYNTHETIC)


@pytest.fixture(scope="module")
def rating_files(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return make(tmp_path_factory.mktemp("ratings"), RATINGS)


@pytest.fixture(scope="module")
def divergent(files: Paths, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Recipe], int]:
    return divergent_recipes(files, tmp_path_factory.mktemp("limit"))


# --- each as if it were alone


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("setting", [SYNTHETIC, RATINGS])
def test_seeds_together_equal_their_single_runs(method, setting, files, rating_files, tmp_path):
    own = files if setting == SYNTHETIC else rating_files
    given = recipes(method, setting)
    found = together(given, own, tmp_path / "together")
    single = alone(given, own, tmp_path / "alone")
    all_equal(found, single)
    for seed in SEEDS:
        assert sorted(path.name for path in found[seed].directory.iterdir()) == sorted(FILES)
        assert found[seed].metrics["seeds_in_job"] == 3
        assert single[seed].metrics["seeds_in_job"] == 1
        assert found[seed].theta.shape == single[seed].theta.shape
    assert not np.allclose(found[0].theta, found[1].theta, atol=1e-2)


def test_draws_do_not_depend_on_the_companions(files, tmp_path):
    given = recipes(meta_updates=4)
    with pytest.MonkeyPatch.context() as patch:
        joint = watched(patch)
        together(given, files, tmp_path / "together")
    with pytest.MonkeyPatch.context() as patch:
        single = watched(patch)
        alone(given, files, tmp_path / "alone")
    assert (len(joint), len(single)) == (4, 12)
    for position in range(3):
        for update in range(4):
            whole, part = joint[update][0], single[4 * position + update][0]
            cut = slice(3 * position, 3 * position + 3)  # three tasks per meta-batch
            for side in ("support", "query"):
                for name in ("x", "y", "weight"):
                    wanted = getattr(getattr(part, side), name)
                    assert torch.equal(getattr(getattr(whole, side), name)[cut], wanted)


def test_draws_are_a_stream_of_the_seed_and_the_update(files, tmp_path, monkeypatch):
    seen = watched(monkeypatch)
    together(recipes(meta_updates=3), files, tmp_path)
    for position, seed in enumerate(SEEDS):
        episodes = load_episodes(files[0], files[1][seed])
        for update in range(3):
            arrays = episodes.train.draw(3, 8, 6, np.random.default_rng([seed, 3, update]))
            cut = slice(3 * position, 3 * position + 3)
            np.testing.assert_array_equal(seen[update][0].support.y[cut], arrays[1])
            np.testing.assert_array_equal(seen[update][0].query.x[cut], arrays[2])


# --- each to its own end


def test_a_seed_that_diverges_leaves_the_others_whole(divergent, files, tmp_path, capsys):
    given, lost = divergent
    found = together(given, files, tmp_path / "together")
    said = capsys.readouterr().out
    single = alone(given, files, tmp_path / "alone")
    all_equal(found, single)
    for seed in SEEDS:
        metrics = found[seed].metrics
        assert metrics["status"] == ("failed" if seed == lost else "ok")
        assert (metrics["meta_updates"] == 12) is (seed != lost)
    assert found[lost].metrics["message"] == single[lost].metrics["message"]
    assert f"seed {lost}: failed: meta-update" in said
    assert said.count("nRMSE") == 2


def test_all_seeds_may_diverge(files, tmp_path):
    given = recipes("maml", gradient_limit=1e-9)
    found = together(given, files, tmp_path)
    assert {record.metrics["status"] for record in found.values()} == {"failed"}
    assert {record.metrics["meta_updates"] for record in found.values()} == {0}


def test_each_seed_stops_when_its_theta_hardly_moves(files, tmp_path):
    given = recipes(meta_updates=12)
    with pytest.MonkeyPatch.context() as patch:
        seen = watched(patch)
        together(given, files, tmp_path / "changes")
    changes = np.array([[progress.change for progress in step] for _, step in seen])
    limit = np.sort(changes.min(0))[:2].mean()  # the least moved passes it, the others do not
    given = recipes(meta_updates=12, stop_change=float(limit))
    found = together(given, files, tmp_path / "together")
    all_equal(found, alone(given, files, tmp_path / "alone"))
    updates = [found[seed].metrics["meta_updates"] for seed in SEEDS]
    assert sorted(updates)[1:] == [12, 12]
    assert min(updates) < 12
    for record in found.values():
        assert record.curve["validation_nrmse"].notna().iloc[-1]


def test_seconds_are_the_seeds_share_of_the_jobs(divergent, files, tmp_path, monkeypatch):
    """With a clock that gains a second whenever it is read, an update takes one."""
    given, lost = divergent
    # the ledger reads the clock too; see test_ledger.py
    given = [own | {"training": own["training"] | {"ledger_every": None}} for own in given]
    clock = iter(range(10**6))
    monkeypatch.setattr(training.time, "perf_counter", lambda: float(next(clock)))
    found = together(given, files, tmp_path)
    before = found[lost].metrics["meta_updates"]
    assert found[lost].metrics["train_seconds"] == pytest.approx((before + 1) / 3)
    others = [found[seed] for seed in SEEDS if seed != lost]
    for record in others:
        wanted = (before + 1) / 3 + (12 - before) / 2
        assert record.metrics["train_seconds"] == pytest.approx(wanted)
        assert record.curve["seconds"].iloc[-1] == record.metrics["train_seconds"]
    total = sum(record.metrics["train_seconds"] for record in found.values())
    assert total == pytest.approx(12 + 1)  # the updates, and the one that diverged
