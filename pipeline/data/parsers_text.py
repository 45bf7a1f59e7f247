"""Read MovieLens text files: `user SEP item SEP rating SEP timestamp` on every line.

A regular expression takes one line after the other. Where its matches end is where the first
malformed line begins.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as csv

from pipeline.data.cards import RatingSet
from pipeline.data.parsers_zip import clip, refusal

_FIELDS = ("user", "item", "rating", "timestamp")
_PATTERNS = (r"-?\d{1,9}", r"-?\d{1,9}", r"-?\d{1,4}(?:\.\d{1,6})?", r"-?\d{1,18}")
_WANTED = (
    "an integer of at most 9 digits",
    "an integer of at most 9 digits",
    "a decimal number",
    "an integer",
)

Place = Callable[[int], str]


@dataclass(frozen=True)
class Layout:
    """How a text format is laid out: the separator, and the header line ("" for none)."""

    separator: str
    header: str = ""


def read_delimited(
    source: RatingSet, archive: Path, content: bytes, *, layout: Layout
) -> tuple[pd.DataFrame, Place]:
    """Parse the bytes of a text member.

    Returns:
        Columns user and item (int32) and rating (float64) in the order of the file, and a
        function that says where row i of them stands in the file.

    Raises:
        BadInput: a wrong header, or a line that is not four numbers; names the line.
    """
    start = _header_end(source, archive, content, layout)
    end = _well_formed(content, start, layout.separator)
    if content[end:].strip():
        raise _malformed(source, archive, content, end, layout.separator)
    header_lines = 1 if layout.header else 0

    def place(row: int) -> str:
        return f"{source.member}, line {row + 1 + header_lines}"

    if start == end:
        empty = {name: pd.Series(dtype="float64") for name in _FIELDS[:3]}
        return pd.DataFrame(empty), place
    return _convert(content, start, end, layout.separator), place


def _convert(content: bytes, start: int, end: int, separator: str) -> pd.DataFrame:
    """Turn lines already known to be well-formed into columns."""
    # Arrow wants a separator of one character: "a::b" is then "a", "" and "b".
    stride = len(separator)
    names = [f"empty{i}" for i in range(3 * stride + 1)]
    for i, field in enumerate(_FIELDS):
        names[i * stride] = field
    table = csv.read_csv(
        pa.py_buffer(memoryview(content)[start:end]),
        read_options=csv.ReadOptions(column_names=names, use_threads=False),
        parse_options=csv.ParseOptions(delimiter=separator[0], quote_char=False),
        convert_options=csv.ConvertOptions(
            include_columns=list(_FIELDS[:3]),
            column_types={"user": pa.int32(), "item": pa.int32(), "rating": pa.float64()},
        ),
    )
    return table.to_pandas()


def _well_formed(content: bytes, start: int, separator: str) -> int:
    """Where the well-formed lines from `start` on end.

    A possessive repetition of the line would be one match, but Python up to 3.11.4 lets it end
    inside of the malformed line (python/cpython#106052).
    """
    line = re.escape(separator).join(_PATTERNS) + r"(?:\r?\n|\Z)"
    end = start
    for match in re.finditer(line.encode("ascii"), content[start:]):
        if start + match.start() != end:
            break
        end = start + match.end()
    return end


def _header_end(source: RatingSet, archive: Path, content: bytes, layout: Layout) -> int:
    """Check the header line, if the format has one; return where the rows begin."""
    if not layout.header:
        return 0
    line, newline, _ = content.partition(b"\n")
    found = line.rstrip(b"\r").decode("utf-8-sig", errors="replace")
    if found != layout.header:
        where = f"{source.member}, line 1"
        raise refusal(source, archive, where, f"'{clip(found)}'", f"the header '{layout.header}'")
    return len(line) + len(newline)


def _malformed(
    source: RatingSet, archive: Path, content: bytes, position: int, separator: str
) -> Exception:
    """Explain the malformed line that begins at byte `position`."""
    number = content.count(b"\n", 0, position) + 1
    stop = content.find(b"\n", position)
    raw = content[position : stop if stop >= 0 else len(content)]
    line = raw.rstrip(b"\r").decode("utf-8", errors="replace")
    where = f"{source.member}, line {number}"
    cells = line.split(separator)
    if len(cells) != len(_FIELDS):
        needed = f"{len(_FIELDS)} columns ({', '.join(_FIELDS)}) separated by {separator!r}"
        plural = "column" if len(cells) == 1 else "columns"
        found = f"{len(cells)} {plural} in '{clip(line)}'"
        return refusal(source, archive, where, found, needed)
    for i, cell in enumerate(cells):
        if not re.fullmatch(_PATTERNS[i], cell, flags=re.ASCII):
            where = f"{where}, column {i + 1} ({_FIELDS[i]})"
            return refusal(source, archive, where, f"'{clip(cell)}'", _WANTED[i])
    return refusal(source, archive, where, f"'{clip(line)}'", "one rating per line")
