"""A small grid for a person's own data: what can be asked of tasks of their sizes."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.config.methods import METHODS
from pipeline.config.predictors import ASKED_FOR
from pipeline.data.episodes import MARGIN
from pipeline.errors import BadInput

SHOTS = (10, 5, 3, 2, 1)  # support rows, and query rows, of a task
SHARE = 0.75  # of the tasks that are to be long enough
META_BATCH = 5
PROPOSED = [card.name for card in METHODS.values() if card.proposed]
INNER_STEPS = 100
META_UPDATES = 1000  # from so many on, claims are judged


@dataclass(frozen=True)
class Proposal:
    """Shots, and numbers of tasks; `own_sizes` stand in the entry: params' do not fit.

    `kind` is that of the data, of `config.predictors.KINDS`.
    """

    shots: int
    test_tasks: int
    validation_tasks: int
    own_sizes: dict[str, int]
    kind: str

    def grid(self, name: str) -> str:
        """The text of a file of grids/."""
        asked = [card.name for card in ASKED_FOR.values() if self.kind in card.of]
        beaten = f"predictors: [{', '.join(asked)}] # to beat\n" if asked else ""
        return (
            f"# Made by `add-data` for {name}; change what you like.\n"
            "seeds: [0, 1, 2]\n"
            "seeds_per_job: 3\n"
            f"methods: [{', '.join(PROPOSED)}]\n"
            f"{beaten}"
            "settings: # shots: support rows, which a task is trained on, and query rows\n"
            f"  - {{dataset: {name}, shots: {self.shots}/{self.shots}, "
            f"inner_steps: {INNER_STEPS}}}\n"
            f"training: {{meta_updates: {META_UPDATES}, meta_batch: {META_BATCH}, "
            "ledger_every: null}\n"
            f"profile: {{inner_steps: [1, 10, {INNER_STEPS}], repeats: 3}}\n"
        )


def propose(file: str, counts: np.ndarray, usual: Any, *, has_split: bool, kind: str) -> Proposal:
    """The largest shots for which most tasks are long enough.

    Args:
        counts: rows of each task.
        usual: `data` of the parameters.
        has_split: the file says which tasks are for the test.
        kind: of the data, of `config.predictors.KINDS`.

    Raises:
        BadInput: when too few tasks are long enough for the smallest.
    """
    for shots in SHOTS:
        usable = int((counts >= shots + max(shots, MARGIN)).sum())
        if usable >= max(SHARE * len(counts), 2 * META_BATCH):
            break
    if usable < 2 * META_BATCH:
        raise BadInput(
            f"{file}: found {usable} tasks of {shots + MARGIN} rows or more ({len(counts)} tasks, "
            f"the largest of {counts.max()} rows), needed {2 * META_BATCH}: some to train on, and "
            "others to test on. Bring more tasks, or longer ones."
        )
    test, validation = usual.test_tasks, usual.validation_tasks
    if has_split or usable >= 2 * test + validation:
        return Proposal(shots, test, validation, {}, kind)
    sizes = {"test_tasks": usable // 4, "validation_tasks": max(1, min(validation, usable // 10))}
    return Proposal(shots, **sizes, own_sizes=sizes, kind=kind)
