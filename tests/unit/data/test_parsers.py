"""Archives in all four formats: what was packed comes back, and every fault is named."""

import os
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.data.parsers import parse_archive
from pipeline.data.sets import SOURCES
from pipeline.errors import BadInput
from tests.archives import (
    RATING_SETS,
    frame_of,
    jester_member,
    replacing_line,
    some_ratings,
    write_archive,
    write_zip,
)

TEXT_SETS = ("ml-100k", "ml-1m", "ml-latest-small-2016")
SEPARATORS = {"ml-100k": "\t", "ml-1m": "::", "ml-latest-small-2016": ","}


def refusal(name, archive):
    """The message with which an archive is refused."""
    with pytest.raises(BadInput) as caught:
        parse_archive(SOURCES[name], archive)
    return str(caught.value)


@st.composite
def rating_sets(draw, name):
    """Ratings that set `name` allows, in any order; Jester's users are 1, 2, 3 without gaps."""
    source = SOURCES[name]
    n_users = draw(st.integers(1, 6))
    users = range(1, n_users + 1)
    if name != "jester-1":
        users = draw(st.lists(st.integers(1, 999_999), min_size=1, max_size=6, unique=True))
    pairs = [
        (user, item)
        for user in users
        for item in draw(st.sets(st.integers(1, 100), min_size=1, max_size=8))
    ]
    low, high = round(source.lo / source.step), round(source.hi / source.step)
    steps = draw(st.lists(st.integers(low, high), min_size=len(pairs), max_size=len(pairs)))
    return draw(
        st.permutations(
            [(*pair, round(step * source.step, 2)) for pair, step in zip(pairs, steps, strict=True)]
        )
    )


@pytest.mark.parametrize("name", RATING_SETS)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_what_was_packed_comes_back(name, data, tmp_path_factory):
    ratings = data.draw(rating_sets(name))
    archive = write_archive(tmp_path_factory.mktemp("packed") / "a.zip", name, ratings)
    pd.testing.assert_frame_equal(parse_archive(SOURCES[name], archive), frame_of(ratings))


@pytest.mark.parametrize("name", RATING_SETS)
def test_columns_have_the_stated_types(name, tmp_path):
    frame = parse_archive(SOURCES[name], write_archive(tmp_path / "a.zip", name, some_ratings()))
    assert list(frame.dtypes) == [np.int32, np.int32, np.float32]


@pytest.mark.parametrize("ending", ["", "\n\n", "\r\n"])
def test_the_end_of_a_file_may_be_ragged(ending, tmp_path):
    archive = write_archive(
        tmp_path / "a.zip",
        "ml-1m",
        some_ratings(),
        damage=lambda content: content.rstrip() + ending.encode(),
    )
    frame = parse_archive(SOURCES["ml-1m"], archive)
    pd.testing.assert_frame_equal(frame, frame_of(some_ratings()))


def test_jester_keeps_zeros_and_drops_unrated(tmp_path):
    ratings = [(1, 1, 0.0), (1, 100, -9.95), (2, 50, 9.99)]
    frame = parse_archive(
        SOURCES["jester-1"], write_archive(tmp_path / "a.zip", "jester-1", ratings)
    )
    assert frame["rating"].tolist() == [0.0, np.float32(-9.95), np.float32(9.99)]


def test_missing_archive(tmp_path):
    message = refusal("ml-1m", tmp_path / "none.zip")
    assert "none.zip" in message
    assert "--config raw_dir=" in message


@pytest.mark.parametrize("stored", [True, False])
def test_truncated_archive(stored, tmp_path):
    archive = write_archive(tmp_path / "a.zip", "ml-100k", some_ratings(), stored=stored)
    write_archive(
        archive, "ml-100k", some_ratings(), stored=stored, truncate=archive.stat().st_size - 30
    )
    message = refusal("ml-100k", archive)
    assert "not a whole zip archive" in message
    assert f"{archive.stat().st_size:,} bytes" in message


def test_every_cut_of_an_archive_is_one_message(tmp_path):
    archive = write_archive(tmp_path / "a.zip", "ml-100k", some_ratings(2, 2))
    whole = archive.read_bytes()
    for size in range(0, len(whole), 7):
        archive.write_bytes(whole[:size])
        assert "--config raw_dir=" in refusal("ml-100k", archive)


def test_every_spoilt_byte_of_the_directory_is_one_message(tmp_path):
    """`zipfile` ends in an OSError at some of them."""
    archive = write_archive(tmp_path / "a.zip", "ml-100k", some_ratings(2, 2))
    whole = archive.read_bytes()
    for place in range(whole.index(b"PK\x01\x02"), len(whole), 2):
        archive.write_bytes(whole[:place] + b"\xff" + whole[place + 1 :])
        with suppress(BadInput):
            parse_archive(SOURCES["ml-100k"], archive)


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (lambda *_: (_ for _ in ()).throw(Panic("index 7")), "cannot be read: found Panic: index"),
        (lambda *_: time.sleep(60), "cannot be read: found no end after 0.3 s"),
        (lambda *_: bytearray(16 << 30), "of memory asked for, but an undamaged"),
        (lambda *_: os.abort(), "cannot be read: found the reader crashed (SIGABRT)"),
    ],
)
def test_a_reader_that_breaks_is_one_message(reader, said, tmp_path, monkeypatch, capfd):
    archive = write_archive(tmp_path / "a.zip", "jester-1", some_ratings())
    monkeypatch.setattr("pipeline.data.parsers.reader_of", lambda _: reader)
    monkeypatch.setattr("pipeline.data.parsers.SECONDS", 0.3 if "end after" in said else 60.0)
    message = refusal("jester-1", archive)
    assert said in message
    assert "--config raw_dir=" in message
    assert capfd.readouterr().err == ""


class Panic(BaseException):
    """As Rust code raises it."""


def test_a_member_that_is_too_large_is_not_unpacked(tmp_path):
    archive = write_archive(tmp_path / "a.zip", "ml-1m", some_ratings())
    with pytest.raises(BadInput, match=r"ratings.dat: found \d+ bytes, but at most 90 bytes"):
        parse_archive(replace(SOURCES["ml-1m"], largest=90), archive)


def test_names_in_an_archive_are_shown_short_and_clean(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"\x1b[31m" + "x" * 60_000: b"", "a\nb": b""})
    message = refusal("ml-1m", archive)
    assert len(message) < 1000
    assert message.isprintable()


def test_flipped_byte_is_caught_by_the_crc(tmp_path):
    archive = write_archive(tmp_path / "a.zip", "ml-100k", some_ratings(), stored=True)
    content = archive.read_bytes()
    archive.write_bytes(content.replace(b"978300760", b"978300761", 1))
    assert "CRC" in refusal("ml-100k", archive)


def test_wrong_archive_lists_what_it_holds(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {f"book/{i}.csv": b"x" for i in range(20)})
    message = refusal("ml-1m", archive)
    assert "'book/0.csv'" in message
    assert "12 more" in message
    assert "'ml-1m/ratings.dat'" in message


@pytest.mark.parametrize("name", TEXT_SETS)
@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("7", "x", "3", "1"), "column 2 (item): found 'x'"),
        (("7", "8", "", "1"), "column 3 (rating): found ''"),
        (("7", "8", "nan", "1"), "column 3 (rating): found 'nan'"),
        (("7", "8", "inf", "1"), "column 3 (rating): found 'inf'"),
        (("7", "8", "3"), "found 3 columns"),
        (("7", "8", "3", "1", "1"), "found 5 columns"),
        (("7", "8", "6", "1"), "(rating): found 6,"),
        (("7", "8", "-1", "1"), "(rating): found -1,"),
        (("7", "8", "2.3", "1"), "(rating): found 2.3,"),
        (("0", "8", "3", "1"), "(user): found 0,"),
        (("7", "-8", "3", "1"), "(item): found -8,"),
        (("9999999999", "8", "3", "1"), "column 1 (user): found '9999999999'"),
        (("1", "1", "3", "1"), "found user 1 and item 1 again (first in "),
        (("",), "found 1 column in ''"),
    ],
)
def test_a_bad_line_is_named(name, cells, expected, tmp_path):
    header = name == "ml-latest-small-2016"
    damage = replacing_line(9 + header, SEPARATORS[name].join(cells))
    archive = write_archive(tmp_path / "a.zip", name, some_ratings(), damage=damage)
    message = refusal(name, archive)
    assert f"{SOURCES[name].member}, line {9 + header}" in message
    assert expected in message
    assert str(archive) in message
    assert "needed" in message
    assert "--config raw_dir=" in message


def test_the_first_bad_line_is_named_not_a_later_one(tmp_path):
    def damage(content):
        return replacing_line(11, "y\t1\t1\t1")(replacing_line(6, "x\t1\t1\t1")(content))

    archive = write_archive(tmp_path / "a.zip", "ml-100k", some_ratings(), damage=damage)
    assert "line 6, column 1 (user): found 'x'" in refusal("ml-100k", archive)


def test_a_text_with_a_lone_colon_is_not_taken_for_two(tmp_path):
    archive = write_archive(
        tmp_path / "a.zip", "ml-1m", some_ratings(), damage=replacing_line(3, "1:x:3::4::1")
    )
    assert "line 3" in refusal("ml-1m", archive)


def test_wrong_header(tmp_path):
    archive = write_archive(
        tmp_path / "a.zip",
        "ml-latest-small-2016",
        some_ratings(),
        damage=replacing_line(1, "user,item,rating,timestamp"),
    )
    assert "line 1: found 'user,item,rating,timestamp'" in refusal("ml-latest-small-2016", archive)


@pytest.mark.parametrize("name", TEXT_SETS)
def test_no_ratings(name, tmp_path):
    assert "found no ratings" in refusal(name, write_archive(tmp_path / "a.zip", name, []))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({(1, 2): "funny"}, "row 2, column C: found 'funny'"),
        ({(1, 2): ""}, "row 2, column C: found ''"),
        ({(1, 2): True}, "row 2, column C: found True"),
        ({(2, 5): 10.5}, "row 3, column F (joke 5) (rating): found 10.5"),
        ({(2, 5): 1.234}, "row 3, column F (joke 5) (rating): found 1.234"),
        ({(3, 0): 4}, "row 4, column A (count): found 4, but 5"),
        ({(3, 1): 99.0}, "row 4, column A (count): found 5, but 4"),
        ({(0, 101): 1.0}, "found columns A to CX, but columns A to CW"),
    ],
)
def test_a_bad_cell_is_named(cells, expected, tmp_path):
    content = jester_member(some_ratings(), cells=cells)
    archive = write_zip(tmp_path / "a.zip", {"jester-data-1.xls": content})
    message = refusal("jester-1", archive)
    assert expected in message
    assert "jester-data-1.xls" in message


def test_not_a_workbook(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"jester-data-1.xls": b"1,2,3\n" * 100})
    assert "an Excel 97 workbook is needed" in refusal("jester-1", archive)


def test_an_empty_workbook(tmp_path):
    archive = write_zip(tmp_path / "a.zip", {"jester-data-1.xls": jester_member([])})
    assert "jester-data-1.xls: found" in refusal("jester-1", archive)
