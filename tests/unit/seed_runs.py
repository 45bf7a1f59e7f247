"""Runs of three seeds, in one job or in a job each, and what is the same in both."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.core import MetaTrainer, TaskBatch
from pipeline.runs.job import run, run_seeds
from pipeline.runs.recipe import Recipe
from pipeline.runs.records import RunRecord, read_run
from tests.unit.tiny_runs import SYNTHETIC, make_files, recipe

SEEDS = (0, 1, 2)
Paths = tuple[Path, list[Path]]


def make(root: Path, setting: str) -> Paths:
    """A task set, and the episodes of each seed."""
    made = [make_files(root, setting, seed) for seed in SEEDS]
    return made[0][0], [episodes for _, episodes in made]


def recipes(method: str = "fomaml", setting: str = SYNTHETIC, **training: Any) -> list[Recipe]:
    """In float64, in which sums in another order are far below what is compared."""
    return [recipe(method, setting, seed, **training) | {"dtype": "float64"} for seed in SEEDS]


def together(
    given: Sequence[Recipe], files: Paths, root: Path, **options: Any
) -> dict[int, RunRecord]:
    """Train the recipes in one job; the records by seed."""
    seeds = [own["seed"] for own in given]
    episodes = [files[1][seed] for seed in seeds]
    folders = [root / str(seed) for seed in seeds]
    run_seeds(given, files[0], episodes, folders, device="cpu", **options)
    return {seed: read_run(root / str(seed)) for seed in seeds}


def alone(given: Sequence[Recipe], files: Paths, root: Path) -> dict[int, RunRecord]:
    """Train each recipe in a job of its own."""
    for own in given:
        run(own, files[0], files[1][own["seed"]], root / str(own["seed"]), device="cpu")
    return {own["seed"]: read_run(root / str(own["seed"])) for own in given}


def assert_equal(a: RunRecord, b: RunRecord, *, rtol: float = 1e-7) -> None:
    """Equal to rounding, but for what a clock measured or tells of the job."""
    np.testing.assert_allclose(a.theta, b.theta, rtol=rtol, atol=rtol)
    frames = {"check_exact": False, "rtol": max(rtol, 1e-12), "atol": rtol}
    pd.testing.assert_frame_equal(a.test_rows, b.test_rows, **frames)
    clock = ["seconds", "process_seconds"]
    pd.testing.assert_frame_equal(
        a.curve.drop(columns=clock), b.curve.drop(columns=clock), **frames
    )
    assert a.spec == b.spec
    for name in ("status", "meta_updates", "seed", "target_std", "target_range", "data"):
        assert a.metrics[name] == b.metrics[name], name
    for name in ("gradients", "hvps", "accepted", "rejected"):
        assert a.metrics["work"][name] == b.metrics["work"][name], name


def all_equal(a: dict[int, RunRecord], b: dict[int, RunRecord], **options: float) -> None:
    assert a.keys() == b.keys()
    for seed in a:
        assert_equal(a[seed], b[seed], **options)


def watched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[TaskBatch, list[Any]]]:
    """Every meta-batch that is trained on, and what came of it."""
    seen: list[tuple[TaskBatch, list[Any]]] = []
    step = MetaTrainer.step

    def watching(self: MetaTrainer, batch: TaskBatch) -> Any:
        progresses = step(self, batch)
        seen.append((batch, progresses))
        return progresses

    monkeypatch.setattr(MetaTrainer, "step", watching)
    return seen


def limit_of_one(files: Paths, root: Path) -> tuple[float, int]:
    """A gradient limit that one seed's training passes, after its first update; that seed."""
    norms = {
        seed: record.curve["gradient_norm"]
        for seed, record in alone(recipes(meta_updates=12), files, root).items()
    }
    first, second = sorted(norms, key=lambda seed: -norms[seed].max())[:2]
    limit = (norms[first].max() + norms[second].max()) / 2
    assert norms[first][0] < limit, "the seed has to train before it diverges"
    return limit, first


def divergent_recipes(files: Paths, root: Path) -> tuple[list[Recipe], int]:
    """Recipes of which one diverges, after some updates; its seed."""
    limit, seed = limit_of_one(files, root)
    return recipes(meta_updates=12, gradient_limit=limit), seed
