"""What a method gets, and what it gives back."""

from dataclasses import dataclass

from torch import Tensor

from pipeline.core.losses import Counted
from pipeline.core.work import Work


@dataclass(frozen=True)
class Problem:
    """B tasks to adapt from theta: support and query losses, start (B, P) = theta in each row.

    `memory` is what the method keeps between meta-updates, if it keeps anything.
    """

    support: Counted
    query: Counted
    start: Tensor
    work: Work
    memory: object = None


@dataclass(frozen=True)
class Adapted:
    """A method's answer, task by task.

    gradient: dJ_b/dtheta, or the method's stand-in for it, (B, P).
    parameters: trained parameters psi_b, (B, P).
    """

    gradient: Tensor
    parameters: Tensor
