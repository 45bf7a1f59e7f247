"""Freeze which tasks and rows one setting and seed trains, validates and tests on; load them.

Every method meets the same rows, because they lie in a file. The draw depends on the seed,
the data set, the support size and the filter, and on nothing of how training is done.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data import schemas
from pipeline.data.pools import (
    Episodes,
    Scaling,
    TaskPool,
    gather_frozen,
    group_rows,
    measure_scaling,
)
from pipeline.data.task_sets import TaskSet, read_tasks, stable_hash
from pipeline.errors import BadInput

SCALINGS = ("meta_train", "all")  # whose rows the scaling's statistics are taken over
MARGIN = 5  # query rows that a frozen rating task has at least

# Draws that must not disturb one another: which tasks, and the rows of either role.
_STREAMS = {"tasks": 0, "test": 1, "validation": 2}

Frozen = dict[int, tuple[np.ndarray, np.ndarray]]  # task position -> support rows, query rows


def freeze_episodes(
    tasks: Path,
    out: Path,
    *,
    seed: int,
    support: int,
    query: int,
    test_tasks: int = 100,
    validation_tasks: int,
    evaluation_points: int = 100,
    standardise: bool = True,
    scaling: str = "meta_train",
    min_ratings: int | None = None,
    metadata: Mapping[str, str],
) -> dict[str, Any]:
    """Draw the roles of all tasks and the rows of the frozen ones; write them to `out`.

    Rating data and own tables: test and validation tasks are those that the table says, or are
    drawn among those with at least `support + 5` rows; all rows that are not support are query.
    Synthetic: the task set's split decides; validation tasks come from the training split and,
    like training tasks, use the first `support + query` points; a test task's query is its last
    `evaluation_points` points.

    Args:
        tasks: file written by `task_sets`.
        seed: of the draw; for synthetic families also the tasks to use.
        support, query: rows per task (shots).
        test_tasks: number of meta-test tasks of rating data.
        validation_tasks: meta-training tasks set aside.
        evaluation_points: query points of a synthetic test task.
        standardise: scale by the statistics of the rows that `scaling` names, or not at all.
        scaling: `meta_train`, or `all`: with the rows of the validation and test tasks, which
            leaks them into training, as in the authors' code. nRMSE keeps its unit.
        min_ratings: rows below which a rating task leaves the pool; None: the task set's own.
        metadata: further entries for the file's metadata.

    Returns:
        The file's metadata: dataset, kind, fingerprint, the arguments, n_items, filter,
        tasks (per role), scaling (the statistics), scaled_by (the argument `scaling`) and
        target_std (raw units), and the entries of `metadata`.

    Raises:
        BadInput: not enough tasks, or tasks with not enough rows, for these numbers.
    """
    given = read_tasks(tasks, seed=seed)
    if scaling not in SCALINGS:
        raise BadInput(f"scaling: found {scaling!r}, allowed: {', '.join(SCALINGS)}.")
    if min_ratings is not None:
        given = with_ratings(given, min_ratings)
    if given.kind == "synthetic":
        roles = draw_synthetic_roles(
            given, seed, support, query, validation_tasks, evaluation_points
        )
    else:
        roles = draw_roles(given, seed, support, query, test_tasks, validation_tasks)
    train, frozen = roles
    limit = support + query if given.kind == "synthetic" else None
    rows = given.rows_of(train, limit=limit)
    if given.classes:
        _check_classes(given, rows, frozen)
    scaled = partial(measure_scaling, tasks, standardise=standardise, classes=bool(given.classes))
    statistics = scaled(given.x[rows], given.y[rows])
    if scaling == "all":
        held_out = [part for role in frozen.values() for parts in role.values() for part in parts]
        every = np.concatenate([rows, *held_out])
        leaky = scaled(given.x[every], given.y[every])
        statistics = replace(leaky, target_std=statistics.target_std)
    summary = {
        **metadata,
        "kind": given.kind,
        "dataset": given.about["dataset"],
        "title": given.about["title"],
        "fingerprint": given.fingerprint,
        "filter": given.filter,
        "n_items": given.n_items,
        "seed": seed,
        "support": support,
        "query": query,
        "evaluation_points": evaluation_points if given.kind == "synthetic" else None,
        "standardise": standardise,
        "scaled_by": scaling,
        "min_ratings": min_ratings,
        "tasks": {"train": len(train), **{role: len(rows) for role, rows in frozen.items()}},
        "scaling": asdict(statistics),
        "target_std": statistics.target_std,
    }
    schemas.write_rows(out, _episode_rows(given, train, frozen), schemas.EPISODES, summary)
    return summary


def load_episodes(tasks: Path, episodes: Path) -> Episodes:
    """Load what `freeze_episodes` wrote, with the rows it points to, scaled.

    Raises:
        BadInput: a file of another kind, or episodes that were frozen from other tasks.
    """
    data = schemas.file_bytes(episodes)
    lines = schemas.rows_in(episodes, data, schemas.EPISODES)
    about = schemas.metadata_in(episodes, data)
    given = read_tasks(tasks, seed=about["seed"])
    _check_same_tasks(tasks, episodes, given, lines, about)
    scaling = Scaling(**about["scaling"])
    limit = about["support"] + about["query"] if given.kind == "synthetic" else None
    train = np.flatnonzero(np.isin(given.tasks, lines["task"][lines["role"] == "train"]))
    rows = given.rows_of(train, limit=limit)
    ids, starts, counts = group_rows(given.task[rows])
    x = scaling.scale_x(given.x)
    y = given.y if given.classes else scaling.scale_y(given.y)
    return Episodes(
        train=TaskPool(ids, x[rows], y[rows], starts, counts),
        validation=gather_frozen("validation", lines, x, y),
        test=gather_frozen("test", lines, x, y),
        scaling=scaling,
        n_items=given.n_items,
        metadata=about,
        classes=given.classes,
    )


def _check_classes(given: TaskSet, train: np.ndarray, frozen: Mapping[str, Frozen]) -> None:
    """Refuse held-out tasks with a class that no meta-training task has."""
    known = np.unique(given.y[train])
    for role, tasks in frozen.items():
        for position, (support, query) in tasks.items():
            found = given.y[np.concatenate([support, query])]
            if len(strange := np.setdiff1d(found, known)):
                name, task = given.classes[int(strange[0])], given.task_name(position)
                raise BadInput(
                    f"{given.path}: found the class '{name}' in {role} task '{task}', and in no "
                    "meta-training task of this seed; needed classes that can be learned. Leave "
                    "its rows out, or join it with another class."
                )


def _episode_rows(
    given: TaskSet, train: np.ndarray, frozen: Mapping[str, Frozen]
) -> dict[str, np.ndarray]:
    """Lay the draw out as the columns of the episodes file."""
    parts = [(given.tasks[train], "train", "pool", np.full(len(train), -1))]
    for role in ("validation", "test"):
        for position, (support, query) in frozen[role].items():
            for part, rows in (("support", support), ("query", query)):
                parts.append((np.full(len(rows), given.tasks[position]), role, part, rows))
    return {
        "task": np.concatenate([task for task, _, _, _ in parts]).astype(np.int32),
        "role": np.repeat([role for _, role, _, _ in parts], [len(p[0]) for p in parts]),
        "part": np.repeat([part for _, _, part, _ in parts], [len(p[0]) for p in parts]),
        "row": np.concatenate([rows for _, _, _, rows in parts]).astype(np.int32),
    }


def _check_same_tasks(
    tasks: Path,
    episodes: Path,
    given: TaskSet,
    lines: Mapping[str, np.ndarray],
    about: Mapping[str, Any],
) -> None:
    """Refuse episodes that point into another task set."""
    for name, here in (("fingerprint", given.fingerprint), ("filter", given.filter)):
        if about[name] != here:
            raise BadInput(
                f"{episodes}: found episodes frozen from tasks with {name} {about[name]}, but "
                f"{tasks} has {here}. Freeze the episodes again."
            )
    frozen = lines["row"] >= 0
    row = lines["row"][frozen]
    # The same tasks may stand elsewhere in the file, when other seeds were drawn with them.
    if (row >= len(given.task)).any() or (given.task[row] != lines["task"][frozen]).any():
        raise BadInput(
            f"{episodes}: found row numbers of other tasks than the rows of {tasks} belong to. "
            "Freeze the episodes again."
        )


# Which tasks train, validate and test, and the rows of the frozen ones.


def with_ratings(given: TaskSet, least: int) -> TaskSet:
    """Only the tasks with at least `least` rows; the rows stay where they are in the file."""
    if given.kind != "ratings":
        raise BadInput(
            f"{given.path}: found no ratings and min_ratings {least}, but only rating "
            "data have such a threshold. In params.yaml, set the setting's `min_ratings` to null."
        )
    stays = given.counts >= least
    if not stays.any():
        raise BadInput(
            f"{given.path}: found at most {given.counts.max()} rows per task, but {least} are "
            "needed. In params.yaml, lower the setting's `min_ratings`."
        )
    return replace(
        given,
        tasks=given.tasks[stays],
        starts=given.starts[stays],
        counts=given.counts[stays],
        split=None if given.split is None else given.split[stays],
    )


def draw_roles(
    given: TaskSet, seed: int, support: int, query: int, n_test: int, n_validation: int
) -> tuple[np.ndarray, dict[str, Frozen]]:
    """Return the positions of the training tasks, and each frozen role's tasks and rows."""
    least = support + MARGIN
    eligible = np.flatnonzero(given.counts >= least)
    if given.split is None:
        chosen = _drawn_roles(given, seed, eligible, least, n_test, n_validation)
    else:
        chosen = _said_roles(given, seed, eligible, least, n_validation)
    free = np.arange(len(given.tasks))
    if given.split is not None:
        free = np.flatnonzero(given.split == "train")
    train = np.setdiff1d(free, np.concatenate(list(chosen.values())))
    largest = int(given.counts[train].max()) if len(train) else 0
    if largest < support + query:
        raise BadInput(
            f"{given.path}: found at most {largest} rows in the {len(train)} meta-training "
            f"tasks, but {support + query} are needed ({support} support + {query} query). "
            "Lower the `shots` of the setting in the grid's file."
        )
    frozen: dict[str, Frozen] = {}
    for role, positions in chosen.items():
        generator = _generator(given, seed, role)
        frozen[role] = {}
        for position in positions.tolist():
            rows = generator.permutation(given.counts[position]) + given.starts[position]
            frozen[role][position] = np.sort(rows[:support]), np.sort(rows[support:])
    return train, frozen


def _drawn_roles(
    given: TaskSet, seed: int, eligible: np.ndarray, least: int, n_test: int, n_validation: int
) -> dict[str, np.ndarray]:
    """Positions of the test and validation tasks, drawn among those with enough rows."""
    if len(eligible) < n_test + n_validation:
        raise BadInput(
            f"{given.path}: found {len(eligible)} tasks with at least {least} rows "
            f"({least - MARGIN} support + {MARGIN}; the largest task has {given.counts.max()}), "
            f"but {n_test + n_validation} are needed ({n_test} test + {n_validation} validation). "
            "Lower the `shots` of the setting in the grid's file, or `test_tasks` and "
            "`validation_tasks` in params.yaml: under `data`, of own data in its entry."
        )
    shuffled = _generator(given, seed, "tasks").permutation(eligible)
    return {
        "test": np.sort(shuffled[:n_test]),
        "validation": np.sort(shuffled[n_test : n_test + n_validation]),
    }


def _said_roles(
    given: TaskSet, seed: int, eligible: np.ndarray, least: int, n_validation: int
) -> dict[str, np.ndarray]:
    """Those that the table says, as far as they have enough rows.

    Where it names no validation tasks, they are drawn from the training tasks.
    """
    assert given.split is not None
    found = {name: eligible[given.split[eligible] == name] for name in ("test", "validation")}
    if not (given.split == "validation").any():
        trained = eligible[given.split[eligible] == "train"]
        drawn = _generator(given, seed, "tasks").permutation(trained)
        found["validation"] = np.sort(drawn[:n_validation])
    for name, positions in found.items():
        if not len(positions):
            raise BadInput(
                f"{given.path}: found no {name} task with at least {least} rows ({least - MARGIN} "
                f"support + {MARGIN}). Name some in the column of the split, or lower the "
                "setting's `support`."
            )
    return found


def draw_synthetic_roles(
    given: TaskSet, seed: int, support: int, query: int, n_validation: int, n_evaluation: int
) -> tuple[np.ndarray, dict[str, Frozen]]:
    """Return the positions of the training tasks, and each frozen role's tasks and rows."""
    points = int(given.counts.min())
    for second, n_second in (("query", query), ("evaluation points", n_evaluation)):
        if points < support + n_second:
            raise BadInput(
                f"{given.path}: found {points} points per task, but {support + n_second} are "
                f"needed ({support} support + {n_second} {second}). In params.yaml, raise "
                "`synthetic.points`, or lower the shots or `synthetic.evaluation_points`."
            )
    is_train = given.split == "train"
    trainable, test = np.flatnonzero(is_train), np.flatnonzero(~is_train)
    if len(trainable) <= n_validation or not len(test):
        raise BadInput(
            f"{given.path}: found {len(trainable)} training and {len(test)} test tasks of seed "
            f"{seed}, but more than {n_validation} (the validation tasks) and at least 1 are "
            "needed. In params.yaml, lower `data.validation_tasks` or raise "
            "`synthetic.train_tasks` and `synthetic.test_tasks`."
        )
    shuffled = _generator(given, seed, "tasks").permutation(trainable)
    validation, train = np.sort(shuffled[:n_validation]), np.sort(shuffled[n_validation:])

    def split(position: int, first_query: int, n_query: int) -> tuple[np.ndarray, np.ndarray]:
        start = int(given.starts[position])
        rows = np.arange(start, start + int(given.counts[position]))
        return rows[:support], rows[first_query : first_query + n_query]

    return train, {
        "validation": {p: split(p, support, query) for p in validation.tolist()},
        "test": {
            p: split(p, int(given.counts[p]) - n_evaluation, n_evaluation) for p in test.tolist()
        },
    }


def _generator(given: TaskSet, seed: int, stream: str) -> np.random.Generator:
    """Return the generator of one kind of draw: no other draw moves it."""
    name = stable_hash(given.about["dataset"])
    return np.random.default_rng([seed, name, _STREAMS[stream]])
