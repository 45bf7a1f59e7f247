"""What a method gets, what it gives back, and what methods have in common."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from pipeline.core.graphs import Graphs
from pipeline.core.settings import Horizon, as_horizon, check_horizon, check_not_negative
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.solvers.flow import Flow, horizons
from pipeline.core.work import Counted, Work


@dataclass(frozen=True)
class Problem:
    """R = S B tasks of S seeds: support and query losses, start (R, Q).

    Each seed's answer is that of a problem of its own, to rounding: what a method decides, a
    step size say, it decides for each seed.

    Attributes:
        works: one a seed.
        memory: what a Chebyshev solver keeps between meta-updates.
        size: P, the number of parameters of a task.
        left_out: squared norm of those that are no coordinate, (R,); None where all are.
        graphs: captures what is repeated, where that is wanted.
    """

    support: Counted
    query: Counted
    start: Tensor
    works: Sequence[Work]
    memory: ChebyshevMemory | None = None
    size: int = 0
    left_out: Tensor | None = None
    graphs: Graphs | None = None

    @property
    def seeds(self) -> int:
        return len(self.works)


@dataclass(frozen=True)
class Adapted:
    """A method's answer, task by task.

    gradient: dJ_b/dtheta, or the method's stand-in for it, (R, Q).
    parameters: trained parameters psi_b, (R, Q).
    stopped: when each task's training ended, (R,), where the method decides that.
    """

    gradient: Tensor
    parameters: Tensor
    stopped: Tensor | None = None


def flow_of(problem: Problem, horizon: Horizon, regulariser: float) -> tuple[Flow, float]:
    """The flow of all tasks, and the longest horizon.

    Raises:
        ValueError: for a horizon that is not positive, or a regulariser below zero.
    """
    check_horizon("horizon", horizon)
    given = as_horizon("horizon", horizon)
    check_not_negative("regulariser", regulariser)
    longest, rate = horizons(given, problem.start)
    flow = Flow(
        problem.support,
        problem.start,
        rate,
        regulariser,
        uniform=not isinstance(given, Tensor) or given.ndim == 0,
        seeds=problem.seeds,
        size=problem.size,
        left_out=problem.left_out,
        names=tuple(range(problem.seeds)),
    )
    return flow, longest
