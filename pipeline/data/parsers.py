"""From an archive to checked ratings: choose the reader, then check every value."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.data.cards import RatingSet
from pipeline.data.isolated import Ended, isolated
from pipeline.data.parsers_excel import read_sheet
from pipeline.data.parsers_text import Layout, Place, read_delimited
from pipeline.data.parsers_zip import read_member, refusal

Reader = Callable[[RatingSet, Path, bytes], tuple[pd.DataFrame, Place]]

FORMATS: dict[str, Reader] = {
    "tab": partial(read_delimited, layout=Layout("\t")),
    "double-colon": partial(read_delimited, layout=Layout("::")),
    "csv": partial(read_delimited, layout=Layout(",", header="userId,movieId,rating,timestamp")),
}
WORKBOOK = "-xls"  # ends the name of a format with a row per user and a column per item


def reader_of(format: str) -> Reader:
    """What reads a format that a card names: one of `FORMATS`, or a workbook."""
    return read_sheet if format.endswith(WORKBOOK) else FORMATS[format]


# Every data set rates in hundredths or coarser; a cell may be off by the noise of a float.
_TOLERANCE = 1e-4


SECONDS = 300.0  # that reading an archive may take, of a second or two
_BYTES = 1 << 30  # that its reader may ask for, and ten times what the member may have


def parse_archive(source: RatingSet, archive: Path) -> pd.DataFrame:
    """Parse and check the ratings in `archive`, in a process of its own.

    Returns:
        Columns user int32, item int32, rating float32, sorted by user then item; ids as they
        stand in the archive (of a sheet: row and column from 1).

    Raises:
        BadInput: anything wrong with the archive, naming the member, the line or cell, what
            was found, what is needed, and the remedy.
    """
    memory = _BYTES + 10 * source.largest
    try:
        [frame] = isolated(_parsed, source, archive, seconds=SECONDS, memory=memory)
    except Ended as ended:
        needed = f"an undamaged '{source.member}'"
        raise refusal(source, archive, "cannot be read", str(ended), needed) from None
    return frame


def _parsed(source: RatingSet, archive: Path) -> Iterator[pd.DataFrame]:
    frame, place = reader_of(source.format)(source, archive, read_member(source, archive))
    if frame.empty:
        raise refusal(source, archive, source.member, "no ratings", "at least one rating")
    user, item = frame["user"].to_numpy(), frame["item"].to_numpy()
    rating = frame["rating"].to_numpy()
    _check_ids(source, archive, user, item, place)
    _check_ratings(source, archive, rating, place)
    order = _sorted_unique(source, archive, user, item, place)
    hundredths = np.rint(rating[order] * 100)
    yield pd.DataFrame(
        {
            "user": user[order].astype(np.int32),
            "item": item[order].astype(np.int32),
            "rating": (hundredths / 100).astype(np.float32),
        }
    )


def _check_ids(
    source: RatingSet, archive: Path, user: np.ndarray, item: np.ndarray, place: Place
) -> None:
    """Refuse a user or item number below 1."""
    for name, ids in (("user", user), ("item", item)):
        wrong = np.flatnonzero(ids < 1)
        if wrong.size:
            i = int(wrong[0])
            where = f"{place(i)} ({name})"
            raise refusal(source, archive, where, f"{ids[i]}", "a number of at least 1")


def _check_ratings(source: RatingSet, archive: Path, rating: np.ndarray, place: Place) -> None:
    """Refuse a rating that is not finite, out of range, or between two steps."""
    inside = (rating >= source.lo) & (rating <= source.hi)  # False for NaN too
    on_step = np.abs(rating / source.step - np.rint(rating / source.step)) * source.step
    with np.errstate(invalid="ignore"):
        wrong = np.flatnonzero(~(inside & (on_step <= _TOLERANCE)))
    if wrong.size:
        i = int(wrong[0])
        needed = f"a rating from {source.lo:g} to {source.hi:g} in steps of {source.step:g}"
        raise refusal(source, archive, f"{place(i)} (rating)", f"{rating[i]:g}", needed)


def _sorted_unique(
    source: RatingSet, archive: Path, user: np.ndarray, item: np.ndarray, place: Place
) -> np.ndarray:
    """Return the order by user then item; refuse a pair that occurs twice."""
    key = user.astype(np.int64) << 32 | item.astype(np.int64)
    order = np.argsort(key, kind="stable")
    repeated = np.flatnonzero(np.diff(key[order]) == 0)
    if repeated.size:
        # Of all repetitions, name the one that stands first in the file.
        j = int(repeated[np.argmin(order[repeated + 1])])
        first, second = int(order[j]), int(order[j + 1])
        found = f"user {user[second]} and item {item[second]} again (first in {place(first)})"
        raise refusal(source, archive, place(second), found, "one rating per user and item")
    return order
