"""What the columns of a person's own file hold, told before anyone has said what they are for."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.own_files import BadColumn, Kind, array_columns, column_names, read_columns

FEW = 20  # different values that are listed


@dataclass(frozen=True)
class ColumnLook:
    """What a column of N rows holds.

    Attributes:
        kind: number, text, array, or neither, of which `fault` says why.
        rows: N.
        missing: rows without a value.
        distinct: different values.
        values: those, where they are few, ascending.
        low, high: of numbers, and of those in arrays.
        shape: of arrays.
        is_whole: all numbers are whole.
        most, median: rows of the most frequent value, and of the median one.
    """

    name: str
    kind: str
    rows: int = 0
    missing: int = 0
    distinct: int = 0
    values: tuple[str, ...] = ()
    low: float = float("nan")
    high: float = float("nan")
    is_whole: bool = False
    most: int = 0
    median: float = 0.0
    shape: tuple[int, ...] = ()
    fault: BadColumn | None = None

    @property
    def is_id(self) -> bool:
        """Whether its values can be names of something: texts, or whole numbers."""
        return self.kind == "text" or (self.kind == "number" and self.is_whole)


def look_at(
    path: Path, *, delimiter: str | None = None, texts: Collection[str] = ()
) -> list[ColumnLook]:
    """Each column of a file, read by itself: one is in memory at a time.

    Args:
        texts: columns whose numbers are texts.

    Raises:
        BadInput: for what `read_columns` refuses of the file as a whole.
    """
    names = column_names(path, delimiter=delimiter)
    kinds: dict[str, Kind] = dict.fromkeys(names, "any")
    kinds |= dict.fromkeys(array_columns(path), "array")
    kinds |= dict.fromkeys(texts, "text")
    return [_look(path, name, delimiter, kinds[name]) for name in names]


def _look(path: Path, name: str, delimiter: str | None, kind: Kind) -> ColumnLook:
    try:
        columns = read_columns(path, {name: kind}, delimiter=delimiter)
    except BadColumn as error:
        return ColumnLook(name, "neither", fault=error)
    missing = columns.missing(name)
    if name in columns.codes:
        counts = np.bincount(columns.codes[name][~missing], minlength=len(columns.values[name]))
        few = tuple(columns.values[name][:FEW])
        return _counted(name, "text", missing, counts, few)
    numbers = columns.numbers[name][~missing]
    if kind == "array":
        rows = Counter(hash(row.tobytes()) for row in numbers)
        looked = _counted(name, "array", missing, np.array([*rows.values()], dtype=int), ())
        ends = (float(numbers.min()), float(numbers.max())) if numbers.size else (np.nan, np.nan)
        return replace(looked, shape=numbers.shape[1:], low=ends[0], high=ends[1])
    values, counts = np.unique(numbers, return_counts=True)
    few = tuple(f"{value:.12g}" for value in values[:FEW])
    return _counted(name, "number", missing, counts, few, values)


def _counted(
    name: str,
    kind: str,
    missing: np.ndarray,
    counts: np.ndarray,
    few: tuple[str, ...],
    values: np.ndarray | None = None,
) -> ColumnLook:
    numbers: dict[str, Any] = {}
    if values is not None and len(values):
        is_whole = bool((values == np.rint(values)).all())
        numbers = {"low": float(values[0]), "high": float(values[-1]), "is_whole": is_whole}
    return ColumnLook(
        name,
        kind,
        rows=len(missing),
        missing=int(missing.sum()),
        distinct=len(counts),
        values=few if len(counts) <= FEW else (),
        most=int(counts.max(initial=0)),
        median=float(np.median(counts)) if len(counts) else 0.0,
        **numbers,
    )
