"""The meta-updates of one run: draws, curve, checkpoints, and an end on request."""

import signal
import sys
import time
from pathlib import Path
from types import FrameType

import numpy as np
import pandas as pd

from pipeline.checkpoint import load_checkpoint, save_checkpoint
from pipeline.core import Diverged, MetaTrainer, Progress, TaskBatch, Work
from pipeline.data.pools import Episodes
from pipeline.errors import BadInput
from pipeline.evaluate import FrozenTest
from pipeline.progress import track
from pipeline.records import CURVE_SCHEMA
from pipeline.specs import Recipe, digest

EPISODE_STREAM = 3  # of the generator that draws meta-batches; data/episodes.py uses 0 to 2


class MetaTraining:
    """Meta-updates with their curve, checkpoints, and an end on request."""

    def __init__(
        self,
        recipe: Recipe,
        checkpoint: Path,
        trainer: MetaTrainer,
        episodes: Episodes,
        validation: FrozenTest,
    ) -> None:
        self.recipe = recipe
        self.checkpoint = checkpoint
        self.trainer = trainer
        self.episodes = episodes
        self.validation = validation
        self.work = Work()
        self.seconds = 0.0
        self._rows: list[tuple[float, ...]] = []
        self._stop_signal = 0

    def train(self, checkpoint_every: int) -> str | None:
        """Run to the last meta-update; the message of a divergence, if there is one."""
        given = self.recipe["training"]
        total = given["meta_updates"]
        self._resume()
        started = time.perf_counter() - self.seconds
        title = f"{self.recipe['label']} {self.recipe['setting']} seed {self.recipe['seed']}"
        previous = {
            number: signal.signal(number, self._ask_to_stop)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            for update in track(title, self.trainer.updates, total):
                progress = self._step(update)
                self.work.add(progress.work)
                self.seconds = time.perf_counter() - started
                done = self.trainer.updates
                stopping = progress.change < given["stop_change"] or done == total
                score = np.nan
                if stopping or done % given["validate_every"] == 0:
                    score = self._validate()
                self._rows.append(
                    (
                        done,
                        self.seconds,
                        progress.meta_loss,
                        progress.gradient_norm,
                        score,
                        self.work.gradients,
                        self.work.hvps,
                    )
                )
                if stopping:
                    break
                if done % checkpoint_every == 0 or self._stop_signal:
                    self._save()
                if self._stop_signal:
                    print(f"{title}: stopped after {done} meta-updates, checkpoint written; "
                          "the same command goes on from there", file=sys.stderr)  # fmt: skip
                    sys.exit(128 + self._stop_signal)
        except Diverged as error:
            return str(error)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
        return None

    def curve(self) -> pd.DataFrame:
        """Rows of `records.CURVE_SCHEMA`."""
        return pd.DataFrame(self._rows, columns=CURVE_SCHEMA.names)

    def _step(self, update: int) -> Progress:
        batch = self._draw(update)
        try:
            (progress,) = self.trainer.step(batch)
            return progress
        except ValueError as error:  # settings that only the method itself can judge
            raise BadInput(f"recipe: {error}") from error

    def _draw(self, update: int) -> TaskBatch:
        """The meta-batch of an update: it depends on seed and number, not on the method."""
        given = self.recipe
        generator = np.random.default_rng([given["seed"], EPISODE_STREAM, update])
        arrays = self.episodes.train.draw(
            given["training"]["meta_batch"], given["support"], given["query"], generator
        )
        theta = self.trainer.theta
        return TaskBatch.from_arrays(*arrays, dtype=theta.dtype, device=theta.device)

    def _validate(self) -> float:
        """nRMSE after K steps on the validation tasks; NaN when it is not finite."""
        evaluation = self.recipe["evaluation"]
        rows = self.validation.adapted(
            "validation",
            self.trainer.model,
            self.trainer.theta,
            steps=[self.recipe["inner_steps"]],
            lr=evaluation["learning_rate"],
            optimiser=evaluation["optimiser"],
        )
        return float(rows["nrmse"].mean())

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_signal = number

    def _save(self) -> None:
        state = {
            "trainer": self.trainer.state_dict(),
            "rows": self._rows,
            "work": vars(self.work),
            "seconds": self.seconds,
        }
        save_checkpoint(self.checkpoint, digest(self.recipe), state)

    def _resume(self) -> None:
        state = load_checkpoint(self.checkpoint, digest(self.recipe))
        if state is None:
            return
        self.trainer.load_state_dict(state["trainer"])
        self._rows = [tuple(row) for row in state["rows"]]
        self.work = Work(**state["work"])
        self.seconds = state["seconds"]
        print(f"going on from meta-update {self.trainer.updates}", file=sys.stderr)
