"""What a job costs: measured now on random data of its shape, or taken from finished runs.

A shape is what the time of a run depends on: its recipe without the data and names in it, and
how many seeds are trained together. Settings that share a shape are measured once.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.data.sets import SOURCES
from pipeline.runs.recipe import Recipe, canonical
from pipeline.runs.records import holds_run
from pipeline.seals import read_sealed

OF_NO_COST = ("kind", "label", "setting", "dataset", "seed", "episodes", "code")


@dataclass(frozen=True)
class Seconds:
    """What a job of some seeds together costs.

    Attributes:
        update: of a meta-update of all its seeds.
        validation, test: of one seed's validation, and of one seed's meta-test.
        ledger: of one seed's entry in the ledger of gradient fidelity; no record says it.
    """

    update: float
    validation: float
    test: float
    ledger: float = 0.0


class Costs(Protocol):
    """Where seconds come from."""

    def run(self, recipe: Recipe, seeds: int) -> Seconds:
        """Of a meta-training job of this many seeds."""

    def profile(self, recipe: Recipe) -> float:
        """Of a job that profiles a method."""

    def start(self) -> float:
        """Until a job's process has its libraries loaded."""


def shape(recipe: Recipe) -> str:
    """What the time of a run, or of a profile, depends on; the same text, the same time."""
    kept = {name: value for name, value in recipe.items() if name not in OF_NO_COST}
    if "training" in kept:
        kept["training"] = {k: v for k, v in kept["training"].items() if k != "meta_updates"}
    rated = recipe.get("dataset") in SOURCES or "n_items" in recipe.get("data", {}).get("tasks", {})
    return canonical(kept | {"rated": rated})


def job_seconds(recipes: Sequence[Recipe], cost: Seconds) -> float:
    """Of the meta-training and meta-test of the seeds of one job, each to its last update."""
    given = recipes[0]["training"]
    updates, every = given["meta_updates"], given["validate_every"]
    validations = updates // every + (updates % every > 0)
    ledger = given["ledger_every"]
    entries = len({1, updates, *range(ledger, updates, ledger)}) if ledger else 0
    of_seed = validations * cost.validation + entries * cost.ledger + cost.test
    return updates * cost.update + len(recipes) * of_seed


class Recorded:
    """Seconds of finished runs of the same shape; where there are none, those of `otherwise`.

    Args:
        runs: recipes and folders of finished runs. Those that failed, or ran on another
            device, are left out.
        device: as records name it.
    """

    def __init__(self, runs: Iterable[tuple[Recipe, Path]], device: str, otherwise: Costs) -> None:
        self.otherwise = otherwise
        found: dict[tuple[str, int], list[tuple[float, float]]] = {}
        for recipe, folder in runs:
            if not holds_run(folder, recipe):
                continue
            said = read_sealed(folder / "metrics.json")
            if said["status"] == "ok" and said["device"] == device and said["meta_updates"]:
                share = said["train_seconds"] / said["meta_updates"]
                key = (shape(recipe), said["seeds_in_job"])
                found.setdefault(key, []).append((share, said["test_seconds"]))
        # a record's seconds are its share of the job's, validation included (runs/records.py)
        self._found = {
            key: Seconds(
                update=key[1] * statistics.median(share for share, _ in seconds),
                validation=0.0,
                test=statistics.median(test for _, test in seconds),
            )
            for key, seconds in found.items()
        }

    def run(self, recipe: Recipe, seeds: int) -> Seconds:
        """Of finished runs where there are some."""
        key = (shape(recipe), seeds)
        return self._found[key] if key in self._found else self.otherwise.run(recipe, seeds)

    def profile(self, recipe: Recipe) -> float:
        """A profile's record does not say what it took."""
        return self.otherwise.profile(recipe)

    def start(self) -> float:
        """No record says it."""
        return self.otherwise.start()
