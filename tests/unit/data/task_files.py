"""Small task-set files for the tests of episodes: written directly, so rows can be changed."""

from pathlib import Path

import numpy as np

from pipeline.data import schemas
from pipeline.data.task_sets import build_synthetic_tasks

N_ITEMS = 20


def rating_columns(n_tasks: int = 30, seed: int = 0) -> dict[str, np.ndarray]:
    """Tasks 5, 10, 15, ... with 6 to 20 rows each."""
    generator = np.random.default_rng(seed)
    tasks, items = [], []
    for position in range(n_tasks):
        count = int(generator.integers(6, N_ITEMS + 1))
        tasks.append(np.full(count, 5 * (position + 1)))
        items.append(np.sort(generator.permutation(N_ITEMS)[:count]))
    task, item = np.concatenate(tasks), np.concatenate(items)
    return {"task": task, "item": item, "y": generator.integers(1, 6, size=len(task))}


def write_rating_tasks(path: Path, columns: dict[str, np.ndarray], **about: object) -> Path:
    """Write rating columns as `build_rating_tasks` does."""
    metadata = {
        "kind": "ratings",
        "dataset": "made-up",
        "title": "Made up",
        "fingerprint": "f",
        "n_items": N_ITEMS,
        "min_ratings": 6,
    }
    schemas.write_rows(path, columns, schemas.RATING_TASKS, metadata | about)
    return path


def write_synthetic_tasks(path: Path, *, seeds: tuple[int, ...] = (0, 1)) -> Path:
    """Write 12 training and 6 test tasks of 30 points per seed."""
    build_synthetic_tasks(
        "cosmixture", path, seeds=seeds, n_train=12, n_test=6, points=30, metadata={}
    )
    return path


def change_rows(path: Path, out: Path, schema: object, chosen: np.ndarray, name: str) -> Path:
    """Copy a task set with 100 added to column `name` in the chosen rows."""
    columns = schemas.read_rows(path, schema)
    values = columns[name].copy()
    values[chosen] += 100
    schemas.write_rows(out, columns | {name: values}, schema, schemas.read_metadata(path))
    return out
