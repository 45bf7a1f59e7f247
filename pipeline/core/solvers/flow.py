"""Inner training as gradient flow, du/dt = -r (dL/du + mu (u - theta)).

r, shape (R, 1), is each task's share of the longest horizon: task b runs to T_b = r_b T.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from pipeline.core.interface import Point
from pipeline.core.seeds import Seeds, take
from pipeline.core.work import Counted


class Diverged(FloatingPointError):
    """The inner training or its adjoint left the range of floating point.

    Attributes:
        seed: the position of the seed whose training it was.
    """

    def __init__(self, message: str, seed: int = 0) -> None:
        super().__init__(message)
        self.seed = seed


@dataclass(frozen=True)
class Flow:
    """Gradient flow of R tasks of S seeds from the anchor theta (R, Q), with regulariser mu.

    Attributes:
        uniform: every rate is 1.
        seeds: S.
        size: P, the parameters of a task, those that are no coordinate included; 0 is Q.
        left_out: squared norm of the latter, (R,), for relative errors; None where there are
            none.
    """

    loss: Counted
    anchor: Tensor
    rate: Tensor  # (R, 1)
    regulariser: float = 0.0
    uniform: bool = True
    seeds: int = 1
    size: int = 0
    left_out: Tensor | None = None
    names: Seeds = (0,)  # of the seeds, in messages and counts
    _parts: dict[Seeds, Any] = field(default_factory=dict, repr=False, compare=False)

    def of(self, seeds: Seeds) -> "Flow":
        """The flow of some seeds' tasks, in their order."""
        if seeds == tuple(range(self.seeds)):
            return self
        if seeds not in self._parts:
            self._parts[seeds] = replace(
                self,
                loss=self.loss.of(seeds, self.anchor),
                anchor=take(self.anchor, seeds, self.seeds),
                rate=take(self.rate, seeds, self.seeds),
                left_out=None if self.left_out is None else take(self.left_out, seeds, self.seeds),
                seeds=len(seeds),
                names=tuple(self.names[seed] for seed in seeds),
                _parts={},
            )
        found: Flow = self._parts[seeds]
        return found

    def slope(self, u: Tensor) -> Tensor:
        """du/dt, shape (R, Q)."""
        return -self.descent(self.loss.at(u), u)

    def descent(self, point: Point, u: Tensor) -> Tensor:
        """-du/dt at u, given the loss's point there; a tensor of its own, (R, Q)."""
        gradient = point.gradient()
        if self.regulariser:
            gradient = gradient + self.regulariser * (u - self.anchor)
        return gradient if self.uniform else self.rate * gradient

    def pull_back(self, point: Point, weight: Tensor) -> Tensor:
        """The transposed Jacobian of `descent` times `weight`; a tensor of its own, (R, Q)."""
        if not self.uniform:
            weight = self.rate * weight
        image = point.hvp(weight)
        return image + self.regulariser * weight if self.regulariser else image

    def diverged(self, message: str, row: int | None = None) -> Diverged:
        """An error that names the seed and the task, given a row of this flow."""
        if row is None:
            return Diverged(message, self.names[0])
        each = len(self.anchor) // self.seeds
        said = f"{message}; task {row % each} of the batch is not finite"
        return Diverged(said, self.names[row // each])


def horizons(horizon: float | Tensor, start: Tensor) -> tuple[float, Tensor]:
    """The longest horizon, and each task's share of it, (R, 1)."""
    if start.dtype not in (torch.float32, torch.float64):
        raise ValueError(
            f"gradient flow needs float32 or float64, found {start.dtype}: no step of the solver "
            "meets its tolerance there. Methods with a number of inner steps take it."
        )
    each = torch.as_tensor(horizon, dtype=start.dtype, device=start.device)
    if each.ndim > 1 or (each.ndim == 1 and len(each) != len(start)):
        raise ValueError(
            f"horizon must be one number or have shape ({len(start)},), found {tuple(each.shape)}."
        )
    if not bool(((each > 0) & torch.isfinite(each)).all()):
        raise ValueError(f"horizon must be positive and finite, found {horizon}.")
    longest = float(horizon if each.ndim == 0 else each.max())  # not rounded to float32
    return longest, (each / longest).expand(len(start)).unsqueeze(1)
