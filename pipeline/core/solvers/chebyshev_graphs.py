"""Chebyshev steps and their transposes as captured graphs, one for each number of stages.

The step size is an input, so that a graph serves every step of its stage count. Points are not
kept: the way back makes them from the stages, inside its graph.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pipeline.core.graphs import Graphs
from pipeline.core.interface import Point
from pipeline.core.recording import Step
from pipeline.core.solvers.chebyshev_step import (
    ChebyshevScheme,
    Front,
    Plan,
    Tried,
    step,
    step_back,
)
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.step_control import relative_size


@dataclass(frozen=True)
class Captured(ChebyshevScheme):
    """The steps of one seed's flow over graphs."""

    flow: Flow
    graphs: Graphs
    rtol: float
    atol: float

    def attempt(self, front: Front, plan: Plan) -> Tried:
        """Try the step of a plan, without points."""
        (stages,), (h,) = plan.stages, plan.sizes

        def run(u: Tensor, slope: Tensor, size: Tensor, *own: Tensor) -> Sequence[Tensor]:
            flow, sized = self._on(own), Plan((0,), (size,), (stages,))  # type: ignore[arg-type]
            inner, _, end = step(flow, u, None, slope, sized, keep=False)
            end_slope = flow.descent(flow.loss.at(end), end)
            defect = (slope + end_slope).mul_(-0.4 * size).add_(u, alpha=0.8).sub_(end, alpha=0.8)
            error = relative_size(flow, defect, end, self.rtol, self.atol).amax()
            return [end, end_slope, error, *inner]

        end, end_slope, error, *inner = self.graphs.run(
            ("chebyshev", stages, *self._key()),
            run, front.u, front.slope, _number(h, front.u), *self._own(),
        )  # fmt: skip
        # cloned, for the next run of this graph writes over its outputs
        kept = [y.clone() for y in inner]
        return Tried(plan, kept, [], end.clone(), end_slope.clone(), [float(error)], None)

    def back(
        self, flow: Flow, step: Step, points: Sequence[Point], lam: Tensor, anchored: Tensor | None
    ) -> Tensor:
        (stages,), (h,) = step.plan.stages, step.plan.sizes

        def run(lam: Tensor, size: Tensor, *given: Tensor) -> Sequence[Tensor]:
            states, own = given[:stages], given[stages:]
            flow, sized = self._on(own), Plan((0,), (size,), (stages,))  # type: ignore[arg-type]
            points = [flow.loss.at(state) for state in states]
            anchored = torch.zeros_like(lam)
            lam = step_back(flow, sized, points, lam, anchored if flow.regulariser else None)
            return [lam, anchored]

        lam, through_anchor = self.graphs.run(
            ("chebyshev back", stages, *self._key()),
            run, lam, _number(h, lam), *step.whole(), *self._own(),
        )  # fmt: skip
        if anchored is not None:
            anchored += through_anchor
        return lam.clone()

    def _key(self) -> tuple[object, ...]:
        flow = self.flow
        return self.rtol, self.atol, flow.regulariser, flow.uniform, flow.left_out is None

    def _own(self) -> list[Tensor]:
        """Tensors of the flow that change from one meta-update to the next."""
        own = [self.flow.anchor, self.flow.rate]
        return own if self.flow.left_out is None else [*own, self.flow.left_out]

    def _on(self, own: Sequence[Tensor]) -> Flow:
        anchor, rate, *rest = own
        return replace(
            self.flow, anchor=anchor, rate=rate, left_out=rest[0] if rest else None, _parts={}
        )


def _number(value: float, like: Tensor) -> Tensor:
    return torch.full((), value, dtype=like.dtype, device=like.device)
