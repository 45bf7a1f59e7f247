"""Frozen episodes: roles never mix, rows never overlap, and only the seed decides."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data import schemas
from pipeline.data.episodes import freeze_episodes, load_episodes
from pipeline.errors import BadInput
from tests.unit.data.task_files import (
    change_rows,
    rating_columns,
    write_rating_tasks,
    write_synthetic_tasks,
)

RATINGS = {"seed": 0, "support": 4, "query": 5, "test_tasks": 6, "validation_tasks": 3}
SYNTHETIC = {"seed": 1, "support": 5, "query": 7, "validation_tasks": 3, "evaluation_points": 11}


def freeze(tasks, out, base=RATINGS, **changes):
    summary = freeze_episodes(tasks, out, **(base | changes), metadata={"spec": "s"})
    return summary, schemas.read_rows(out, schemas.EPISODES)


@pytest.fixture
def ratings(tmp_path):
    """A task set of ratings."""
    return write_rating_tasks(tmp_path / "ratings.parquet", rating_columns())


@pytest.fixture
def synthetic(tmp_path):
    """A task set of a synthetic family, seeds 0 and 1."""
    return write_synthetic_tasks(tmp_path / "synthetic.parquet")


def tasks_by_role(lines):
    return {
        role: set(lines["task"][lines["role"] == role].tolist())
        for role in ("train", "validation", "test")
    }


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    support=st.integers(1, 8),
    n_test=st.integers(1, 6),
    n_validation=st.integers(0, 4),
)
def test_rating_roles_and_rows_never_mix(seed, support, n_test, n_validation, tmp_path_factory):
    folder, columns = tmp_path_factory.mktemp("mix"), rating_columns()
    tasks = write_rating_tasks(folder / "t.parquet", columns)
    summary, lines = freeze(
        tasks,
        folder / "e.parquet",
        seed=seed,
        support=support,
        test_tasks=n_test,
        validation_tasks=n_validation,
    )
    roles = tasks_by_role(lines)
    assert sum(map(len, roles.values())) == len(set.union(*roles.values())) == 30
    assert summary["tasks"] == {role: len(tasks) for role, tasks in roles.items()}
    assert (len(roles["validation"]), len(roles["test"])) == (n_validation, n_test)
    frozen = lines["row"] >= 0
    np.testing.assert_array_equal(lines["part"] == "pool", ~frozen)
    np.testing.assert_array_equal(columns["task"][lines["row"][frozen]], lines["task"][frozen])
    for task in roles["test"] | roles["validation"]:
        own = lines["task"] == task
        in_support = lines["row"][own & (lines["part"] == "support")].tolist()
        in_query = lines["row"][own & (lines["part"] == "query")].tolist()
        assert len(in_support) == support
        assert len(in_query) >= 5
        every_row = np.flatnonzero(columns["task"] == task).tolist()
        assert sorted(in_support + in_query) == every_row


@pytest.mark.parametrize("standardise", [True, False])
def test_rating_arrays_are_the_rows(standardise, ratings, tmp_path):
    columns = rating_columns()
    summary, lines = freeze(ratings, tmp_path / "e.parquet", standardise=standardise)
    loaded = load_episodes(ratings, tmp_path / "e.parquet")
    assert loaded.n_items == 20
    assert loaded.metadata == summary
    raw = {
        task: dict(
            zip(
                columns["item"][columns["task"] == task],
                columns["y"][columns["task"] == task],
                strict=True,
            )
        )
        for task in set(columns["task"].tolist())
    }
    for role, frozen in (("validation", loaded.validation), ("test", loaded.test)):
        assert set(frozen.tasks.tolist()) == tasks_by_role(lines)[role]
        assert frozen.sx.dtype == np.int64
        for i, task in enumerate(frozen.tasks.tolist()):
            for x, y, weight in (
                (frozen.sx[i], frozen.sy[i], frozen.s_weight[i]),
                (frozen.qx[i], frozen.qy[i], frozen.q_weight[i]),
            ):
                assert set(weight.tolist()) <= {0.0, 1.0}
                assert not np.any(y[weight == 0])
                back = loaded.scaling.to_raw_y(y[weight == 1])
                want = [raw[task][item] for item in x[weight == 1].tolist()]
                np.testing.assert_allclose(back, want, atol=1e-9)
            kept = int(frozen.s_weight[i].sum() + frozen.q_weight[i].sum())
            assert kept == len(raw[task])
    train = np.isin(columns["task"], list(tasks_by_role(lines)["train"]))
    assert summary["target_std"] == pytest.approx(columns["y"][train].std())
    np.testing.assert_allclose(loaded.scaling.to_raw_y(loaded.train.y), columns["y"][train])
    if standardise:
        assert loaded.train.y.mean() == pytest.approx(0, abs=1e-12)
        assert loaded.train.y.std() == pytest.approx(1)
    else:
        np.testing.assert_array_equal(loaded.train.y, columns["y"][train])


def training_of(tasks, episodes):
    loaded = load_episodes(tasks, episodes)
    return loaded.scaling, loaded.train.x, loaded.train.y


@pytest.mark.parametrize("role", ["test", "validation", "train"])
def test_held_out_ratings_never_reach_training(role, ratings, tmp_path):
    _, lines = freeze(ratings, tmp_path / "e.parquet")
    chosen = np.isin(rating_columns()["task"], list(tasks_by_role(lines)[role]))
    changed = change_rows(ratings, tmp_path / "c.parquet", schemas.RATING_TASKS, chosen, "y")
    freeze(changed, tmp_path / "f.parquet")
    scaling, _, y = training_of(ratings, tmp_path / "e.parquet")
    other_scaling, _, other_y = training_of(changed, tmp_path / "f.parquet")
    assert (scaling == other_scaling) == (role != "train")
    assert np.array_equal(scaling.to_raw_y(y), other_scaling.to_raw_y(other_y)) == (role != "train")


@pytest.mark.parametrize("name", ["x0", "x1", "y"])
def test_held_out_points_never_reach_training(name, synthetic, tmp_path):
    _, lines = freeze(synthetic, tmp_path / "e.parquet", SYNTHETIC)
    columns = schemas.read_rows(synthetic, schemas.SYNTHETIC_TASKS)
    train = np.isin(columns["task"], list(tasks_by_role(lines)["train"]))
    place = np.arange(len(train)) % 30
    used = (columns["seed"] == 1) & train & (place < 5 + 7)
    changed = tmp_path / "c.parquet"
    change_rows(synthetic, changed, schemas.SYNTHETIC_TASKS, ~used, name)
    freeze(changed, tmp_path / "f.parquet", SYNTHETIC)
    scaling, x, y = training_of(synthetic, tmp_path / "e.parquet")
    other_scaling, other_x, other_y = training_of(changed, tmp_path / "f.parquet")
    assert scaling == other_scaling
    np.testing.assert_array_equal(x, other_x)
    np.testing.assert_array_equal(y, other_y)


def test_synthetic_roles_and_rows(synthetic, tmp_path):
    _, lines = freeze(synthetic, tmp_path / "e.parquet", SYNTHETIC)
    roles = tasks_by_role(lines)
    assert roles["test"] == set(range(12, 18))
    assert roles["train"] | roles["validation"] == set(range(12))
    assert len(roles["validation"]) == 3
    base = 18 * 30  # seed 1 comes after seed 0
    for role, last in (("validation", range(5, 12)), ("test", range(19, 30))):
        for task in roles[role]:
            own = (lines["task"] == task) & (lines["role"] == role)
            start = base + 30 * task
            for part, places in (("support", range(5)), ("query", last)):
                rows = lines["row"][own & (lines["part"] == part)]
                assert rows.tolist() == [start + place for place in places]


def test_synthetic_arrays_are_standardised_by_training_points(synthetic, tmp_path):
    freeze(synthetic, tmp_path / "e.parquet", SYNTHETIC)
    loaded = load_episodes(synthetic, tmp_path / "e.parquet")
    assert loaded.n_items == 0
    assert loaded.train.x.shape == (9 * 12, 2)
    np.testing.assert_allclose(loaded.train.x.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(loaded.train.x.std(axis=0), 1)
    assert loaded.test.sx.shape == (6, 5, 2)
    assert loaded.test.qx.shape == (6, 11, 2)
    assert loaded.validation.qy.shape == (3, 7)
    assert loaded.test.q_weight.all()
    columns = schemas.read_rows(synthetic, schemas.SYNTHETIC_TASKS)
    own = (columns["seed"] == 1) & (columns["task"] == 17)
    want = (columns["x1"][own][-11:] - loaded.scaling.x_mean[1]) / loaded.scaling.x_std[1]
    np.testing.assert_allclose(loaded.test.qx[-1, :, 1], want)


def test_same_arguments_same_bytes(ratings, tmp_path):
    for name in ("a.parquet", "b.parquet"):
        freeze(ratings, tmp_path / name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_what_moves_the_draw_and_what_does_not(ratings, tmp_path):
    def frozen_test(**changes):
        _, lines = freeze(ratings, tmp_path / "e.parquet", **changes)
        chosen = lines["role"] == "test"
        return [lines[name][chosen].tolist() for name in ("task", "part", "row")]

    base = frozen_test()
    assert frozen_test(query=3) == base
    assert frozen_test(validation_tasks=1) == base
    assert frozen_test(standardise=False) == base
    assert frozen_test(seed=1) != base
    other = write_rating_tasks(tmp_path / "o.parquet", rating_columns(), dataset="other")
    _, lines = freeze(other, tmp_path / "e.parquet")
    assert lines["row"][lines["role"] == "test"].tolist() != base[2]


def test_synthetic_draw_ignores_the_other_seeds(synthetic, tmp_path):
    alone = write_synthetic_tasks(tmp_path / "alone.parquet", seeds=(1,))
    _, lines = freeze(synthetic, tmp_path / "e.parquet", SYNTHETIC)
    _, again = freeze(alone, tmp_path / "f.parquet", SYNTHETIC)
    assert tasks_by_role(lines) == tasks_by_role(again)
    first = load_episodes(synthetic, tmp_path / "e.parquet")
    second = load_episodes(alone, tmp_path / "f.parquet")
    np.testing.assert_array_equal(first.test.qy, second.test.qy)
    with pytest.raises(BadInput, match="row numbers of other tasks"):
        load_episodes(alone, tmp_path / "e.parquet")
