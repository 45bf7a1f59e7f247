"""One seed of a meta-training job: its draws, its curve, its validation, its end."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from torch import Tensor

from pipeline.core import Progress, Work
from pipeline.core.interface import Model
from pipeline.data.pools import Episodes, FrozenTasks
from pipeline.runs.evaluate import FrozenTest
from pipeline.runs.ledger import Fidelity, Ledger
from pipeline.runs.progress import ProgressFile
from pipeline.runs.recipe import Recipe, outer_loop
from pipeline.runs.records import curve_schema

# of the generator that draws meta-batches; data/episodes.py uses 0 to 2, runs/ledger.py 4
EPISODE_STREAM = 3


class Kept(NamedTuple):
    """An initialisation by its validation error: of theta or its average, after which update."""

    update: int
    of: str
    error: float


class SeedTraining:
    """What one seed has of its own while it is trained, alone or with others.

    Attributes:
        untrained: the start, (P,).
        work: so far.
        seconds, process_seconds: so far; of a job's wall and CPU seconds, the seed's share.
        ledger: of its gradients' fidelity.
        ended: its training has; `theta` (P,) and `updates` are then where it came to.
        message: of its divergence, if there is one.
        progress: tells whoever looks on.
        best: the least validation error so far, of theta or of its average.
    """

    def __init__(
        self,
        recipe: Recipe,
        episodes: Episodes,
        untrained: Tensor,
        target_range: float,
        progress: ProgressFile | None = None,
    ) -> None:
        self.recipe = recipe
        self.episodes = episodes
        self.untrained = untrained
        self.target_range = target_range
        self.work = Work()
        self.seconds = 0.0
        self.process_seconds = 0.0
        self.ledger = Ledger(recipe, episodes.train)
        self.ended = False
        self.theta = untrained
        self.updates = 0
        self.message: str | None = None
        self.progress = progress
        self.best: Kept | None = None
        self._last: tuple[float, float] = (np.nan, np.nan)
        self._since_best = 0  # validations
        self._best_theta = untrained
        self._keep = outer_loop(recipe)["keep"]
        self._rows: list[tuple[float, ...]] = []
        self._validation = self.frozen(episodes.validation)
        self._columns = curve_schema(self._validation.measure).names

    def frozen(self, tasks: FrozenTasks) -> FrozenTest:
        """Validation or test tasks, on theta's device."""
        return FrozenTest(self.episodes, tasks, target_range=self.target_range, like=self.untrained)

    def draw(self, update: int) -> tuple[np.ndarray, ...]:
        """The meta-batch of an update: it depends on seed and number, on nothing else."""
        given = self.recipe
        generator = np.random.default_rng([given["seed"], EPISODE_STREAM, update])
        return self.episodes.train.draw(
            given["training"]["meta_batch"], given["support"], given["query"], generator
        )

    def validate(
        self, model: Model, theta: Tensor, average: Tensor | None, update: int
    ) -> tuple[float, float]:
        """Validation errors of theta and of its average; the better is kept where it is the best.

        Returns:
            The two, NaN where one is not finite or there is no average.
        """
        scores = (
            self._validated(model, theta),
            np.nan if average is None else self._validated(model, average),
        )
        self._last = scores
        self._since_best += 1
        for of, score, found in zip(("theta", "average"), scores, (theta, average), strict=True):
            if (
                found is not None
                and np.isfinite(score)
                and (self.best is None or score < self.best.error)
            ):
                self.best = Kept(update, of, score)
                self._best_theta = found.clone()
                self._since_best = 0
        return scores

    def is_patient_no_more(self, patience: int | None) -> bool:
        """Whether so many validations have passed without a new best."""
        return patience is not None and self._since_best >= patience

    def kept(self, theta: Tensor, average: Tensor | None) -> Tensor:
        """The initialisation that the record gets, by `training.keep`."""
        if self._keep == "average" and average is not None:
            return average
        return self._best_theta if self._keep == "best" and self.best is not None else theta

    @property
    def chosen(self) -> dict[str, Any]:
        """What the record says of an initialisation that is not simply the last theta."""
        if self._keep == "average":
            return {"kept": Kept(self.updates, "average", self._last[1])._asdict()}
        if self._keep == "best" and self.best is not None:
            return {"kept": self.best._asdict()}
        return {}

    def _validated(self, model: Model, theta: Tensor) -> float:
        """The primary error after K steps on the validation tasks; NaN when it is not finite."""
        evaluation = self.recipe["evaluation"]
        rows = self._validation.adapted(
            "validation",
            model,
            theta,
            steps=[self.recipe["inner_steps"]],
            lr=evaluation["learning_rate"],
            optimiser=evaluation["optimiser"],
        )
        return float(rows[self._validation.measure.name].mean())

    def note(self, progress: Progress, scores: tuple[float, float], fidelity: Fidelity) -> None:
        """Add a row to the curve; `scores` are the validation errors of theta and its average."""
        self._rows.append(
            (
                progress.update,
                self.seconds,
                progress.meta_loss,
                progress.gradient_norm,
                scores[0],
                self.work.gradients,
                self.work.hvps,
                self.process_seconds,
                *fidelity,
                *progress.spread,
                scores[1],
            )
        )
        if self.progress:
            self.progress.note(self._named(self._rows[-1]))

    def begin(self) -> None:
        """Tell whoever looks on that training starts, or goes on from a checkpoint."""
        if self.progress:
            self.progress.open([self._named(row) for row in self._rows])
            if self.ended:
                self.progress.trained()

    def end(self, theta: Tensor, updates: int, message: str | None = None) -> None:
        """Keep what the training has come to, and how it diverged if it did."""
        self.ended = True
        self.theta, self.updates, self.message = theta.clone(), updates, message
        if self.progress:
            self.progress.trained()

    def curve(self) -> pd.DataFrame:
        """Rows of `records.curve_schema`."""
        return pd.DataFrame(self._rows, columns=self._columns)

    def _named(self, row: tuple[float, ...]) -> dict[str, float]:
        """A row of the curve by the names of its columns."""
        return dict(zip(self._columns, row, strict=True))

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint needs; theta in training is the trainer's."""
        return {
            "rows": self._rows,
            "best": None
            if self.best is None
            else tuple(self.best),  # a checkpoint holds no classes
            "last": self._last,
            "since_best": self._since_best,
            "best_theta": self._best_theta.cpu(),
            "work": vars(self.work),
            "seconds": self.seconds,
            "process_seconds": self.process_seconds,
            "ended": self.ended,
            "theta": self.theta.cpu(),
            "updates": self.updates,
            "message": self.message,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._rows = [tuple(row) for row in state["rows"]]
        self.best = None if state["best"] is None else Kept(*state["best"])
        self._last = tuple(state["last"])
        self._since_best = state["since_best"]
        self._best_theta = state["best_theta"].to(self.untrained.device)
        self.work = Work(**state["work"])
        self.seconds = state["seconds"]
        self.process_seconds = state["process_seconds"]
        self.ended = state["ended"]
        self.theta = state["theta"].to(self.untrained.device)
        self.updates = state["updates"]
        self.message = state["message"]
