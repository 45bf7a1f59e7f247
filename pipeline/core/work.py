"""Counts of the work a meta-gradient took: each call is for a seed's whole meta-batch at once."""

from dataclasses import dataclass


@dataclass
class Work:
    """Evaluations, each of all tasks of a seed's batch together.

    `gradients` counts inner-loss and query-loss gradients, `hvps` Hessian-vector products,
    `radius_hvps` those of them that estimate the spectral radius, `accepted`/`rejected` solver
    steps, `kept_states` states (B, Q) stored for the way back, `kept_bytes` the most that a
    recording under a budget was predicted to take at once.
    """

    gradients: int = 0
    hvps: int = 0
    radius_hvps: int = 0
    accepted: int = 0
    rejected: int = 0
    kept_states: int = 0
    kept_bytes: int = 0

    def add(self, other: "Work") -> None:
        """Add another count to this one; of bytes, keep the larger."""
        self.kept_bytes = max(self.kept_bytes, other.kept_bytes)
        for name in self.__dataclass_fields__.keys() - {"kept_bytes"}:
            setattr(self, name, getattr(self, name) + getattr(other, name))
