"""Task sets: every task of a data set, whatever the setting and the seed.

Rating data: one user is one task, from the index of an item to the rating. Synthetic families:
one function is one task; one file holds the tasks of every seed. Own tables: own_tasks.py.
"""

import hashlib
import math
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.data import schemas
from pipeline.data.cards import LARGEST
from pipeline.data.families import FAMILIES
from pipeline.data.pools import group_rows
from pipeline.data.synthetic import draw_tasks
from pipeline.errors import BadInput

COUNTED_AT = (10, 20)  # thresholds whose task counts every file states


def stable_hash(text: str) -> int:
    """Return a 32-bit number that is the same in every process: seeds draws of `text`."""
    return zlib.crc32(text.encode("utf-8"))


def build_rating_tasks(
    ratings: Path,
    out: Path,
    *,
    n_items: int | None = 100,
    min_ratings: int = 10,
    metadata: Mapping[str, str],
) -> dict[str, Any]:
    """Keep the most-rated items and the users who rated enough of them.

    Writes task (user id), item (0 to n_items - 1: most-rated first, ties by item id) and y
    (rating), sorted by task then item.

    Args:
        ratings: file written by `ratings.build_ratings`.
        n_items: number of items kept; None: all.
        min_ratings: ratings of kept items that a user needs to be a task.
        metadata: further entries for the file's metadata.

    Returns:
        The file's metadata: dataset, kind, fingerprint (of the ratings), n_items, min_ratings,
        item_ids (in the kept order), item_names (of own ratings), tasks, rows, task_counts (tasks
        at thresholds 10 and 20), lo, hi, and the entries of `metadata`.

    Raises:
        BadInput: fewer items than asked for, or no user with enough ratings.
    """
    data = schemas.file_bytes(ratings)
    columns = schemas.rows_in(ratings, data, schemas.RATINGS)
    about = schemas.metadata_in(ratings, data)
    n_items = n_items or len(np.unique(columns["item"]))
    kept = _most_rated(ratings, columns["item"], n_items)
    is_kept = np.isin(columns["item"], kept)
    by_id = np.argsort(kept)
    item = by_id[np.searchsorted(kept, columns["item"][is_kept], sorter=by_id)].astype(np.int16)
    user, y = columns["user"][is_kept], columns["rating"][is_kept]
    _, user_index, per_user = np.unique(user, return_inverse=True, return_counts=True)
    is_task = per_user >= min_ratings
    if not is_task.any():
        raise BadInput(
            f"{ratings}: found at most {per_user.max()} ratings per user among the {n_items} "
            f"most-rated items, but {min_ratings} are needed to make a task. "
            "In params.yaml, lower `data.min_ratings`."
        )
    stays = is_task[user_index]
    user, item, y = user[stays], item[stays], y[stays]
    order = np.lexsort((item, user))
    summary = {
        **metadata,
        "kind": "ratings",
        "dataset": about["dataset"],
        "title": about["title"],
        "fingerprint": about["fingerprint"],
        "lo": about["lo"],
        "hi": about["hi"],
        "n_items": n_items,
        "min_ratings": min_ratings,
        "item_ids": kept.tolist(),
        **{name: [about[name][i] for i in kept] for name in ("item_names",) if name in about},
        **{name: about[name] for name in ("columns",) if name in about},
        "tasks": int(is_task.sum()),
        "rows": len(order),
        "task_counts": {str(least): int((per_user >= least).sum()) for least in COUNTED_AT},
    }
    rows = {"task": user[order], "item": item[order], "y": y[order]}
    schemas.write_rows(out, rows, schemas.RATING_TASKS, summary)
    return summary


def build_synthetic_tasks(
    family: str,
    out: Path,
    *,
    seeds: Iterable[int],
    n_train: int,
    n_test: int,
    points: int,
    metadata: Mapping[str, str],
) -> dict[str, Any]:
    """Draw the tasks of every seed; those of one seed do not depend on the other seeds.

    Writes seed, task, split, x0, x1, y, sorted by seed then task.

    Args:
        family: key of `FAMILIES`.
        points: points per task, in a uniform draw.
        metadata: further entries for the file's metadata.

    Returns:
        The file's metadata: dataset, kind, seeds, n_train, n_test, points, parameters (of each
        seed's tasks, so that a figure can draw one), fingerprints (sha256 of each seed's rows),
        and the entries of `metadata`.

    Raises:
        BadInput: an unknown family, or no seeds.
    """
    if family not in FAMILIES:
        raise BadInput(
            f"synthetic family: found '{family}', but one of {', '.join(FAMILIES)} is needed. "
            "Correct the name in params.yaml."
        )
    drawn = {}
    for seed in sorted(set(seeds)):
        generator = np.random.default_rng([seed, stable_hash(family)])
        drawn[seed] = draw_tasks(
            family, n_train=n_train, n_test=n_test, points=points, generator=generator
        )
    if not drawn:
        raise BadInput("seeds: found none, but at least one is needed. Name one in params.yaml.")
    rows = pd.concat([tasks.rows.assign(seed=seed) for seed, tasks in drawn.items()])
    summary = {
        **metadata,
        "kind": "synthetic",
        "dataset": family,
        "title": FAMILIES[family].title,
        "seeds": list(drawn),
        "n_train": n_train,
        "n_test": n_test,
        "points": points,
        "parameters": {
            str(seed): {name: values.tolist() for name, values in tasks.parameters.items()}
            for seed, tasks in drawn.items()
        },
        "fingerprints": {str(seed): _row_digest(tasks.rows) for seed, tasks in drawn.items()},
    }
    columns = {name: rows[name].to_numpy() for name in schemas.SYNTHETIC_TASKS.names}
    schemas.write_rows(out, columns, schemas.SYNTHETIC_TASKS, summary)
    return summary


def _most_rated(ratings: Path, item: np.ndarray, n_items: int) -> np.ndarray:
    """Return the ids of the `n_items` most-rated items, ties by item id."""
    ids, counts = np.unique(item, return_counts=True)
    if len(ids) < n_items or n_items > np.iinfo(np.int16).max:
        raise BadInput(
            f"{ratings}: found {len(ids)} items, but {n_items} are to be kept (at most "
            f"{np.iinfo(np.int16).max:,} can be). In params.yaml, lower `data.items`."
        )
    return ids[np.lexsort((ids, -counts))[:n_items]]


def _row_digest(rows: pd.DataFrame) -> str:
    """Sha256 of a seed's points and values."""
    return hashlib.sha256(rows[["x0", "x1", "y"]].to_numpy().tobytes()).hexdigest()


@dataclass(frozen=True)
class TaskSet:
    """The tasks of a file, those of one seed for a synthetic family; R rows, T tasks.

    Attributes:
        path: the file. about: its metadata. kind: "ratings", "table" or "synthetic".
        task, x, y: the file's rows in raw units: (R,), (R,) item indices or (R, ...), (R,); of
            classes y is their number, whole for the loss `cross_entropy`.
            A row of another seed has task -1.
        tasks, starts, counts: of each task its id, first row and number of rows, (T,).
        split: of each task, train, validation or test, (T,); None where it is drawn.
        fingerprint: of the source's content. filter: what was kept of it.
        n_items: number of items; 0 where inputs are numbers.
    """

    path: Path
    about: dict[str, Any]
    kind: str
    task: np.ndarray
    x: np.ndarray
    y: np.ndarray
    tasks: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    split: np.ndarray | None
    fingerprint: str
    filter: dict[str, int]
    n_items: int

    @property
    def classes(self) -> list[str]:
        """Names of the classes that targets number; empty where they are numbers."""
        return list(self.about.get("classes", []))

    def task_name(self, position: int) -> str:
        """The id of a task as its source has it."""
        ids = self.about.get("task_ids")
        task = int(self.tasks[position])
        return str(ids[task] if ids else task)

    def rows_of(self, positions: np.ndarray, *, limit: int | None) -> np.ndarray:
        """Return the rows of the tasks at `positions`, at most the first `limit` of each."""
        counts = self.counts[positions]
        if limit is not None:
            counts = np.minimum(counts, limit)
        before = np.cumsum(counts) - counts
        return np.repeat(self.starts[positions] - before, counts) + np.arange(counts.sum())


def read_tasks(path: Path, *, seed: int) -> TaskSet:
    """Read a task set written by this module; `seed` matters to synthetic families only.

    Raises:
        BadInput: another kind of file, a seed that was not drawn into it, or inputs or targets
            that are no numbers to compute with.
    """
    data = schemas.file_bytes(path)
    about = schemas.metadata_in(path, data)
    kind = about.get("kind", "ratings")
    if kind == "table":
        shape = about.get("shape")
        size = math.prod(shape) if shape else len(about["inputs"])
        kinds = schemas.table_tasks(size, split="splits" in about, is_array=bool(shape))
        columns = schemas.rows_in(path, data, kinds)
        task = columns["task"]
        if shape:
            x = columns["x"].reshape(-1, *shape)
        else:
            x = np.stack([columns[f"x{place}"] for place in range(size)], axis=1)
        identity, kept = about["fingerprint"], []
    elif kind == "synthetic":
        columns = schemas.rows_in(path, data, schemas.SYNTHETIC_TASKS)
        if seed not in about["seeds"]:
            raise BadInput(
                f"{path}: found the tasks of seeds {about['seeds']}, but those of seed {seed} "
                "are needed. In params.yaml, raise `synthetic.seeds`."
            )
        task = np.where(columns["seed"] == seed, columns["task"], -1)
        x = np.stack([columns["x0"], columns["x1"]], axis=1)
        identity, kept = about["fingerprints"][str(seed)], ["n_train", "n_test", "points"]
    else:
        columns = schemas.rows_in(path, data, schemas.RATING_TASKS)
        task, x = columns["task"], columns["item"].astype(np.int64)
        identity, kept = about["fingerprint"], ["n_items", "min_ratings"]
    _refuse_odd_numbers(path, x, columns["y"])
    tasks, starts, counts = group_rows(task)
    tasks, starts, counts = tasks[tasks >= 0], starts[tasks >= 0], counts[tasks >= 0]
    split = columns["split"][starts] if "split" in columns else None
    is_number = about.get("loss") != "cross_entropy"
    y = columns["y"] if is_number else columns["y"].astype(np.int64)
    return TaskSet(
        path=path,
        about=about,
        kind=kind,
        task=task,
        x=x,
        y=y,
        tasks=tasks,
        starts=starts,
        counts=counts,
        split=split,
        fingerprint=identity,
        filter={name: about[name] for name in kept},
        n_items=about.get("n_items", 0),
    )


def _refuse_odd_numbers(path: Path, x: np.ndarray, y: np.ndarray) -> None:
    for name, values in (("input", x), ("target", y)):
        odd = ~(np.abs(values) <= LARGEST)  # True of NaN too
        if odd.any():
            row = int(np.argwhere(odd)[0, 0])
            raise BadInput(
                f"{path}: row {row + 1}: found the {name} {values[odd][0]:g}, needed a number of "
                f"at most {LARGEST:g} in size. Delete the file, and run the step that writes it."
            )
