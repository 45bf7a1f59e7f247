"""Read Jester's Excel 97 workbook: one row per user, one column per joke.

Column A counts the jokes that the user rated; the other 100 cells are ratings, 99 where there
is none. A rating of exactly 0 is a rating.
"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from pipeline.data.cards import RatingSet
from pipeline.data.parsers_zip import clip, refusal

NOT_RATED = 99.0

Place = Callable[[int], str]


def read_sheet(
    source: RatingSet, archive: Path, content: bytes, *, n_jokes: int = 100
) -> tuple[pd.DataFrame, Place]:
    """Parse the bytes of a Jester workbook; users and jokes are numbered from 1.

    Returns:
        Columns user and item (int32) and rating (float64), by user then joke, and a function
        that says where row i of them stands in the workbook.

    Raises:
        BadInput: not an Excel 97 workbook, a cell that is not a number, a wrong number of
            columns, or a count in column A that differs from the number of rated cells.
    """
    cells, first_row = _read_cells(source, archive, content, n_jokes + 1)
    ratings = cells[:, 1:]
    rated = ratings != NOT_RATED
    counts = rated.sum(axis=1)
    wrong = np.flatnonzero(cells[:, 0] != counts)
    if wrong.size:
        row = int(wrong[0])
        raise refusal(
            source,
            archive,
            f"{source.member}, row {row + first_row}, column A (count)",
            f"{cells[row, 0]:g}",
            f"{counts[row]} (the number of rated cells in this row)",
        )
    user, joke = np.nonzero(rated)

    def place(i: int) -> str:
        column = _column_letters(int(joke[i]) + 1)
        number = int(user[i]) + first_row
        return f"{source.member}, row {number}, column {column} (joke {int(joke[i]) + 1})"

    frame = pd.DataFrame(
        {
            "user": (user + 1).astype(np.int32),
            "item": (joke + 1).astype(np.int32),
            "rating": ratings[rated],
        }
    )
    return frame, place


def _read_cells(
    source: RatingSet, archive: Path, content: bytes, n_columns: int
) -> tuple[np.ndarray, int]:
    """Return all cells, shape (users, n_columns), and the number of the first row."""
    sheet = _open_sheet(source, archive, content)
    first_row, first_column = sheet.start or (0, 0)
    width = sheet.width + first_column
    if width != n_columns or first_column:
        found = f"columns {_column_letters(first_column)} to {_column_letters(max(width - 1, 0))}"
        needed = f"columns A to {_column_letters(n_columns - 1)} (count, then one per joke)"
        raise refusal(source, archive, source.member, found, needed)
    cells = np.empty((sheet.height, n_columns))
    for i, row in enumerate(sheet.iter_rows()):
        # The set of types is the cheapest strict check: numpy would turn "3" and True into
        # numbers without a word.
        if not {float, int}.issuperset(map(type, row)):
            column = next(j for j, cell in enumerate(row) if type(cell) not in (float, int))
            raise refusal(
                source,
                archive,
                f"{source.member}, row {i + first_row + 1}, column {_column_letters(column)}",
                clip(repr(row[column])),
                f"a number ({NOT_RATED:g} where the joke was not rated)",
            )
        cells[i] = np.asarray(row, dtype=np.float64)
    return cells, first_row + 1


def _open_sheet(source: RatingSet, archive: Path, content: bytes) -> CalamineSheet:
    """Open the first sheet of the workbook."""
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        return workbook.get_sheet_by_index(0)
    except CalamineError as error:
        found = f"something else ({clip(str(error))})"
        raise refusal(source, archive, source.member, found, "an Excel 97 workbook") from error


def _column_letters(index: int) -> str:
    """Return Excel's name of column `index`, counted from 0: A, B, ..., Z, AA, ..."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("A") + rest) + letters
    return letters
