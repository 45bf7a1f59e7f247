"""The meta-updates of one job, of one seed or several: checkpoints, and an end on request."""

import io
import pickle
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.core import MetaTrainer, Progress, TaskBatch
from pipeline.core.meta import SeedsDiverged
from pipeline.errors import BadInput
from pipeline.runs.ledger import Fidelity
from pipeline.runs.progress import track
from pipeline.runs.recipe import job_digest, outer_loop
from pipeline.runs.seed import SeedTraining
from pipeline.seals import BLANK, Damaged, sealed_bytes, sealing

# Checkpoints of a meta-training job, named by the recipe, or recipes, they belong to.

_BROKEN = (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, AttributeError)


def save_checkpoint(path: Path, recipe_digest: str, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all: a line with its seal, and what torch saves."""
    saved = io.BytesIO()
    torch.save({"recipe": recipe_digest, "state": state}, saved)
    with sealing(path) as beside, beside.open("wb") as file:
        file.write(f"{BLANK}\n".encode())
        file.write(saved.getbuffer())


def load_checkpoint(path: Path, recipe_digest: str) -> dict[str, Any] | None:
    """The state of this recipe's checkpoint; None where there is none, or another's.

    A file that cannot be read is said so on stderr and left out: the run starts anew.
    """
    if not path.is_file():
        return None
    try:
        saved = io.BytesIO(sealed_bytes(path)[len(BLANK) + 1 :])
        stored = torch.load(saved, map_location="cpu", weights_only=True)
        if not isinstance(stored, dict):
            raise TypeError(f"holds a {type(stored).__name__}")
        recipe: str = stored["recipe"]
        state: dict[str, Any] = stored["state"]
    except Damaged as error:
        print(f"{path}: checkpoint: {error.fault}; starting anew", file=sys.stderr)
        return None
    # what a broken pickle raises depends on where it is broken
    except (*_BROKEN, pickle.UnpicklingError) as error:
        first = str(error).split("\n")[0]
        print(f"{path}: unreadable checkpoint ({first}); starting anew", file=sys.stderr)
        return None
    if recipe != recipe_digest:
        print(f"{path}: checkpoint of another recipe; starting anew", file=sys.stderr)
        return None
    return state


class MetaTraining:
    """Meta-updates of all seeds together; each leaves when it has ended.

    Args:
        seeds: their recipes differ in what depends on the seed only.
        checkpoint: the job's one checkpoint, named by the recipes of all seeds.
        trainer: of theta (P,) for one seed, (S, P) for several, in the order of `seeds`.
    """

    def __init__(
        self, seeds: Sequence[SeedTraining], checkpoint: Path, trainer: MetaTrainer
    ) -> None:
        self.seeds = list(seeds)
        self.checkpoint = checkpoint
        self.trainer = trainer
        self.going = list(seeds)  # in the order of the trainer's rows
        self._digest = job_digest([seed.recipe for seed in seeds])
        self._since = (0.0, 0.0)  # wall and CPU seconds
        self._stop_signal = 0
        self._losses: list[float] = []  # of the last update, seed by seed

    def train(self, checkpoint_every: int) -> None:
        """Run every seed to its last meta-update, or to its divergence."""
        recipe = self.seeds[0].recipe
        given = outer_loop(recipe)
        total = given["meta_updates"]
        self._resume()
        for seed in self.seeds:
            seed.begin()
        title = f"{recipe['label']} {recipe['setting']} {_named(self.seeds)}"
        previous = {
            number: signal.signal(number, self._ask_to_stop)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        self._since = _now()
        try:
            for update in track(f"{title}: update", self.trainer.updates, total, self._said):
                progresses = self._step(update)
                self._losses = [progress.meta_loss for progress in progresses]
                if not self.going:
                    break
                self._share_time()
                done = self.trainer.updates
                ended = []
                for seed, theta, average, progress in zip(
                    self.going, self._thetas(), self._averages(), progresses, strict=True
                ):
                    seed.work.add(progress.work)
                    stopping = progress.change < given["stop_change"] or done == total
                    scores = (np.nan, np.nan)
                    if stopping or done % given["validate_every"] == 0:
                        scores = seed.validate(self.trainer.model, theta, average, done)
                        stopping |= seed.is_patient_no_more(given["patience"])
                    seed.note(progress, scores, self._fidelity(seed, theta, stopping))
                    if stopping:
                        seed.end(seed.kept(theta, average), done)
                        ended.append(seed)
                self._drop(ended)
                if not self.going:
                    break
                if done % checkpoint_every == 0 or self._stop_signal:
                    self._save()
                if self._stop_signal:
                    print(f"{title}: stopped after {done} meta-updates, checkpoint written; "
                          "the same command goes on from there", file=sys.stderr)  # fmt: skip
                    sys.exit(128 + self._stop_signal)
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _said(self) -> str:
        return f", loss {np.mean(self._losses):.4g}" if self._losses else ""

    def _step(self, update: int) -> list[Progress]:
        """One meta-update of the seeds in training, in their order; those that diverge leave."""
        while self.going:
            try:
                return self.trainer.step(self._draw(update))
            except SeedsDiverged as error:
                self._share_time()
                thetas = self._thetas()
                diverged = [self.going[position] for position in error.messages]
                for position, message in error.messages.items():
                    seed = self.going[position]
                    seed.end(thetas[position], self.trainer.updates, message)
                self._drop(diverged)
            except ValueError as error:  # settings that only the method itself can judge
                raise BadInput(f"recipe: {error}") from error
        return []

    def _draw(self, update: int) -> TaskBatch:
        """The meta-batches of the seeds in training, one after the other."""
        drawn = [seed.draw(update) for seed in self.going]
        arrays = [np.concatenate(parts) for parts in zip(*drawn, strict=True)]
        theta = self.trainer.theta
        return TaskBatch.from_arrays(*arrays, dtype=theta.dtype, device=theta.device)

    def _thetas(self) -> Sequence[Tensor]:
        """Theta (P,) of each seed in training."""
        theta = self.trainer.theta
        return [theta] if theta.ndim == 1 else list(theta)

    def _averages(self) -> Sequence[Tensor | None]:
        """The moving average (P,) of each seed in training; None where none is kept."""
        average = self.trainer.average
        if average is None:
            return [None] * len(self.going)
        return [average] if average.ndim == 1 else list(average)

    def _drop(self, ended: Sequence[SeedTraining]) -> None:
        """Go on without these seeds; the trainer of none stays as it is."""
        kept = [k for k, seed in enumerate(self.going) if seed not in ended]
        if ended and kept:
            self.trainer.keep(kept)
        self.going = [self.going[k] for k in kept]

    def _share_time(self) -> None:
        """Share the seconds since the last call among the seeds that were in training."""
        now = _now()
        for seed in self.going:
            seed.seconds += (now[0] - self._since[0]) / len(self.going)
            seed.process_seconds += (now[1] - self._since[1]) / len(self.going)
        self._since = now

    def _fidelity(self, seed: SeedTraining, theta: Tensor, last: bool) -> Fidelity:
        """The ledger's entry of a seed where one is due; its seconds are not those of training."""
        if not seed.ledger.is_due(self.trainer.updates, last=last):
            return Fidelity()
        before = _now()
        entry = seed.ledger.entry(self.trainer.model, theta)
        after = _now()
        self._since = (
            self._since[0] + after[0] - before[0],
            self._since[1] + after[1] - before[1],
        )
        return entry

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_signal = number

    def _save(self) -> None:
        state = {
            "trainer": self.trainer.state_dict(),
            "seeds": [seed.state_dict() for seed in self.seeds],
        }
        save_checkpoint(self.checkpoint, self._digest, state)

    def _resume(self) -> None:
        state = load_checkpoint(self.checkpoint, self._digest)
        if state is None:
            return
        for seed, stored in zip(self.seeds, state["seeds"], strict=True):
            seed.load_state_dict(stored)
        self._drop([seed for seed in self.seeds if seed.ended])
        self.trainer.load_state_dict(state["trainer"])
        print(f"going on from meta-update {self.trainer.updates}", file=sys.stderr)


def _now() -> tuple[float, float]:
    """Wall seconds, and CPU seconds of the process."""
    return time.perf_counter(), time.process_time()


def _named(seeds: Sequence[SeedTraining]) -> str:
    numbers = [str(seed.recipe["seed"]) for seed in seeds]
    return f"seed{'s' if len(numbers) > 1 else ''} {', '.join(numbers)}"
