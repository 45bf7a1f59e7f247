"""Task sets of a person's own table, and ratings of a person's own file.

A table has a row for each observation, and a column that says to which task it belongs. Inputs are
numbers, or categories, which become one column each (one-hot).
"""

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data import schemas
from pipeline.data.cards import OF_CLASSES, Missing, OwnRatings, OwnTable
from pipeline.data.own_files import (
    Kind,
    OwnColumns,
    column_names,
    mapped,
    read_columns,
    read_mapped,
)
from pipeline.errors import BadInput

MOST_CATEGORIES = 200  # of one input; more are ids rather than categories
MOST_CLASSES = 100
_DECIMAL_COMMA = re.compile(r"-?\d+,\d+")
SPLITS = ("train", "validation", "test")


def build_table_tasks(given: OwnTable, out: Path, *, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Read a table and write its rows by task, inputs as numbers.

    Writes task (the place of its id among the sorted ids), x0, x1, ... or, of arrays, their numbers
    as one list x, y, and split where the
    table has one; sorted by task, otherwise in the file's order.

    Args:
        metadata: further entries for the file's metadata.

    Returns:
        The file's metadata: dataset, title, kind, fingerprint (of the rows), task_ids, inputs (a
        name for each of x0, ...; of arrays the columns they come from), shape (of arrays), target,
        classes (their names in order, where the target holds some) and then loss, tasks, rows,
        dropped (rows with missing values), repeated (rows that stand there once more), splits
        (tasks of each, where the table says it), and the
        entries of `metadata`.

    Raises:
        BadInput: for what `read_columns` refuses, missing values unless they are dropped, fewer
            than two tasks, tasks of one row only, a target or an input that is the same everywhere,
            an input with too many categories, too many classes, a split that is none.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        return _table_tasks(replace(given, inputs=_resolved(given)), out, metadata, Path(folder))


def _table_tasks(
    given: OwnTable, out: Path, metadata: Mapping[str, str], folder: Path
) -> dict[str, Any]:
    """`build_table_tasks`, with columns in files of `folder`: memory holds a few at a time."""
    kinds: dict[str, Kind] = dict.fromkeys(given.inputs, "any")
    if given.shape is not None:
        kinds = dict.fromkeys(given.inputs, "array" if len(given.inputs) == 1 else "number")
    kinds |= dict.fromkeys(given.categories, "text")
    kinds |= {given.task: "text", given.target: "text" if given.loss in OF_CLASSES else "number"}
    if given.split is not None:
        kinds[given.split] = "text"
    columns = read_mapped(given.file, kinds, folder, delimiter=given.delimiter)
    kept = _without_missing(columns, list(kinds), given.missing)
    codes = columns.codes[given.task][kept]
    used, place = np.unique(codes), np.zeros(len(columns.values[given.task]), dtype=np.int32)
    place[used] = np.arange(len(used))
    task = place[codes]
    ids = [columns.values[given.task][code] for code in used]
    counts = np.bincount(task)
    if len(ids) < 2 or counts.max() < 2:
        raise BadInput(
            f"{given.file}: found {_tasks(len(ids))} in column '{given.task}', the largest of "
            f"{counts.max()} rows, needed several tasks of several rows. Is `task` another column?"
        )
    order = np.argsort(task, kind="stable").astype(np.int32)
    rows, task = kept[order], mapped(task[order], folder)
    del order, kept, codes  # a table of 1 GB has 36 million rows
    inputs: dict[str, np.ndarray] = {}
    described: list[dict[str, Any]] = []
    for name in given.inputs if given.shape is None else ():
        found, categories = _input(columns, name, rows)
        inputs |= {name: mapped(values, folder) for name, values in found.items()}
        described.append({"name": name, "categories": categories})
    if given.shape is not None:
        described = [{"name": name, "categories": None} for name in given.inputs]
    classes: list[str] = []
    if given.loss in OF_CLASSES:
        y, classes = _classes(columns, given, rows)
    else:
        y = columns.numbers[given.target][rows]
    y = mapped(y, folder)
    if y.min() == y.max():
        raise BadInput(
            f"{given.file}: found the same {given.target} in all {len(rows)} rows, needed a target "
            "that differs. Is `target` another column?"
        )
    written: dict[str, Any] = {"task": task}
    if given.split is not None:
        written["split"] = _split(columns, given, rows, task, ids)
    if given.shape is None:
        written |= {f"x{place}": values for place, values in enumerate(inputs.values())}
    else:
        written["x"] = mapped(_arrays(columns, given, rows), folder)
    written["y"] = y
    summary = {
        **metadata,
        "kind": "table",
        "dataset": given.name,
        "title": given.name,
        "fingerprint": _digest([*ids, *classes], written),
        "task_ids": ids,
        "inputs": list(inputs) or list(given.inputs),
        **({} if given.shape is None else {"shape": list(given.shape)}),
        "columns": {"inputs": described, "task": given.task},
        "target": given.target,
        **({"classes": classes, "loss": given.loss} if classes else {}),
        "tasks": len(ids),
        "rows": len(rows),
        "dropped": len(columns) - len(rows),
        "repeated": _repeated(written),
    }
    if given.split is not None:
        of_tasks = written["split"][np.r_[True, np.diff(written["task"]) > 0]]
        summary["splits"] = {name: int((of_tasks == name).sum()) for name in SPLITS}
    schema = schemas.table_tasks(
        math.prod(given.shape) if given.shape else len(inputs),
        split=given.split is not None,
        is_array=given.shape is not None,
    )
    schemas.write_rows(out, written, schema, summary)
    return summary


def build_own_ratings(
    given: OwnRatings, out: Path, *, metadata: Mapping[str, str]
) -> dict[str, Any]:
    """Read ratings and write them like those of an archive, ids as numbers.

    Returns:
        The file's metadata: dataset, title, kind, fingerprint, ratings, users, items, lo, hi,
        user_names and item_names (of the numbers 0, 1, ...), dropped, and the entries of
        `metadata`.

    Raises:
        BadInput: for what `read_columns` refuses, missing values unless they are dropped, a rating
            outside of the scale, an item rated twice by a user, ratings that are all the same.
    """
    kinds: dict[str, Kind] = {given.user: "text", given.item: "text", given.rating: "number"}
    columns = read_columns(given.file, kinds, delimiter=given.delimiter)
    kept = _without_missing(columns, list(kinds), given.missing)
    rating = columns.numbers[given.rating][kept]
    lo = float(rating.min()) if given.lo is None else given.lo
    hi = float(rating.max()) if given.hi is None else given.hi
    outside = (rating < lo) | (rating > hi)
    if outside.any():
        row = int(outside.argmax())
        raise BadInput(
            f"{columns.place(int(kept[row]))}: found the rating {rating[row]:g}, needed one from "
            f"{lo:g} to {hi:g}, the `scale`. Mend the line or the scale."
        )
    if lo == hi:
        raise BadInput(
            f"{given.file}: found the rating {lo:g} in all {len(kept)} rows, needed ratings that "
            "differ. Is `rating` another column?"
        )
    users, user = np.unique(columns.codes[given.user][kept], return_inverse=True)
    items, item = np.unique(columns.codes[given.item][kept], return_inverse=True)
    _refuse_twice(columns, given, kept, user.astype(np.int64) * len(items) + item)
    written = {
        "user": user.astype(np.int32),
        "item": item.astype(np.int32),
        "rating": rating.astype(np.float32),
    }
    names = {
        "user_names": [columns.values[given.user][code] for code in users],
        "item_names": [columns.values[given.item][code] for code in items],
    }
    summary = {
        **metadata,
        "kind": "ratings",
        "dataset": given.name,
        "title": given.name,
        "fingerprint": _digest([*names["user_names"], *names["item_names"]], written),
        "ratings": len(kept),
        "users": len(users),
        "items": len(items),
        "lo": lo,
        "hi": hi,
        "columns": {"task": given.user, "item": given.item, "rating": given.rating},
        **names,
        "dropped": len(columns) - len(kept),
    }
    schemas.write_rows(out, written, schemas.RATINGS, summary)
    return summary


def _resolved(given: OwnTable) -> tuple[str, ...]:
    """Names of the inputs, each that ends in `*` by those that begin so, in the file's order."""
    names = column_names(given.file, delimiter=given.delimiter)
    others = {given.task, given.target, given.split}
    found: dict[str, None] = {}
    for name in given.inputs:
        begins = [n for n in names if n.startswith(name[:-1]) and n not in others]
        found |= dict.fromkeys([name] if name in names or not name.endswith("*") else begins)
    if not found:
        raise BadInput(
            f"{given.file}: found no column that begins as `inputs` say: "
            f"{', '.join(given.inputs)}. There are: {', '.join(names[:20])}."
        )
    return tuple(found)


def _arrays(columns: OwnColumns, given: OwnTable, rows: np.ndarray) -> np.ndarray:
    """Inputs (R, L) of a shape of L numbers."""
    assert given.shape is not None
    parts = [columns.numbers[name][rows] for name in given.inputs]
    x = parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
    x = x.reshape(len(rows), -1)
    if x.shape[1] != math.prod(given.shape):
        raise BadInput(
            f"{given.file}: found {x.shape[1]} numbers in an input ({', '.join(given.inputs[:3])}"
            f"{', ...' if len(given.inputs) > 3 else ''}), needed {math.prod(given.shape)} for the "
            f"shape {list(given.shape)}. Correct `shape`."
        )
    if x.min() == x.max():
        raise BadInput(
            f"{given.file}: found the same number in all inputs of all {len(rows)} rows, needed "
            "inputs that differ. Are `inputs` other columns?"
        )
    return x


def _repeated(written: Mapping[str, np.ndarray]) -> int:
    """Rows that stand there once more."""
    every = np.empty(len(written["y"]), dtype=np.uint64)
    for part in _parts(len(written["y"])):
        columns = {name: values[part] for name, values in written.items()}
        flat = {
            name: [row.tobytes() for row in values] if values.ndim > 1 else values
            for name, values in columns.items()
        }
        every[part] = pd.util.hash_pandas_object(pd.DataFrame(flat), index=False).to_numpy()
    every.sort()
    return int(np.count_nonzero(every[1:] == every[:-1]))


def _parts(rows: int) -> Iterator[slice]:
    return (slice(start, start + schemas.GROUP) for start in range(0, rows, schemas.GROUP))


def _without_missing(columns: OwnColumns, names: list[str], missing: Missing) -> np.ndarray:
    """The rows in which no value is missing."""
    anywhere = np.zeros(len(columns), dtype=bool)
    for name in names:
        anywhere |= columns.missing(name)
    if missing == "refuse" and anywhere.any():
        name = next(name for name in names if columns.missing(name).any())
        row = int(columns.missing(name).argmax())
        raise BadInput(
            f"{columns.place(row)}: column '{name}': found no value, and {int(anywhere.sum())} "
            f"rows with missing values in all; needed a value in each (empty, NA, NaN, null, None "
            "and ? are none). Mend them, or write `missing: drop` (add-data: --missing drop)."
        )
    kept = np.flatnonzero(~anywhere).astype(np.int32)
    if not len(kept):
        raise BadInput(f"{columns.path}: found no row in which no value is missing.")
    return kept


def _input(
    columns: OwnColumns, name: str, rows: np.ndarray
) -> tuple[dict[str, np.ndarray], list[str] | None]:
    """Inputs by name, its numbers or one for each category, and the categories."""
    categories = None
    if name in columns.numbers:
        values = columns.numbers[name][rows]
        found = {name: values}
        is_constant = values.min() == values.max()
    else:
        codes = columns.codes[name][rows]
        used = np.unique(codes)
        if len(used) > MOST_CATEGORIES:
            raise BadInput(
                f"{columns.path}: column '{name}': found {len(used):,} different texts, needed at "
                f"most {MOST_CATEGORIES} categories. Is it an id? Leave it out of `inputs`."
            )
        categories = [columns.values[name][code] for code in used]
        found = {
            f"{name}={text}": codes == code for text, code in zip(categories, used, strict=True)
        }
        is_constant = len(used) == 1
    if is_constant:
        raise BadInput(
            f"{columns.path}: column '{name}': found the same value in all {len(rows)} rows, "
            "needed one that differs. Leave it out of `inputs`."
        )
    return found, categories


def _classes(
    columns: OwnColumns, given: OwnTable, rows: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """The number of each row's class among their sorted names, and the names."""
    used, y = np.unique(columns.codes[given.target][rows], return_inverse=True)
    names = [columns.values[given.target][code] for code in used]
    where = f"{given.file}: column '{given.target}'"
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    if len(names) > MOST_CLASSES:
        raise BadInput(
            f"{where}: found {len(names):,} different values ({shown}), needed at most "
            f"{MOST_CLASSES} classes. "
            + (
                "Are they numbers with decimal commas? Write points."
                if all(_DECIMAL_COMMA.fullmatch(name) for name in names)
                else "Is it a number? Then leave `loss` out."
            )
        )
    if given.loss == "binary" and len(names) != 2:
        raise BadInput(
            f"{where}: found {len(names)} different values ({shown}), needed two for "
            "`loss: binary`. Is it `loss: cross_entropy`, or another column?"
        )
    return y.astype(np.float64), names


def _split(
    columns: OwnColumns, given: OwnTable, rows: np.ndarray, task: np.ndarray, ids: list[str]
) -> np.ndarray:
    """The split of each row, the same in all rows of a task."""
    assert given.split is not None
    codes, values = columns.codes[given.split][rows], columns.values[given.split]
    if odd := [value for value in values if value not in SPLITS]:
        row = int((codes == values.index(odd[0])).argmax())
        raise BadInput(
            f"{columns.place(int(rows[row]))}: column '{given.split}': found '{odd[0]}', needed "
            f"one of {', '.join(SPLITS)}."
        )
    first = codes[np.r_[True, task[1:] != task[:-1]]]
    differs = codes != first[task]
    if differs.any():
        row = int(differs.argmax())
        raise BadInput(
            f"{columns.place(int(rows[row]))}: column '{given.split}': found "
            f"'{values[codes[row]]}', but other rows of task '{ids[task[row]]}' say "
            f"'{values[first[task[row]]]}'. A task is of one split."
        )
    return np.array(values, dtype=object)[codes]


def _refuse_twice(
    columns: OwnColumns, given: OwnRatings, kept: np.ndarray, pair: np.ndarray
) -> None:
    order = np.argsort(pair, kind="stable")
    same = np.flatnonzero(pair[order][1:] == pair[order][:-1])
    if not len(same):
        return
    first, second = kept[order[same[0]]], kept[order[same[0] + 1]]
    user = columns.values[given.user][columns.codes[given.user][second]]
    item = columns.values[given.item][columns.codes[given.item][second]]
    raise BadInput(
        f"{columns.place(int(second))}: user '{user}' rates item '{item}' again, as in "
        f"{columns.place(int(first)).removeprefix(f'{columns.path}: ')} ({len(same)} such rows in "
        "all). Keep one of them."
    )


def _tasks(count: int) -> str:
    return f"{count} task" if count == 1 else f"{count} tasks"


def _digest(names: list[str], columns: Mapping[str, np.ndarray]) -> str:
    """Sha256 of names and rows: of the content, whatever the file's format and order of columns."""
    digest = hashlib.sha256("\n".join(names).encode())
    for name, values in columns.items():
        digest.update(name.encode())
        for part in _parts(len(values)):
            some = values[part]
            if some.dtype == object:
                digest.update((("\n" if part.start else "") + "\n".join(some)).encode())
            else:
                digest.update((some.astype(np.float64) if some.dtype == bool else some).tobytes())
    return digest.hexdigest()
