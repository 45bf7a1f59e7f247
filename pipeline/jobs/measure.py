"""Seconds of real meta-updates, validations and meta-tests, measured now on random data.

Each shape starts afresh and warms up with one meta-update, which is not counted. What takes
longer later in training, because the inner problem has become stiffer, is not seen. On the CPU
jobs have one thread, so its own time is taken, which other programs hardly change.
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.config.schema import Params
from pipeline.core import MetaTrainer, TaskBatch
from pipeline.core.meta import SeedsDiverged
from pipeline.data.cards import OF_CLASSES
from pipeline.data.families import PROFILED
from pipeline.data.pools import Episodes, FrozenTasks, Scaling, TaskPool
from pipeline.data.schemas import read_metadata
from pipeline.errors import BadInput
from pipeline.jobs.costs import Seconds, shape
from pipeline.runs.device import choose_device, device_name, keep_freed_memory
from pipeline.runs.inputs import untrained_start
from pipeline.runs.model import model_of
from pipeline.runs.recipe import Recipe, outer_loop
from pipeline.runs.seed import SeedTraining
from pipeline.runs.testing import meta_test

REPEATS = 5  # of what is cheap
ENOUGH_S = 0.5  # after so long, two have to do
PROFILED_ROWS = 50  # support and query rows in runs/profile.py
INPUTS = 2  # of the synthetic families
TRAIN_TASKS = 100  # at least; what a draw costs hardly depends on it


class Measured:
    """Measures every shape once, on one device, with the threads that a job has.

    Raises:
        BadInput: for a device that is not there.
    """

    def __init__(self, params: Params, *, device: str = "auto", threads: int = 1) -> None:
        torch.set_num_threads(threads)
        keep_freed_memory()
        self._params = params
        self._place = choose_device(device)
        self._tests: dict[str, tuple[float, float, float]] = {}
        self.device = device_name(self._place)

    def run(self, recipe: Recipe, seeds: int) -> Seconds:
        """Of a meta-training job of this many seeds.

        Raises:
            BadInput: when the method refuses its settings, or diverges at once on random data.
        """
        training = [self._seed(recipe, seed) for seed in range(seeds)]
        trainer = self._trainer(recipe, training)
        update = self._update(trainer, training)
        # validation, meta-test and the ledger's truth are the same for every method
        key = shape({k: v for k, v in recipe.items() if k not in ("method", "settings")})
        if key not in self._tests:
            one, theta = training[0], training[0].untrained
            one.end(theta, 0)
            average = theta if outer_loop(recipe)["average"] else None
            validation = self._median(lambda: one.validate(trainer.model, theta, average, 0))
            self._tests[key] = (
                validation,
                self._once(lambda: meta_test(one, trainer.model)),
                self._once(lambda: one.ledger.entry(trainer.model, theta)),
            )
        return Seconds(update, *self._tests[key])

    def profile(self, recipe: Recipe) -> float:
        """Of all numbers of steps: warm-up, recorded and timed updates, each in a new process."""
        as_run = {
            "dataset": PROFILED.name,
            "support": PROFILED_ROWS,
            "query": PROFILED_ROWS,
            "training": {
                "meta_batch": recipe["meta_batch"],
                "outer_lr": 1e-3,
                "inner_lr": 0.01,
                "ledger_every": None,
            },
            "inner_steps": 1,
        }
        seconds = 0.0
        for settings in recipe["settings"].values():
            given = recipe | as_run | {"settings": settings}
            training = [self._seed(given, 0)]
            seconds += self._update(self._trainer(given, training), training)
        return (recipe["repeats"] + 2) * seconds

    def start(self) -> float:
        """Until a job's process has its libraries loaded; its own time."""
        code = "import time, pipeline.runs.job; print(time.process_time())"
        command = [sys.executable, "-c", code]
        root = Path(__file__).parents[2]
        return float(subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE).stdout)

    def _seed(self, recipe: Recipe, seed: int) -> SeedTraining:
        own = recipe | {"seed": seed}
        episodes = random_episodes(self._params, own)
        untrained = untrained_start(model_of(own, episodes), own, self._place)
        return SeedTraining(own, episodes, untrained, target_range=1.0)

    def _trainer(self, recipe: Recipe, training: list[SeedTraining]) -> MetaTrainer:
        starts = [seed.untrained for seed in training]
        try:
            return MetaTrainer(
                recipe["method"],
                model_of(recipe, training[0].episodes),
                starts[0] if len(starts) == 1 else torch.stack(starts),
                settings=recipe["settings"],
                outer_lr=recipe["training"]["outer_lr"],
            )
        except ValueError as error:
            raise BadInput(f"params.yaml: {recipe['method']}: {error}") from error

    def _update(self, trainer: MetaTrainer, training: list[SeedTraining]) -> float:
        """Median of meta-updates after the first, drawing their meta-batches included."""

        def update() -> None:
            drawn = [seed.draw(trainer.updates) for seed in training]
            arrays = [np.concatenate(parts) for parts in zip(*drawn, strict=True)]
            like = trainer.theta
            trainer.step(TaskBatch.from_arrays(*arrays, dtype=like.dtype, device=like.device))

        try:
            return self._median(update)
        except SeedsDiverged as error:
            raise BadInput(
                f"{trainer.method}: diverged on random data ({error}), needed updates that can be "
                "timed. Count only (--no-measure), or lower `training.inner_lr` in params.yaml."
            ) from error
        except ValueError as error:  # settings that only the method itself can judge
            raise BadInput(f"params.yaml: {trainer.method}: {error}") from error

    def _median(self, work: Callable[[], Any]) -> float:
        work()
        seconds: list[float] = []
        while len(seconds) < 2 or (len(seconds) < REPEATS and sum(seconds) < ENOUGH_S):
            seconds.append(self._once(work))
        return statistics.median(seconds)

    def _once(self, work: Callable[[], Any]) -> float:
        on_gpu = self._place.type == "cuda"
        clock = time.perf_counter if on_gpu else time.process_time
        started = clock()
        work()
        if on_gpu:
            torch.cuda.synchronize(self._place)
        return clock() - started


def random_episodes(params: Params, recipe: Recipe) -> Episodes:
    """Normal targets, and normal inputs or items, in the shape that a run's real ones have.

    Rating tasks have rated every item: frozen tasks are padded to the longest, and there is
    hardly a data set in which nobody has.

    Raises:
        BadInput: when fewer items are kept than a task needs rows.
    """
    draw = np.random.default_rng(recipe["seed"])
    support = recipe["support"]
    rated = params.kind_of(recipe["dataset"]) == "ratings"
    items = (recipe["data"]["tasks"]["n_items"] or params.data.items) if rated else 0
    needed = support + recipe["query"]
    if rated and items < needed:
        raise BadInput(
            f"params.yaml: data.items: found {items}, but a task needs {needed} different items "
            f"({support} support + {recipe['query']} query). Raise it, or lower the shots."
        )
    rows = items or needed
    tasks = max(TRAIN_TASKS, recipe["training"]["meta_batch"])
    shape = () if rated else input_shape(recipe)
    x, y = _rows(draw, tasks, rows, items, shape)
    tested = items - support if rated else params.synthetic.evaluation_points
    sizes = params.role_tasks(recipe["dataset"])
    kept_out = recipe.get("data", sizes)["validation_tasks"]
    synthetic = params.kind_of(recipe["dataset"]) == "synthetic"
    n_test = params.synthetic.test_tasks if synthetic else sizes["test_tasks"]
    found = Episodes(
        train=TaskPool(
            tasks=np.arange(tasks),
            x=x.reshape(-1, *x.shape[2:]),
            y=y.ravel(),
            starts=np.arange(tasks) * rows,
            counts=np.full(tasks, rows),
        ),
        validation=_frozen(draw, kept_out, support, rows - support, items, shape),
        test=_frozen(draw, n_test, support, tested, items, shape),
        scaling=Scaling([0.0] * len(shape), [1.0] * len(shape), 0.0, 1.0, 1.0),
        n_items=items,
        metadata={},
    )
    return _with_classes(found) if recipe.get("loss") in OF_CLASSES else found


def _with_classes(episodes: Episodes) -> Episodes:
    """The same with two classes for targets: how many there are costs next to nothing."""

    def classes(tasks: FrozenTasks) -> FrozenTasks:
        return replace(tasks, sy=(tasks.sy > 0).astype(int), qy=(tasks.qy > 0).astype(int))

    return replace(
        episodes,
        train=replace(episodes.train, y=(episodes.train.y > 0).astype(int)),
        validation=classes(episodes.validation),
        test=classes(episodes.test),
        classes=("0", "1"),
    )


def input_shape(recipe: Recipe) -> tuple[int, ...]:
    """Of one input: of a table, as its task set has it, or as far as its columns tell."""
    own = recipe.get("data", {}).get("tasks", {}).get("own")
    if own is None:
        return (INPUTS,)
    if "shape" in own:
        return tuple(own["shape"])
    tasks = Path(f"data/tasks/{recipe['dataset']}.parquet")
    return (len(read_metadata(tasks)["inputs"] if tasks.is_file() else own["inputs"]),)


def _frozen(
    draw: np.random.Generator,
    tasks: int,
    support: int,
    query: int,
    items: int,
    shape: tuple[int, ...],
) -> FrozenTasks:
    x, y = _rows(draw, tasks, support + query, items, shape)
    weight = np.ones_like(y)
    parts = [(a[:, :support], a[:, support:]) for a in (x, y, weight)]
    return FrozenTasks(np.arange(tasks), *(a for a, _ in parts), *(b for _, b in parts))


def _rows(
    draw: np.random.Generator, tasks: int, rows: int, items: int, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (T, N, *shape), or different items (T, N) where there are some, and targets (T, N)."""
    y = draw.normal(size=(tasks, rows))
    if not items:
        return draw.normal(size=(tasks, rows, *shape)), y
    return draw.permuted(np.tile(np.arange(items), (tasks, 1)), axis=1)[:, :rows], y
