"""The gradient-fidelity ledger of one seed: the method's meta-gradient against the true one.

The truth is the same for all methods: gradient flow over T = alpha K of the setting's K, its
terminal query loss, on a probe of meta-training tasks that stays the same for a whole run.
"""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from pipeline.core import Diverged, TaskBatch, meta_gradient
from pipeline.core.fidelity import compare, converged_gradient
from pipeline.core.interface import Model
from pipeline.data.pools import Batch, TaskPool
from pipeline.runs.recipe import Recipe, flow_time

PROBE_STREAM = 4  # of the generator that draws the probe; data and meta-batches use 0 to 3


class Fidelity(NamedTuple):
    """One entry, NaN where it was not measured or something diverged.

    cosine, relative_error: against the common truth. own_cosine, own_relative_error: against
    the converged gradient of the objective that the method states, with its running cost and
    regulariser; for a method without them the same.
    """

    cosine: float = float("nan")
    relative_error: float = float("nan")
    own_cosine: float = float("nan")
    own_relative_error: float = float("nan")


class Ledger:
    """When entries are due, and how one is made. It keeps nothing between entries."""

    def __init__(self, recipe: Recipe, pool: TaskPool) -> None:
        given = recipe["training"]
        self.every: int | None = given["ledger_every"]
        self._method: str = recipe["method"]
        self._settings: dict[str, Any] = recipe["settings"]
        self._horizon: float = flow_time(given["inner_lr"], recipe["inner_steps"])
        self._probe: Batch | None = None
        if self.every is not None:
            self._probe = pool.draw(
                given["meta_batch"],
                recipe["support"],
                recipe["query"],
                np.random.default_rng([recipe["seed"], PROBE_STREAM]),
            )

    def is_due(self, update: int, *, last: bool) -> bool:
        """Whether an entry belongs after this update: at the first, every M, and the last."""
        return self.every is not None and (update == 1 or last or update % self.every == 0)

    def entry(self, model: Model, theta: Tensor) -> Fidelity:
        """Measure at theta (P,); a method gets the probe in theta's dtype and no memory."""
        if self._probe is None or not bool(torch.isfinite(theta).all()):
            return Fidelity()
        own, exact = (
            TaskBatch.from_arrays(*self._probe, dtype=dtype, device=theta.device)
            for dtype in (theta.dtype, torch.float64)
        )
        try:
            found = meta_gradient(self._method, model, theta, own, **self._settings).gradient
        except Diverged:
            return Fidelity()
        common = self._against(found, model, theta, exact)
        stated = {name: self._settings.get(name, 0.0) for name in ("omega", "regulariser")}
        if not any(stated.values()):
            return Fidelity(*common, *common)
        return Fidelity(*common, *self._against(found, model, theta, exact, **stated))

    def _against(
        self, found: Tensor, model: Model, theta: Tensor, probe: TaskBatch, **objective: float
    ) -> tuple[float, float]:
        try:
            truth = converged_gradient(model, theta, probe, horizon=self._horizon, **objective)
        except Diverged:
            return float("nan"), float("nan")
        return compare(found, truth)
