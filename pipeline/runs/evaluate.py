"""Meta-test: adapt an initialisation to frozen tasks and measure it on their query rows."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from pipeline.config.measures import CLASSES, NUMBERS, Measure
from pipeline.core import Rows, TaskBatch, adapt
from pipeline.core.interface import Model
from pipeline.data.pools import Episodes, FrozenTasks
from pipeline.runs.metrics import (
    class_errors,
    log_probabilities,
    support_log_loss,
    support_rmse,
    task_errors,
)
from pipeline.runs.records import test_rows_schema
from pipeline.runs.trivial import trivial_predictions


class FrozenTest:
    """Frozen tasks on a device, with what turns predictions into errors.

    Args:
        tasks: validation or test tasks of `episodes`.
        target_range: of the targets, raw units.
        like: a tensor whose dtype and device the tasks take, theta.
    """

    def __init__(
        self, episodes: Episodes, tasks: FrozenTasks, *, target_range: float, like: Tensor
    ) -> None:
        self.episodes = episodes
        self.tasks = tasks
        self.target_range = target_range
        self.measure = CLASSES if episodes.classes else NUMBERS
        self.batch = TaskBatch.from_arrays(
            tasks.sx,
            tasks.sy if tasks.s_offset is None else tasks.sy - tasks.s_offset,
            tasks.qx,
            tasks.qy if tasks.q_offset is None else tasks.qy - tasks.q_offset,
            support_weight=tasks.s_weight,
            query_weight=tasks.q_weight,
            dtype=like.dtype,
            device=like.device,
        )

    def rows(
        self, predictor: str, step: int, prediction: np.ndarray, seen: np.ndarray | None = None
    ) -> pd.DataFrame:
        """Per-task rows of `records.test_rows_schema` for standardised predictions (T, M).

        Of classes these are log probabilities (T, M, C). `seen` (T, N) or (T, N, C): the
        predictions on the support rows, if there are any.
        """
        if self.measure is CLASSES:
            found = class_errors(prediction, self.tasks.qy, self.tasks.q_weight)
            own = (
                np.float32("nan")
                if seen is None
                else support_log_loss(seen, self.tasks.sy, self.tasks.s_weight)
            )
            frame = pd.DataFrame({"task": self.tasks.tasks, **found, self.measure.support: own})
            return self._placed(frame, predictor, step)
        scaling = self.episodes.scaling
        errors = task_errors(
            scaling.to_raw_y(np.asarray(prediction, dtype=np.float64)),
            scaling.to_raw_y(self.tasks.qy),
            self.tasks.q_weight,
            target_std=scaling.target_std,
            target_range=self.target_range,
        )
        frame = pd.DataFrame(
            {"task": self.tasks.tasks, **errors, "support_rmse": np.float32("nan")}
        )
        if seen is not None:
            frame["support_rmse"] = support_rmse(
                scaling.to_raw_y(np.asarray(seen, dtype=np.float64)),
                scaling.to_raw_y(self.tasks.sy),
                self.tasks.s_weight,
            )
        return self._placed(frame, predictor, step)

    def _placed(self, frame: pd.DataFrame, predictor: str, step: int) -> pd.DataFrame:
        return frame.assign(predictor=predictor, step=step)[test_rows_schema(self.measure).names]

    def trivial(self) -> pd.DataFrame:
        """Rows of the trivial predictors, at step 0."""
        predictions = trivial_predictions(self.episodes, self.tasks)
        return pd.concat([self.rows(name, 0, values) for name, values in predictions.items()])

    def adapted(
        self,
        predictor: str,
        model: Model,
        theta: Tensor,
        *,
        steps: Iterable[int],
        lr: float,
        optimiser: str,
    ) -> pd.DataFrame:
        """Rows of theta (P,) trained on the support rows, at each of `steps`.

        Steps from the first at which an error is not finite (in float32) are left out: all of
        them where theta is not.
        """
        if not bool(torch.isfinite(theta).all()):
            return empty_rows(self.measure)
        frames = []
        for step, u in adapt(
            model, theta, self.batch.support, steps=sorted(steps), lr=lr, optimiser=optimiser
        ):
            prediction, seen = (
                self._predicted(predict(model, u, side), offset)
                for side, offset in (
                    (self.batch.query, self.tasks.q_offset),
                    (self.batch.support, self.tasks.s_offset),
                )
            )
            rows = self.rows(predictor, step, prediction, seen)
            if not np.isfinite(rows[self.measure.name]).all():
                break
            frames.append(rows)
        return pd.concat(frames) if frames else empty_rows(self.measure)

    def _predicted(self, outputs: np.ndarray, offset: np.ndarray | None) -> np.ndarray:
        if self.measure is CLASSES:
            return log_probabilities(outputs)
        return outputs if offset is None else outputs + offset


def predict(model: Model, u: Tensor, rows: Rows) -> np.ndarray:
    """Predictions (T, M), or log odds (T, M, C), of trained parameters (T, P)."""
    with torch.no_grad():
        return model.predict(u, rows.x).double().cpu().numpy()


def empty_rows(measure: Measure = NUMBERS) -> pd.DataFrame:
    """A test-rows frame without rows."""
    return test_rows_schema(measure).empty_table().to_pandas()
