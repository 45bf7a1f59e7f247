"""Which items and users are kept, and what a seed's tasks depend on."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data import schemas
from pipeline.data.synthetic import evaluate
from pipeline.data.task_sets import build_rating_tasks, build_synthetic_tasks, read_tasks
from pipeline.errors import BadInput
from tests.archives import frame_of, some_ratings

ABOUT = {"dataset": "d", "title": "D", "fingerprint": "f", "lo": 1.0, "hi": 5.0}
SHAPE = {"n_train": 5, "n_test": 3, "points": 12, "metadata": {}}


def write_ratings(path, ratings):
    """A ratings file as `build_ratings` writes it."""
    frame = frame_of(ratings)
    schemas.write_rows(
        path, {name: frame[name].to_numpy() for name in frame}, schemas.RATINGS, ABOUT
    )
    return path


def build(tmp_path, ratings, **keywords):
    source, out = write_ratings(tmp_path / "r.parquet", ratings), tmp_path / "t.parquet"
    summary = build_rating_tasks(source, out, metadata={"spec": "s"}, **keywords)
    return summary, schemas.read_rows(out, schemas.RATING_TASKS), out


def plain_tasks(ratings, n_items, min_ratings):
    """The definition in plain Python: {task: {item index: rating}} and the item ids."""
    counts = {}
    for _, item, _ in ratings:
        counts[item] = counts.get(item, 0) + 1
    kept = sorted(counts, key=lambda item: (-counts[item], item))[:n_items]
    tasks = {}
    for user, item, rating in ratings:
        if item in kept:
            tasks.setdefault(user, {})[kept.index(item)] = rating
    return {u: rows for u, rows in tasks.items() if len(rows) >= min_ratings}, kept


@settings(max_examples=40, deadline=None)
@given(
    pairs=st.sets(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=20),
    n_items=st.integers(1, 5),
    min_ratings=st.integers(1, 3),
)
def test_filter_is_as_defined(pairs, n_items, min_ratings, tmp_path_factory):
    ratings = [(user, 1000 * item, float(1 + (user + item) % 5)) for user, item in sorted(pairs)]
    tasks, kept = plain_tasks(ratings, n_items, min_ratings)
    folder = tmp_path_factory.mktemp("filter")
    if not tasks:
        with pytest.raises(BadInput, match="min_ratings"):
            build(folder, ratings, n_items=n_items, min_ratings=min_ratings)
        return
    summary, rows, _ = build(folder, ratings, n_items=n_items, min_ratings=min_ratings)
    got = {}
    for task, item, y in zip(rows["task"], rows["item"], rows["y"], strict=True):
        got.setdefault(int(task), {})[int(item)] = float(y)
    assert got == tasks
    assert summary["item_ids"] == kept
    assert summary["tasks"] == len(tasks)


def test_ties_go_by_item_id_and_rows_are_sorted(tmp_path):
    ratings = [(u, i, 3.0) for u in (2, 1) for i in (30, 20, 10)] + [(3, 30, 1.0)]
    summary, rows, _ = build(tmp_path, ratings, n_items=2, min_ratings=1)
    assert summary["item_ids"] == [30, 10]
    assert rows["task"].tolist() == [1, 1, 2, 2, 3]
    assert rows["item"].tolist() == [0, 1, 0, 1, 0]


def test_metadata_counts_tasks_at_both_thresholds(tmp_path):
    ratings = some_ratings(3, 25) + some_ratings(7, 12)[36:]
    summary, _, out = build(tmp_path, ratings, n_items=25, min_ratings=5)
    assert summary["task_counts"] == {"10": 7, "20": 3}
    assert (summary["dataset"], summary["fingerprint"], summary["spec"]) == ("d", "f", "s")
    assert schemas.read_metadata(out) == summary


def test_too_few_items(tmp_path):
    with pytest.raises(BadInput, match="found 5 items, but 100 are to be kept"):
        build(tmp_path, some_ratings())


def test_no_user_with_enough(tmp_path):
    with pytest.raises(BadInput, match=r"found at most 5 ratings.*but 6 are needed"):
        build(tmp_path, some_ratings(), n_items=5, min_ratings=6)


def synthetic(path, seeds, family="alpine"):
    summary = build_synthetic_tasks(family, path, seeds=seeds, **SHAPE)
    return summary, schemas.read_rows(path, schemas.SYNTHETIC_TASKS)


def test_order_of_seeds_does_not_matter(tmp_path):
    synthetic(tmp_path / "a.parquet", [0, 1, 2])
    synthetic(tmp_path / "b.parquet", [2, 0, 1, 2])
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_tasks_of_a_seed_depend_on_that_seed_only(tmp_path):
    many, rows = synthetic(tmp_path / "a.parquet", [0, 1, 2])
    one, alone = synthetic(tmp_path / "b.parquet", [1])
    for name in ("task", "split", "x0", "x1", "y"):
        np.testing.assert_array_equal(rows[name][rows["seed"] == 1], alone[name])
    assert many["fingerprints"]["1"] == one["fingerprints"]["1"]
    assert len(set(many["fingerprints"].values())) == 3


def test_families_do_not_share_their_points(tmp_path):
    _, first = synthetic(tmp_path / "a.parquet", [0], "alpine")
    _, second = synthetic(tmp_path / "b.parquet", [0], "cosmixture")
    assert not np.allclose(first["x0"] / 10, second["x0"])


def test_stored_parameters_redraw_the_function(tmp_path):
    summary, rows = synthetic(tmp_path / "a.parquet", [4, 7])
    own = {name: values[3] for name, values in summary["parameters"]["7"].items()}
    chosen = (rows["seed"] == 7) & (rows["task"] == 3)
    x = np.stack([rows["x0"], rows["x1"]], axis=1)[chosen]
    np.testing.assert_array_equal(evaluate("alpine", own, x), rows["y"][chosen])


def test_unknown_family_and_no_seeds(tmp_path):
    with pytest.raises(BadInput, match=r"found 'sphere'.*cosmixture.*alpine"):
        synthetic(tmp_path / "a.parquet", [0], "sphere")
    with pytest.raises(BadInput, match="seeds: found none"):
        synthetic(tmp_path / "a.parquet", [])


def test_read_tasks_of_a_seed_that_is_not_there(tmp_path):
    synthetic(tmp_path / "a.parquet", [0, 1])
    with pytest.raises(BadInput, match=r"seeds \[0, 1\], but those of seed 5"):
        read_tasks(tmp_path / "a.parquet", seed=5)


def test_read_tasks_of_another_kind_of_file(tmp_path):
    with pytest.raises(BadInput, match="found columns user"):
        read_tasks(write_ratings(tmp_path / "r.parquet", some_ratings()), seed=0)


def test_rows_of_takes_the_first_of_each(tmp_path):
    synthetic(tmp_path / "a.parquet", [0, 1])
    given_tasks = read_tasks(tmp_path / "a.parquet", seed=1)
    rows = given_tasks.rows_of(np.array([2, 4]), limit=3)
    start = 8 * 12
    assert (rows - start).tolist() == [24, 25, 26, 48, 49, 50]
    assert given_tasks.rows_of(np.array([7]), limit=None).tolist() == list(
        range(start + 84, start + 96)
    )
    assert given_tasks.split.tolist() == ["train"] * 5 + ["test"] * 3


@pytest.mark.parametrize(("column", "said"), [("y", "target"), ("x1", "input")])
@pytest.mark.parametrize("value", [np.nan, np.inf, -1e300])
def test_a_number_that_none_can_compute_with_is_named(column, said, value, tmp_path):
    file = tmp_path / "tasks.parquet"
    build_synthetic_tasks("alpine", file, seeds=[0], n_train=2, n_test=2, points=5, metadata={})
    columns, about = schemas.read_rows(file, schemas.SYNTHETIC_TASKS), schemas.read_metadata(file)
    columns[column] = columns[column].copy()
    columns[column][3] = value
    schemas.write_rows(file, columns, schemas.SYNTHETIC_TASKS, about)
    with pytest.raises(BadInput, match=re.escape(f"row 4: found the {said} {value:g}, needed")):
        read_tasks(file, seed=0)
