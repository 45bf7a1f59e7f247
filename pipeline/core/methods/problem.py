"""What a method gets, and what it gives back."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.core.losses import Counted
from pipeline.core.work import Work


@dataclass(frozen=True)
class Problem:
    """R = S B tasks of S seeds: support and query losses, start (R, Q).

    Each seed's answer is that of a problem of its own, to rounding: what a method decides, a
    step size say, it decides for each seed.

    Attributes:
        works: one a seed.
        memory: what the method keeps between meta-updates, if it keeps anything.
        size: P, the number of parameters of a task.
        left_out: squared norm of those that are no coordinate, (R,); None where all are.
    """

    support: Counted
    query: Counted
    start: Tensor
    works: Sequence[Work]
    memory: object = None
    size: int = 0
    left_out: Tensor | None = None

    @property
    def seeds(self) -> int:
        return len(self.works)


@dataclass(frozen=True)
class Adapted:
    """A method's answer, task by task.

    gradient: dJ_b/dtheta, or the method's stand-in for it, (R, Q).
    parameters: trained parameters psi_b, (R, Q).
    """

    gradient: Tensor
    parameters: Tensor
