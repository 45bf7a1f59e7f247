"""One step of an explicit Runge-Kutta method, its transpose, and the states within it.

Of every accepted step the start and the slopes k_i are kept (under a budget, see
recording.py), from which stages and, in between, dense output follow without an evaluation.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from pipeline.core.interface import Point
from pipeline.core.recording import Advanced, Recording, Step
from pipeline.core.seeds import Seeds
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.tableaux import TABLEAUX, Tableau


def combine(start: Tensor, slopes: list[Tensor], weights: tuple[float, ...], h: float) -> Tensor:
    """start + h sum_i weights_i slopes_i, (R, Q)."""
    total = start
    for slope, weight in zip(slopes, weights, strict=False):
        if weight:
            total = torch.add(total, slope, alpha=h * weight)
    return total


def step_back(
    flow: Flow,
    tableau: Tableau,
    h: float,
    points: Sequence[Point],
    lam: Tensor,
    anchored: Tensor | None,
) -> Tensor:
    """The transpose of a step, last stage first: one Hessian-vector product a stage.

    With w_i = J(Y_i)^T m_i and J the flow's Jacobian, for i = s, ..., 1:
        m_i = h b_i lambda + h sum_{j > i} a_ji w_j;   lambda += sum_i w_i

    Args:
        points: at the stages Y_1, ..., Y_s.
        lam: dJ/du at the step's end, (R, Q).
        anchored: gains what goes through the regulariser's anchor.

    Returns:
        dJ/du at its start, (R, Q).
    """
    rows = ((), *tableau.a)
    pulled = [torch.empty(0)] * tableau.stages  # w_i
    total = lam
    for i in range(tableau.stages - 1, -1, -1):
        m = lam * (h * tableau.b[i])
        for j in range(i + 1, tableau.stages):
            if rows[j][i]:
                m.add_(pulled[j], alpha=h * rows[j][i])
        if anchored is not None:
            anchored.add_(flow.rate * m, alpha=flow.regulariser)
        pulled[i] = flow.pull_back(points[i], m).neg_()
        total = total + pulled[i]
    return total


class RungeKuttaScheme:
    """A recorded step, and how it is computed again (recording.Scheme); its plan is its size."""

    own_states = True  # slopes are kept within, so that points alone hold their stages

    def __init__(self, solver: str) -> None:
        self.tableau: Tableau = TABLEAUX[solver]

    def seeds(self, plan: float) -> Seeds:
        return (0,)

    def stages(self, plan: float) -> int:
        return self.tableau.stages + bool(self.tableau.mid)  # k_i, and the slope at the end

    def vectors(self, stages: int) -> int:
        return 4 * stages + 12  # torchdiffeq holds three times the slopes, and we once

    def advance(self, flow: Flow, start: Tensor, plan: float, keep: bool) -> Advanced:
        slopes: list[Tensor] = []
        points: list[Point] = []
        for row in ((), *self.tableau.a):
            u = combine(start, slopes, row, plan)
            point = flow.loss.at(u)
            slopes.append(flow.descent(point, u).neg_())
            if keep:
                points.append(point)
        end = combine(start, slopes, self.tableau.b, plan)
        if self.tableau.mid:
            slopes.append(flow.slope(end))
        return Advanced(slopes, points, end)

    def states(
        self, flow: Flow, start: Tensor, inner: list[Tensor], plan: float
    ) -> list[tuple[Flow, Tensor]]:
        return [(flow, combine(start, inner, row, plan)) for row in ((), *self.tableau.a)]

    def back(
        self, flow: Flow, step: Step, points: Sequence[Point], lam: Tensor, anchored: Tensor | None
    ) -> Tensor:
        return step_back(flow, self.tableau, step.plan, points, lam, anchored)

    def between(
        self, start: Tensor, slopes: list[Tensor], h: float, shares: Sequence[float]
    ) -> Tensor:
        """u(t + share h) for each share, (n, R, Q).

        Of adaptive methods torchdiffeq's quartic a x⁴ + b x³ + c x² + d x + e through both ends,
        their slopes and the midpoint; fixed-step ones have nothing in between.
        """
        t = self.tableau
        if not t.mid:
            return start.unsqueeze(0)
        known = [
            start,
            combine(start, slopes, t.b, h),
            combine(start, slopes, t.mid, h),
            slopes[0],
            slopes[-1],
        ]
        weights = [
            (
                1 - 11 * x**2 + 18 * x**3 - 8 * x**4,
                -5 * x**2 + 14 * x**3 - 8 * x**4,
                16 * x**2 - 32 * x**3 + 16 * x**4,
                h * (x - 4 * x**2 + 5 * x**3 - 2 * x**4),
                h * (x**2 - 3 * x**3 + 2 * x**4),
            )
            for x in shares
        ]
        matrix = torch.tensor(weights, dtype=start.dtype, device=start.device)
        return torch.tensordot(matrix, torch.stack(known), dims=1)


def states_backward(
    recording: Recording, times: Sequence[float], end: Tensor, solver: str, chunk: int
) -> Iterator[Tensor]:
    """Yield the states (R, Q) at `times` from the last, which is `end`, to the first.

    Args:
        chunk: how many may be worked out at once.
    """
    scheme = RungeKuttaScheme(solver)
    yield end
    starts = [0.0, *accumulate(step.plan for step in recording.steps)]
    j = len(times) - 2
    for number, step, _ in recording.backward():
        t, (start, *slopes) = starts[number], step.whole()
        low = j
        while low >= 0 and (number == 0 or times[low] >= t - 1e-9 * times[-1]):
            low -= 1
        while j > low:
            some = range(j, max(low, j - chunk), -1)
            shares = [min(1.0, max(0.0, (times[k] - t) / step.plan)) for k in some]
            yield from scheme.between(start, slopes, step.plan, shares).unbind(0)
            j = some[-1] - 1
