"""The spectral radius of the support Hessian, which decides how many stages a step needs."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pipeline.core.interface import Point
from pipeline.core.seeds import Seeds, put, take
from pipeline.core.solvers.flow import Flow

COLD_ITERATIONS = 30  # power iterations without a direction to start from
WARM_ITERATIONS = 4
CLOSE = 0.08  # relative change between two iterations that ends them
ALIGNED = 0.95  # cosine of v and Hess v that ends them: v is an eigenvector, nearly
MARGIN = 1.1  # power iteration comes from below


@dataclass
class SpectralRadius:
    """Largest |eigenvalue| over each seed's tasks, by power iterations that start warm.

    `direction` (R, Q) and `values`, one a seed, outlive a solve: the next state, and the next
    meta-update, start from them, so that an estimate costs a product or two. Negative curvature
    counts by its size.
    """

    direction: Tensor | None = None
    values: list[float] = field(default_factory=list)

    def estimate(
        self, flow: Flow, seeds: Seeds, u: Tensor, slope: Tensor, point: Point | None
    ) -> list[float]:
        """Slight over-estimates at u, one for each of `seeds`.

        Args:
            u, slope: of all seeds of the flow, (R, Q); the slope is the direction to begin
                with when there is none of its shape.
            point: the loss at u of exactly these seeds, if at hand.
        """
        direction = self.direction
        if direction is None or direction.shape != u.shape or direction.dtype != u.dtype:
            direction, self.values = _unit(slope), [0.0] * flow.seeds
        going, found = seeds, dict.fromkeys(seeds, 0.0)
        tries = {s: WARM_ITERATIONS if self.values[s] else COLD_ITERATIONS for s in seeds}
        last = {s: self.values[s] for s in seeds}
        v = take(direction, going, flow.seeds)
        for turn in range(1, max(tries.values()) + 1):
            part = flow.of(going)
            if point is None:
                point = part.loss.at(take(u, going, flow.seeds))
            image = point.hvp(v)
            for work in getattr(part.loss, "works", ()):
                work.radius_hvps += 1
            norms = torch.linalg.vector_norm(image, dim=1)
            largest, cosines = _largest(norms, (image * v).sum(1).abs() / norms, len(going))
            v = torch.where(norms.unsqueeze(1) > 0, image / norms.unsqueeze(1), v)
            settled = []
            for seed, value, cosine in zip(going, largest, cosines, strict=True):
                if not value > 0:  # flat, or not finite: any radius will do for the solver
                    found[seed] = self.values[seed]
                    settled.append(seed)
                    continue
                found[seed] = value
                close = abs(value - last[seed]) <= CLOSE * value
                aligned = cosine >= ALIGNED and self.values[seed] > 0  # a cold start may mislead
                if close or aligned or turn == tries[seed]:
                    settled.append(seed)
                last[seed] = value
            direction = put(direction, going, v, flow.seeds)
            if settled:
                going = tuple(s for s in going if s not in settled)
                if not going:
                    break
                v, point = take(direction, going, flow.seeds), None
        self.direction = direction
        for seed in seeds:
            self.values[seed] = found[seed]
        return [found[seed] * MARGIN for seed in seeds]


def _largest(norms: Tensor, cosines: Tensor, seeds: int) -> tuple[list[float], list[float]]:
    """The largest norm of each seed's rows, and the cosine in that row: one wait."""
    grouped = norms.view(seeds, -1)
    largest, where = grouped.max(1)
    found = torch.stack([largest, cosines.view(seeds, -1).gather(1, where.unsqueeze(1)).squeeze(1)])
    values, aligned = found.tolist()
    return values, aligned


def _unit(v: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(v, dim=1, keepdim=True)
    return torch.where(norm > 0, v / norm, torch.full_like(v, v.shape[1] ** -0.5))
