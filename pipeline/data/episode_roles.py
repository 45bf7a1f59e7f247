"""Which tasks of a setting and seed train, validate and test, and the rows of the frozen ones."""

from dataclasses import replace

import numpy as np

from pipeline.data.task_sets import TaskSet, stable_hash
from pipeline.errors import BadInput

MARGIN = 5  # query rows that a frozen rating task has at least

# Draws that must not disturb one another: which tasks, and the rows of either role.
_STREAMS = {"tasks": 0, "test": 1, "validation": 2}

Frozen = dict[int, tuple[np.ndarray, np.ndarray]]  # task position -> support rows, query rows


def with_ratings(given: TaskSet, least: int) -> TaskSet:
    """Only the tasks with at least `least` rows; the rows stay where they are in the file."""
    if given.kind != "ratings":
        raise BadInput(
            f"{given.path}: found a synthetic family and min_ratings {least}, but only rating "
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
        is_train=given.is_train[stays],
    )


def draw_rating_roles(
    given: TaskSet, seed: int, support: int, query: int, n_test: int, n_validation: int
) -> tuple[np.ndarray, dict[str, Frozen]]:
    """Return the positions of the training tasks, and each frozen role's tasks and rows."""
    least = support + MARGIN
    eligible = np.flatnonzero(given.counts >= least)
    if len(eligible) < n_test + n_validation:
        raise BadInput(
            f"{given.path}: found {len(eligible)} tasks with at least {least} rows ({support} "
            f"support + {MARGIN}; the largest task has {given.counts.max()}), but "
            f"{n_test + n_validation} are needed ({n_test} test + {n_validation} validation). "
            "In params.yaml, lower the setting's `support`, `data.test_tasks` or "
            "`data.validation_tasks`."
        )
    shuffled = _generator(given, seed, "tasks").permutation(eligible)
    chosen = {
        "test": np.sort(shuffled[:n_test]),
        "validation": np.sort(shuffled[n_test : n_test + n_validation]),
    }
    train = np.setdiff1d(np.arange(len(given.tasks)), np.concatenate(list(chosen.values())))
    largest = int(given.counts[train].max()) if len(train) else 0
    if largest < support + query:
        raise BadInput(
            f"{given.path}: found at most {largest} rows in the {len(train)} meta-training "
            f"tasks, but {support + query} are needed ({support} support + {query} query). "
            "In params.yaml, lower the setting's `support` or `query`."
        )
    frozen: dict[str, Frozen] = {}
    for role, positions in chosen.items():
        generator = _generator(given, seed, role)
        frozen[role] = {}
        for position in positions.tolist():
            rows = generator.permutation(given.counts[position]) + given.starts[position]
            frozen[role][position] = np.sort(rows[:support]), np.sort(rows[support:])
    return train, frozen


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
    trainable, test = np.flatnonzero(given.is_train), np.flatnonzero(~given.is_train)
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
