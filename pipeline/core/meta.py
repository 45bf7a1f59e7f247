"""The outer loop, one meta-update at a time (Algorithm 1). It does no I/O."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.core.losses import Model
from pipeline.core.meta_gradient import check_settings, meta_gradient
from pipeline.core.solvers.chebyshev import Chebyshev
from pipeline.core.solvers.flow import Diverged
from pipeline.core.tasks import TaskBatch
from pipeline.core.work import Work


@dataclass(frozen=True)
class Progress:
    """One meta-update: its number from 1, mean query loss before it, norms, work."""

    update: int
    meta_loss: float
    gradient_norm: float
    change: float  # |theta_new - theta_old|
    work: Work


class MetaTrainer:
    """Theta (P,), the outer Adam and their state, which a checkpoint holds.

    Args:
        method, settings: as for `meta_gradient`.
        gradient_limit: a meta-gradient norm above it counts as divergence.
    """

    def __init__(
        self,
        method: str,
        model: Model,
        theta: Tensor,
        *,
        settings: dict[str, Any],
        outer_lr: float,
        gradient_limit: float = float("inf"),
    ) -> None:
        check_settings(method, settings)
        self.method = method
        self.model = model
        self.settings = settings
        self.gradient_limit = gradient_limit
        self.updates = 0
        self._memory = Chebyshev()
        self._theta = theta.detach().clone()
        self._adam = torch.optim.Adam([self._theta], lr=outer_lr)

    @property
    def theta(self) -> Tensor:
        """The initialisation as it stands, (P,)."""
        return self._theta.detach().clone()

    def step(self, batch: TaskBatch) -> Progress:
        """One meta-update on a meta-batch.

        Raises:
            Diverged: before theta is touched, when the meta-gradient is not finite or above
                the limit; the message names the first task that is to blame.
        """
        out = meta_gradient(
            self.method, self.model, self._theta, batch, memory=self._memory, **self.settings
        )
        norm = float(torch.linalg.vector_norm(out.gradient))
        if not norm <= self.gradient_limit:
            raise Diverged(
                f"meta-update {self.updates + 1}: the meta-gradient's norm is {norm:g}, allowed "
                f"is at most {self.gradient_limit:g}{_blame(out.adapted)}"
            )
        before = self._theta.clone()
        self._theta.grad = out.gradient
        self._adam.step()
        self.updates += 1
        change = float(torch.linalg.vector_norm(self._theta - before))
        return Progress(self.updates, float(out.query_loss.mean()), norm, change, out.work)

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint needs."""
        return {
            "updates": self.updates,
            "theta": self._theta.detach().cpu().clone(),
            "adam": self._adam.state_dict(),
            "memory": self._memory.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        with torch.no_grad():
            self._theta.copy_(state["theta"])
        self._adam.load_state_dict(state["adam"])
        self._memory.load_state_dict(state["memory"], self._theta)
        self.updates = state["updates"]


def _blame(adapted: Tensor) -> str:
    bad = (~torch.isfinite(adapted).all(1)).nonzero().flatten().tolist()
    return f"; inner training diverged on task {bad[0]} of the meta-batch" if bad else ""
