"""Tiny archives in the official formats, whole or damaged on purpose.

Ratings are triples (user, item, rating). `LINES` and `MEMBERS` say how each format is laid
out; `write_archive` writes one, with options that damage it.
"""

import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import xlwt

from pipeline.data.cards import RatingSet
from pipeline.data.ratings import fingerprint
from pipeline.data.sets import SOURCES

Rating = tuple[int, int, float]
NOT_RATED = 99.0

RATING_SETS = ("ml-100k", "ml-1m", "ml-latest-small-2016", "jester-1")


def frame_of(ratings: Iterable[Rating]) -> pd.DataFrame:
    """Return triples as the frame that a parser should make of them."""
    frame = pd.DataFrame(list(ratings), columns=["user", "item", "rating"])
    frame = frame.astype({"user": "int32", "item": "int32", "rating": "float32"})
    return frame.sort_values(["user", "item"], ignore_index=True)


def tiny_source(name: str, ratings: Iterable[Rating] | None = None) -> RatingSet:
    """Return a source as it is, but expecting the counts and content of `ratings`."""
    source = SOURCES[name]
    if ratings is None:
        return source
    frame = frame_of(ratings)
    return replace(
        source,
        md5=None,
        n_ratings=len(frame),
        n_users=frame["user"].nunique(),
        n_items=frame["item"].nunique(),
        fingerprint=fingerprint(frame),
    )


def text_member(name: str, ratings: Iterable[Rating]) -> bytes:
    """Return the rating file of a MovieLens set, in the order given."""
    if name == "ml-latest-small-2016":
        rows = [f"{user},{item},{rating:.1f},1260759144\r\n" for user, item, rating in ratings]
        return ("userId,movieId,rating,timestamp\r\n" + "".join(rows)).encode()
    separator = "::" if name == "ml-1m" else "\t"
    rows = [
        separator.join((str(user), str(item), str(int(rating)), "978300760")) + "\n"
        for user, item, rating in ratings
    ]
    return "".join(rows).encode()


def jester_member(
    ratings: Iterable[Rating],
    *,
    n_jokes: int = 100,
    cells: dict[tuple[int, int], object] | None = None,
) -> bytes:
    """Return an Excel 97 workbook; `cells` overwrites cells at (row, column) from 0."""
    rows: dict[int, dict[int, float]] = {}
    for user, item, rating in ratings:
        rows.setdefault(user, {})[item] = rating
    workbook = xlwt.Workbook()
    sheet = workbook.add_sheet("jester-data-1", cell_overwrite_ok=True)
    for user in range(1, max(rows, default=0) + 1):
        rated = rows.get(user, {})
        sheet.write(user - 1, 0, len(rated))
        for joke in range(1, n_jokes + 1):
            sheet.write(user - 1, joke, rated.get(joke, NOT_RATED))
    for (row, column), value in (cells or {}).items():
        sheet.write(row, column, value)
    content = io.BytesIO()
    workbook.save(content)
    return content.getvalue()


def member_of(name: str, ratings: Iterable[Rating]) -> bytes:
    """Return the rating file of any set."""
    return jester_member(ratings) if name == "jester-1" else text_member(name, ratings)


def write_zip(path: Path, members: dict[str, bytes], *, stored: bool = False) -> Path:
    """Write a zip with these members."""
    method = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def write_archive(
    path: Path,
    name: str,
    ratings: Sequence[Rating],
    *,
    member: str | None = None,
    damage: Callable[[bytes], bytes] | None = None,
    truncate: int | None = None,
    stored: bool = False,
) -> Path:
    """Write the archive of set `name`.

    Args:
        member: name of the rating file, if not the official one.
        damage: applied to the bytes of the rating file before they are packed.
        truncate: number of bytes of the finished zip to keep.
        stored: do not compress.
    """
    content = member_of(name, ratings)
    if damage is not None:
        content = damage(content)
    official = SOURCES[name].member
    readme = f"{Path(official).parent.as_posix()}/README"
    write_zip(path, {readme: b"about\n", member or official: content}, stored=stored)
    if truncate is not None:
        path.write_bytes(path.read_bytes()[:truncate])
    return path


def replacing_line(number: int, line: str) -> Callable[[bytes], bytes]:
    """Return a damage that puts `line` in the place of line `number` (from 1)."""

    def damage(content: bytes) -> bytes:
        lines = content.decode().splitlines(keepends=True)
        lines[number - 1] = line + "\n"
        return "".join(lines).encode()

    return damage


def some_ratings(n_users: int = 4, n_items: int = 5) -> list[Rating]:
    """Return a few ratings that are allowed in every set, every user with `n_items`."""
    return [
        (user, item, float(1 + (user * 7 + item * 3) % 5))
        for user in range(1, n_users + 1)
        for item in range(1, n_items + 1)
    ]
