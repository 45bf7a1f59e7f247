"""The spectral radius of the support Hessian, which decides how many stages a step needs."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.core.losses import Point

COLD_ITERATIONS = 30  # power iterations without a direction to start from
WARM_ITERATIONS = 4
CLOSE = 0.08  # relative change between two iterations that ends them
MARGIN = 1.1  # power iteration comes from below


@dataclass
class SpectralRadius:
    """Largest |eigenvalue| over a batch of tasks, by power iterations that start warm.

    `direction` (B, P) and `value` outlive a solve: the next state, and the next meta-update,
    start from them, so that an estimate costs a product or two. Negative curvature counts by
    its size.
    """

    direction: Tensor | None = None
    value: float = 0.0

    def estimate(self, point: Point, start: Tensor) -> float:
        """A slight over-estimate at `point`.

        Args:
            start: (B, P), the direction to begin with when there is none of its shape; the
                gradient, say.
        """
        v = self.direction
        cold = v is None or v.shape != start.shape or v.dtype != start.dtype
        if cold or v is None:
            v = _unit(start)
        last = 0.0 if cold else self.value
        for _ in range(COLD_ITERATIONS if cold else WARM_ITERATIONS):
            image = point.hvp(v)
            norms = torch.linalg.vector_norm(image, dim=1)
            found = float(norms.max())
            if not found > 0:  # a flat loss, or not finite: any radius will do for the solver
                return self.value * MARGIN
            v = torch.where(norms.unsqueeze(1) > 0, image / norms.unsqueeze(1), v)
            if abs(found - last) <= CLOSE * found:
                break
            last = found
        self.direction, self.value = v, found
        return found * MARGIN


def _unit(v: Tensor) -> Tensor:
    norm = torch.linalg.vector_norm(v, dim=1, keepdim=True)
    return torch.where(norm > 0, v / norm, torch.full_like(v, v.shape[1] ** -0.5))
