"""The content fingerprint, and the checks that stand between an archive and its ratings."""

import hashlib

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data import schemas
from pipeline.data.ratings import build_ratings, fingerprint
from pipeline.data.sets import SOURCES
from pipeline.errors import BadInput
from tests.archives import RATING_SETS, frame_of, some_ratings, tiny_source, write_archive

CELLS = st.tuples(st.integers(1, 10**9), st.integers(1, 10**9))
HUNDREDTHS = st.integers(-1000, 1000)


def plain_fingerprint(ratings):
    """The definition, line by line."""
    lines = [f"{user},{item},{rating:.2f}\n" for user, item, rating in sorted(ratings)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@settings(deadline=None)
@given(st.dictionaries(CELLS, HUNDREDTHS, min_size=1, max_size=30), st.randoms())
def test_fingerprint_is_as_defined_and_ignores_row_order(cells, random):
    ratings = [(user, item, value / 100) for (user, item), value in cells.items()]
    random.shuffle(ratings)
    frame = pd.DataFrame(ratings, columns=["user", "item", "rating"])
    assert fingerprint(frame) == plain_fingerprint(ratings)
    assert fingerprint(frame.astype({"rating": "float32"})) == plain_fingerprint(ratings)


def test_fingerprint_over_several_chunks(monkeypatch):
    monkeypatch.setattr("pipeline.data.ratings._CHUNK", 3)
    assert fingerprint(frame_of(some_ratings())) == plain_fingerprint(some_ratings())


def test_fingerprint_sees_every_value():
    ratings = some_ratings()
    changed = [(1, 1, 2.5), *ratings[1:]]
    assert fingerprint(frame_of(ratings)) != fingerprint(frame_of(changed))


@pytest.mark.parametrize("name", RATING_SETS)
def test_repacking_changes_nothing(name, tmp_path):
    ratings, source = some_ratings(), tiny_source(name, some_ratings())
    order = ratings if name == "jester-1" else ratings[::-1]
    first = write_archive(tmp_path / "a.zip", name, ratings)
    second = write_archive(tmp_path / "b.zip", name, order, stored=True)
    for archive, out in ((first, "a.parquet"), (second, "b.parquet")):
        build_ratings(source, archive, tmp_path / out, metadata={"spec": "s"})
    assert first.read_bytes() != second.read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_summary_is_the_metadata(tmp_path):
    out = tmp_path / "deep" / "r.parquet"
    archive = write_archive(tmp_path / "a.zip", "ml-100k", some_ratings())
    source = tiny_source("ml-100k", some_ratings())
    summary = build_ratings(source, archive, out, metadata={"spec": "s"})
    assert schemas.read_metadata(out) == summary
    assert (summary["ratings"], summary["users"], summary["items"]) == (20, 4, 5)
    assert (summary["spec"], summary["lo"], summary["hi"]) == ("s", 1.0, 5.0)
    stored = schemas.read_rows(out, schemas.RATINGS)
    pd.testing.assert_frame_equal(pd.DataFrame(stored), frame_of(some_ratings()))


def test_another_release_is_refused_and_nothing_written(tmp_path):
    out = tmp_path / "r.parquet"
    archive = write_archive(tmp_path / "a.zip", "ml-latest-small-2016", some_ratings())
    with pytest.raises(BadInput) as caught:
        build_ratings(SOURCES["ml-latest-small-2016"], archive, out, metadata={})
    message = str(caught.value)
    assert "20 ratings by 4 users of 5 items" in message
    assert "100,004 ratings by 671 users of 9,066 items" in message
    assert "now serves a later release" in message
    assert "download it again" not in message
    assert "'ml-latest-small-2016-10.zip'" in message
    assert not out.exists()


def test_one_changed_rating_is_refused(tmp_path):
    changed = [(1, 1, 5.0), *some_ratings()[1:]]
    assert changed[0] != some_ratings()[0]
    archive = write_archive(tmp_path / "a.zip", "ml-1m", changed)
    with pytest.raises(BadInput, match="another release, or its ratings have been changed"):
        build_ratings(
            tiny_source("ml-1m", some_ratings()), archive, tmp_path / "r.parquet", metadata={}
        )
