"""Columns of a person's own file: CSV of any delimiter, or Parquet.

A column is read as what it is said to hold. What does not fit is refused, with its line. The
readers of Arrow work in a process of their own, which hands over a part of the rows at a time.
"""

import csv
import difflib
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from pipeline.data.cards import LARGEST
from pipeline.data.isolated import Ended, isolated
from pipeline.errors import BadInput

# Of a column; any: numbers or texts, as the values are; array: lists of one length
Kind = Literal["number", "text", "any", "array"]

DELIMITERS = (",", ";", "\t", "|")
PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".tsv", ".tab", ".txt", ".dat", ".psv")
MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "?")
_BLOCK = 1 << 24  # bytes of text that are parsed at a time
_HEAD = 1 << 16  # bytes that tell delimiter and kinds
_SECONDS = 120.0  # that reading may take, and one more for each 10^6 bytes of the file
_PACKED = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


class BadColumn(BadInput):
    """Of one column; the others may be sound."""


@dataclass(frozen=True)
class OwnColumns:
    """Columns of one length N.

    Attributes:
        path: the file, or what a table in memory is called in messages.
        numbers: float64 by name, NaN where a value is missing; of arrays (N, ...).
        codes: of text, by name: the place of each row's value in `values`, -1 where missing.
        values: of text, by name: the different values, sorted.
        delimiter: of a text file; None of Parquet.
        rows: the place of each row in the file, (N,); None: all of it, in its order.
    """

    path: Path
    numbers: dict[str, np.ndarray]
    codes: dict[str, np.ndarray]
    values: dict[str, list[str]]
    delimiter: str | None
    rows: np.ndarray | None = None

    def __len__(self) -> int:
        return len(next(iter([*self.numbers.values(), *self.codes.values()])))

    def missing(self, name: str) -> np.ndarray:
        """Which rows of a column have no value, (N,)."""
        if name not in self.numbers:
            return self.codes[name] < 0
        lost = np.isnan(self.numbers[name])
        return lost.reshape(len(lost), -1).any(axis=1)

    def take(self, chosen: np.ndarray) -> "OwnColumns":
        """Some of the rows, by their places (M,)."""
        rows = np.arange(len(self)) if self.rows is None else self.rows
        return replace(
            self,
            numbers={name: values[chosen] for name, values in self.numbers.items()},
            codes={name: codes[chosen] for name, codes in self.codes.items()},
            rows=rows[chosen],
        )

    def place(self, row: int) -> str:
        """Where a row stands in the file: its line, or of Parquet its number from 1."""
        row = row if self.rows is None else int(self.rows[row])
        if self.delimiter is None:
            return f"{self.path}: row {row + 1}"
        for number, (line, _) in enumerate(_lines(self.path, self.delimiter)):
            if number == row:
                return f"{self.path}: line {line}"
        return f"{self.path}: row {row + 1}"


def read_columns(
    path: Path, wanted: Mapping[str, Kind], *, delimiter: str | None = None
) -> OwnColumns:
    """Read some columns of a file.

    Args:
        wanted: column -> what it holds. Of the kind `any`, a column in which every value is a
            number holds numbers, one in which none is holds texts.
        delimiter: of a text file; None: found by looking.

    Raises:
        BadInput: no such file, neither text nor Parquet, no such column, a line of another width,
            text among numbers, infinity, no rows, more than fits into the memory.
    """
    _check_there(path)
    if path.suffix.lower() in PARQUET:
        _check_names(path, wanted, _parquet_names(path))
        table = _table(path, _parquet_parts, list(wanted))
        separator = None
    else:
        names, separator = _header(path, delimiter)
        _check_names(path, wanted, names, separator=separator)
        if arrays := [name for name, kind in wanted.items() if kind == "array"]:
            raise BadColumn(
                f"{path}: column '{arrays[0]}': needed lists of numbers, which text cannot have. "
                "Bring Parquet, or a column for each number: `inputs: [pixel*]`."
            )
        table = _table(path, _text_parts, wanted, names, separator)
    if not len(table):
        raise BadInput(f"{path}: found no rows, needed rows below the header.")
    found = OwnColumns(path, {}, {}, {}, separator)
    for name, kind in wanted.items():
        try:
            _add(found, name, kind, table.column(name).combine_chunks())
        except pa.ArrowException as error:  # of types that nobody thought of
            said = " ".join(str(error).split())[:120]
            raise BadColumn(f"{path}: column '{name}': cannot be read: {said}.") from None
    return found


def _table(path: Path, parts: Callable[..., Iterator[Any]], *given: Any) -> pa.Table:
    """What `parts(path, ...)` yields, a schema and then batches of rows."""
    schema, batches, room = None, [], _most_memory()
    for part in _alone(path, parts, *given):
        if schema is None:
            schema = part
            continue
        batches.append(part)
        room -= part.nbytes
        if room < 0:
            raise BadInput(
                f"{path}: found columns of more than {_most_memory() / 1e9:.0f} GB, half of this "
                "machine's memory. Take fewer rows or columns, or a larger machine."
            )
    return pa.Table.from_batches(batches, schema)


def _alone(path: Path, work: Callable[..., Iterator[Any]], *given: Any) -> Iterator[Any]:
    seconds = _SECONDS + path.stat().st_size / 1e6
    try:
        yield from isolated(work, path, *given, seconds=seconds, memory=_most_memory())
    except Ended as ended:
        raise BadInput(
            f"{path}: cannot be read: {ended}. Needed an undamaged "
            f"{'Parquet file' if path.suffix.lower() in PARQUET else 'text'}; write it anew."
        ) from None


def _most_memory() -> int:
    """Bytes that reading may take: half of the machine's."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2


def read_mapped(
    path: Path, wanted: Mapping[str, Kind], folder: Path, *, delimiter: str | None = None
) -> OwnColumns:
    """As `read_columns`, with one column in memory at a time: all lie in files of `folder`."""
    found: OwnColumns | None = None
    for name, kind in wanted.items():
        one = read_columns(path, {name: kind}, delimiter=delimiter)
        found = found or replace(one, numbers={}, codes={}, values={})
        for kept, columns in ((found.numbers, one.numbers), (found.codes, one.codes)):
            kept |= {name: mapped(values, folder) for name, values in columns.items()}
        found.values.update(one.values)
        del one
        pa.default_memory_pool().release_unused()
    assert found is not None
    return found


def mapped(values: np.ndarray, folder: Path) -> np.ndarray:
    """The same array in a file of `folder`, of which the system keeps in memory what it can."""
    file = folder / f"{len(list(folder.iterdir()))}.npy"
    np.save(file, values)
    array: np.ndarray = np.load(file, mmap_mode="r")
    return array


def frame_columns(frame: pd.DataFrame, wanted: Mapping[str, Kind], *, name: str) -> OwnColumns:
    """The same of a table in memory, which is called `name` in messages."""
    place = Path(name)
    _check_names(place, wanted, [str(column) for column in frame.columns])
    if not len(frame):
        raise BadInput(f"{name}: found no rows, needed one or more.")
    found = OwnColumns(place, {}, {}, {}, None)
    for column, kind in wanted.items():
        given = frame[column].tolist()
        if kind == "number":
            values = [_number_of(value) for value in given]
            if None in values:
                row = values.index(None)
                raise _no_number(found.place(row), column, str(given[row]))
            _add(found, column, kind, pa.array(values, pa.float64(), from_pandas=True))
        elif kind == "array":
            _add(found, column, kind, _lists_of(given, f"{name}: column '{column}'"))
        else:
            _add(found, column, kind, pa.array([_text_of(value) for value in given], pa.string()))
    return found


def _lists_of(given: Sequence[Any], where: str) -> pa.Array:
    """Cells that are arrays or lists, which may be nested, as lists."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray | list | tuple):
            return [plain(part) for part in value]
        return None if _is_missing(value) else value

    try:
        found = pa.array([plain(value) for value in given])
        return pc.cast(found, pa.list_(pa.float64())) if pa.types.is_null(found.type) else found
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        raise BadColumn(f"{where}: found other values too, needed lists of numbers.") from None


def _is_missing(value: Any) -> bool:
    if isinstance(value, str):
        return value in MISSING
    return bool(pd.api.types.is_scalar(value) and pd.isna(value))


def _number_of(value: Any) -> float | None:
    """A cell as a number, NaN where it is empty; None of what is none."""
    try:
        if _is_missing(value):
            return math.nan
        is_text = isinstance(value, str) and not is_number(value)
        return None if is_text or isinstance(value, bool | np.bool_) else float(value)
    except (TypeError, ValueError):
        return None


def _text_of(value: Any) -> str | None:
    """A cell as text, of every kind of file and in memory the same.

    `True`, as pandas has it, is `true`; 7.0, as a column of whole numbers with gaps has it, is 7.
    """
    text = str(value).strip()
    if _is_missing(value) or text in MISSING:
        return None
    if text.lower() in ("true", "false"):
        return text.lower()
    return re.sub(r"^(-?\d+)\.0$", r"\1", text)


def rows_as_given(path: Path, *, delimiter: str | None = None) -> tuple[list[str], list[list[str]]]:
    """Names of all columns of a file that `read_columns` takes, and its rows as texts."""
    if path.suffix.lower() in PARQUET:
        _parquet_names(path)
        table = _table(path, _parquet_parts, None)
        columns = [_as_texts(column) for column in table]
        return list(table.column_names), [list(row) for row in zip(*columns, strict=True)]
    names, separator = _header(path, delimiter)
    return names, [row for _, row in _lines(path, separator)]


def _as_texts(column: pa.ChunkedArray) -> list[str]:
    if pa.types.is_nested(column.type):
        return [f"{len(value or [])} values" for value in column.to_pylist()]
    texts: list[str] = pc.fill_null(pc.cast(column, pa.string()), "").to_pylist()
    return texts


def column_names(path: Path, *, delimiter: str | None = None) -> list[str]:
    """Names of all columns.

    Raises:
        BadInput: no such file, neither text nor Parquet, or no header.
    """
    _check_there(path)
    if path.suffix.lower() in PARQUET:
        return _parquet_names(path)
    return _header(path, delimiter)[0]


def array_columns(path: Path) -> set[str]:
    """Names of the columns of lists, which only Parquet has."""
    if path.suffix.lower() not in PARQUET:
        return set()
    types = pa.types
    return {
        field.name
        for field in _parquet_schema(path)
        if types.is_list(field.type)
        or types.is_large_list(field.type)
        or types.is_fixed_size_list(field.type)
    }


def _check_there(path: Path) -> None:
    if path.is_dir():
        raise BadInput(f"{path}: found a folder, needed a CSV or Parquet file.")
    if not path.is_file():
        raise BadInput(f"{path}: found no such file. Correct the path.")
    if path.suffix.lower() not in PARQUET + TEXT:
        raise BadInput(
            f"{path}: found the ending '{path.suffix}', needed {', '.join(TEXT)} for text with a "
            f"header line, or {' or '.join(PARQUET)}. Rename or convert the file."
        )


def _check_names(
    path: Path, wanted: Mapping[str, Kind], names: Sequence[str], *, separator: str | None = None
) -> None:
    for name in wanted:
        if name in names:
            continue
        free = {other.lower(): other for other in names if other not in wanted}
        close = [free[low] for low in difflib.get_close_matches(name.lower(), free, n=1)]
        guess = f" Did you mean `{close[0]}`?" if close else ""
        shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        if separator is not None and len(names) == 1:
            shown += f" (one column, split at {separator!r}: is the `delimiter` another?)"
        raise BadInput(f"{path}: found no column '{name}'.{guess} There are: {shown}.")


def _parquet_schema(path: Path) -> pa.Schema:
    [schema] = _alone(path, _schema_alone)
    return schema


def _schema_alone(path: Path) -> Iterator[pa.Schema]:
    try:
        yield pq.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise BadInput(
            f"{path}: found no readable Parquet ({str(error)[:120]}). Write it anew, or as CSV."
        ) from error


def _parquet_names(path: Path) -> list[str]:
    names = list(_parquet_schema(path).names)
    _refuse_same(f"{path}", names)
    return names


def _refuse_same(where: str, names: Sequence[str]) -> None:
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"{where}: names the column '{twice[0]}' twice. Rename one of them.")


def _parquet_parts(path: Path, columns: list[str] | None) -> Iterator[Any]:
    """The schema of some columns (None: of all), and their rows, checked whole."""
    with pq.ParquetFile(path) as file:
        kept = file.schema_arrow.names if columns is None else columns
        yield pa.schema([file.schema_arrow.field(name) for name in kept])
        for batch in file.iter_batches(columns=columns):
            batch.validate(full=True)  # that texts are UTF-8, say
            yield batch.select(kept)


def _header(path: Path, delimiter: str | None) -> tuple[list[str], str]:
    """Column names, and the delimiter."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head.strip():
        raise BadInput(f"{path}: found an empty file, needed a header line and rows.")
    if packed := next((kind for start, kind in _PACKED.items() if head.startswith(start)), None):
        raise BadInput(f"{path}: found a file packed by {packed}, needed text. Unpack it first.")
    try:
        text = head.splitlines()[0].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path}: line 1: is not UTF-8. Save the file as UTF-8.") from None
    if "\0" in text:
        raise BadInput(f"{path}: found no text. Save it as CSV in UTF-8, or as Parquet.")
    separator = delimiter or max(DELIMITERS, key=text.count)
    if len(separator) != 1 or not separator.isascii() or separator in '\0\r\n"':
        raise BadInput(
            f"{path}: delimiter: found {separator!r}, needed one ASCII character, such as ';'; "
            "without one it is found by looking."
        )
    names = [name.strip() for name in next(csv.reader([text], delimiter=separator))]
    if not any(names):
        raise BadInput(f"{path}: line 1: found no names of columns, needed a header line.")
    _refuse_same(f"{path}: line 1", names)
    return names, separator


def _lines(path: Path, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Number and values of each line below the header that is not empty."""
    with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
        reader = csv.reader(file, delimiter=separator)
        with suppress(csv.Error):  # of a field of more than 131,072 characters
            next(reader)
            for row in reader:
                if row:
                    yield reader.line_num, row


def _text_parts(
    path: Path, wanted: Mapping[str, Kind], names: Sequence[str], separator: str
) -> Iterator[Any]:
    """The schema of some columns, and their rows."""
    kinds = _kinds_at_start(path, wanted, names, separator)
    types = {
        name: pa.float64() if kind == "number" else pa.dictionary(pa.int32(), pa.string())
        for name, kind in kinds.items()
    }
    try:
        with pacsv.open_csv(  # whose memory is bounded, unlike that of `read_csv`
            path,
            read_options=pacsv.ReadOptions(block_size=_BLOCK, column_names=names, skip_rows=1),
            parse_options=pacsv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                include_columns=list(kinds),
                column_types=types,
                null_values=list(MISSING),
                strings_can_be_null=True,
            ),
        ) as reader:
            yield reader.schema
            yield from reader
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise _unreadable(path, names, kinds, separator, str(error)) from error


def _kinds_at_start(
    path: Path, wanted: Mapping[str, Kind], names: Sequence[str], separator: str
) -> dict[str, Kind]:
    """What the columns of the kind `any` hold, by most of the first rows."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        whole = not file.read(1)
    lines = head.decode("utf-8-sig", errors="replace").splitlines()
    rows = list(csv.reader(lines[1:] if whole else lines[1:-1], delimiter=separator))
    kinds = dict(wanted)
    for name in [name for name, kind in wanted.items() if kind == "any"]:
        place = names.index(name)
        given = [row[place].strip() for row in rows if len(row) > place]
        given = [value for value in given if value not in MISSING]
        numbers = sum(is_number(value) for value in given)
        kinds[name] = "text" if numbers < len(given) / 2 else "number"
    return kinds


def is_number(text: str) -> bool:
    """Whether a text reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text


def _unreadable(
    path: Path, names: Sequence[str], kinds: Mapping[str, Kind], separator: str, said: str
) -> BadInput:
    """What is wrong with the first line that cannot be read."""
    for line, row in _lines(path, separator):
        where = f"{path}: line {line}"
        if any("\ufffd" in value for value in row):
            return BadInput(f"{where}: is not UTF-8. Save the file as UTF-8.")
        if len(row) != len(names):
            return BadInput(
                f"{where}: found {len(row)} values, needed {len(names)} as in line 1 (split at "
                f"{separator!r}). Mend the line, or name the `delimiter`."
            )
        for name, kind in kinds.items():
            value = row[names.index(name)].strip()
            if kind == "number" and value not in MISSING and not is_number(value):
                return _no_number(where, name, value)
    return BadInput(f"{path}: cannot be read: {said[:200]}.")


def _no_number(where: str, name: str, value: str) -> BadColumn:
    return BadColumn(
        f"{where}: column '{name}': found {value[:40]!r}, needed a number as in other rows. Mend "
        "it; a column of categories goes under `categories` (add-data: --categories)."
    )


def _add(found: OwnColumns, name: str, kind: Kind, column: pa.Array) -> None:
    """Take over a column as numbers or texts."""
    types = pa.types
    if kind == "array":
        found.numbers[name] = _array(found, name, column)
        _refuse_infinite(found, name)
        return
    if types.is_null(column.type):
        column = pc.cast(column, pa.string() if kind == "text" else pa.float64())
    is_number_type = (
        types.is_integer(column.type)
        or types.is_floating(column.type)
        or types.is_decimal(column.type)
    )
    is_text_type = (
        types.is_dictionary(column.type)
        or types.is_string(column.type)
        or types.is_large_string(column.type)
        or types.is_boolean(column.type)
    )
    if not (is_number_type or is_text_type) or (kind == "number" and not is_number_type):
        needed = "numbers" if kind == "number" else "numbers or text"
        raise BadColumn(
            f"{found.path}: column '{name}' holds {column.type}, needed {needed}. Convert "
            "it; inputs that are arrays have a `shape` (docs/own-model.md)."
        )
    if kind == "text" or not is_number_type:
        _add_text(found, name, column)
        if kind == "any":
            _refuse_numbers(found, name)
        return
    numbers = pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    found.numbers[name] = np.asarray(numbers, dtype=np.float64)
    _refuse_infinite(found, name)


def _array(found: OwnColumns, name: str, column: pa.Array) -> np.ndarray:
    """Lists of one length as (N, L), lists of lists as (N, L, M), ...; NaN where a row has none."""
    level, valid = column, column.is_valid().to_numpy(zero_copy_only=False)
    shape: list[int] = []
    while isinstance(level, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        lengths = pc.unique(pc.drop_null(pc.list_value_length(level))).to_pylist()
        if len(lengths) > 1:
            raise BadColumn(
                f"{found.path}: column '{name}': found lists of {lengths[0]} and of {lengths[1]} "
                "values, needed one length in all rows. Pad or cut them."
            )
        if level is not column and level.null_count:
            raise BadColumn(
                f"{found.path}: column '{name}': found a list that has no value in the place of a "
                "list, needed numbers in each. Fill them, or drop the rows."
            )
        shape += lengths or [1]
        level = level.flatten()
    if level is column or not (pa.types.is_integer(level.type) or pa.types.is_floating(level.type)):
        raise BadColumn(
            f"{found.path}: column '{name}' holds {column.type}, needed lists of numbers. Leave "
            "`shape` out where inputs are no arrays."
        )
    numbers = pc.cast(level, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    values = np.full((len(column), *shape), np.nan)
    values[valid] = numbers.reshape(-1, *shape) if numbers.size else np.nan
    return values


def _refuse_infinite(found: OwnColumns, name: str) -> None:
    infinite = np.isinf(found.numbers[name]).reshape(len(found), -1).any(axis=1)
    if infinite.any():
        raise BadColumn(
            f"{found.place(int(infinite.argmax()))}: column '{name}': found infinity, needed "
            "finite numbers. Mend it."
        )
    with np.errstate(invalid="ignore"):
        too_large = (np.abs(found.numbers[name]) > LARGEST).reshape(len(found), -1).any(axis=1)
    if too_large.any():
        raise BadColumn(
            f"{found.place(int(too_large.argmax()))}: column '{name}': found a number beyond "
            f"{LARGEST:g}, needed smaller ones, whose squares can be added up. Mend it."
        )


def _add_text(found: OwnColumns, name: str, column: pa.Array) -> None:
    if not pa.types.is_dictionary(column.type):
        column = pc.dictionary_encode(column)
    texts = [_text_of(value) for value in column.dictionary.to_pylist()]
    order = sorted({text for text in texts if text is not None})
    place: dict[str | None, int] = {text: code for code, text in enumerate(order)}
    codes = np.array([*(place.get(text, -1) for text in texts), -1], dtype=np.int32)
    # a row without a value has the last code
    found.codes[name] = codes[column.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
    found.values[name] = order


def _refuse_numbers(found: OwnColumns, name: str) -> None:
    """Of a column that nobody called one of categories: all its values are texts."""
    odd = [code for code, value in enumerate(found.values[name]) if is_number(value)]
    if odd:
        row = int(np.isin(found.codes[name], odd).argmax())
        raise BadColumn(
            f"{found.place(row)}: column '{name}': found the number {found.values[name][odd[0]]} "
            "among texts. Mend it; a column of categories goes under `categories` (add-data: "
            "--categories)."
        )
