"""The simulated archive takes the very path of the real ones."""

import zipfile

import pytest

from pipeline.data.parsers import parse_archive
from pipeline.data.ratings import build_ratings, fingerprint
from pipeline.data.sets import SOURCES
from pipeline.data.simulated import draw_ratings, write_simulated
from pipeline.data.task_sets import build_rating_tasks
from pipeline.errors import BadInput

SMALL = {"seed": 3, "users": 60, "items": 40, "rank": 2}


@pytest.fixture
def archive(tmp_path):
    """A small simulated archive."""
    return write_simulated(tmp_path / "s.zip", **SMALL)


def test_archive_holds_what_was_drawn(archive):
    assert fingerprint(parse_archive(SOURCES["simulated"], archive)) == fingerprint(
        draw_ratings(**SMALL)
    )


def test_same_parameters_same_bytes(archive, tmp_path):
    again = write_simulated(tmp_path / "t.zip", **SMALL)
    other = write_simulated(tmp_path / "u.zip", **(SMALL | {"seed": 4}))
    assert again.read_bytes() == archive.read_bytes()
    assert other.read_bytes() != archive.read_bytes()


def test_archive_says_that_it_is_simulated(archive):
    with zipfile.ZipFile(archive) as opened:
        readme = opened.read("simulated/README").decode()
        assert {member.date_time[0] for member in opened.infolist()} == {1980}  # no clock
    assert readme.startswith("SIMULATED")
    assert "seed 3" in readme


def test_build_ratings_verifies_the_stated_fingerprint(archive, tmp_path):
    out = tmp_path / "r.parquet"
    summary = build_ratings(SOURCES["simulated"], archive, out, metadata={})
    assert summary["title"] == "SIMULATED ratings"
    assert summary["users"] == 60

    with zipfile.ZipFile(archive, "a") as opened:
        opened.comment = b"fingerprint=" + b"0" * 64
    with pytest.raises(BadInput, match="content fingerprint 0000"):
        build_ratings(SOURCES["simulated"], archive, out, metadata={})

    with zipfile.ZipFile(archive, "a") as opened:
        opened.comment = b"hello"
    with pytest.raises(BadInput, match="zip comment 'hello'"):
        build_ratings(SOURCES["simulated"], archive, out, metadata={})


def test_default_size_gives_a_few_hundred_tasks(tmp_path):
    ratings = tmp_path / "r.parquet"
    build_ratings(SOURCES["simulated"], write_simulated(tmp_path / "s.zip"), ratings, metadata={})
    summary = build_rating_tasks(ratings, tmp_path / "t.parquet", metadata={})
    assert 250 <= summary["tasks"] <= 400


def test_ratings_have_a_spread_of_counts_and_values():
    ratings = draw_ratings(seed=0)
    per_user = ratings.groupby("user").size()
    assert per_user.min() < 15
    assert per_user.max() > 100
    assert sorted(ratings["rating"].unique()) == [1, 2, 3, 4, 5]
    assert not ratings.duplicated(["user", "item"]).any()
    popular = ratings.groupby("item").size()
    assert popular.max() > 2 * popular.min()


def test_factors_explain_most_of_the_signal():
    """With the factors switched off, the same generator leaves far less variance."""
    with_factors = draw_ratings(seed=0)["rating"].var()
    without = draw_ratings(seed=0, factor_std=0.0)["rating"].var()
    assert with_factors > 1.8 * without
