"""What outlives a Chebyshev solve, so that the next one starts warm."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from pipeline.core.seeds import take
from pipeline.core.solvers.spectral import SpectralRadius


@dataclass
class ChebyshevMemory:
    """The spectral radius and the first step's size, of each seed.

    It saves work and changes results within the tolerance only.
    """

    radius: SpectralRadius = field(default_factory=SpectralRadius)
    first_steps: list[float] = field(default_factory=list)  # 0: none yet

    def fit(self, seeds: int) -> None:
        """Forget what belongs to another number of seeds."""
        if len(self.first_steps) != seeds:
            self.first_steps = [0.0] * seeds
        if len(self.radius.values) != seeds:
            self.radius.direction, self.radius.values = None, [0.0] * seeds

    def snapshot(self) -> "ChebyshevMemory":
        """What is remembered now; a solve replaces these numbers and tensors, it changes none."""
        radius = SpectralRadius(self.radius.direction, list(self.radius.values))
        return ChebyshevMemory(radius, list(self.first_steps))

    def keep(self, seeds: Sequence[int]) -> None:
        """Go on with these seeds only."""
        of = len(self.radius.values)
        if self.radius.direction is not None:
            self.radius.direction = take(self.radius.direction, tuple(seeds), of)
        if of:
            self.radius.values = [self.radius.values[seed] for seed in seeds]
            self.first_steps = [self.first_steps[seed] for seed in seeds]

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint needs, so that a resumed run repeats every bit."""
        direction = self.radius.direction
        return {
            "direction": None if direction is None else direction.cpu().clone(),
            "values": list(self.radius.values),
            "first_steps": list(self.first_steps),
        }

    def load_state_dict(self, state: dict[str, Any], like: Tensor) -> None:
        """Go on from a checkpoint, on the device of `like`."""
        direction = state["direction"]
        self.radius.direction = None if direction is None else direction.to(like.device)
        self.radius.values = list(state["values"])
        self.first_steps = list(state["first_steps"])
