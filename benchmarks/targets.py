"""What this project wants to reach on one CPU thread in float32, and what was reached."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SECONDS, ERROR, MEMORY = "seconds", "relative_error", "peak_tensor_bytes"
Cell = tuple[str, int]  # candidate, inner steps


@dataclass(frozen=True)
class Target:
    """A figure of the record, or the ratio of two, and the bound on it."""

    title: str
    sign: str  # ">=" or "<="
    wanted: float
    what: str  # a field of the entries, or the name of an extra
    cell: Cell | None = None
    over: Cell | None = None

    def reached(self, record: Mapping[str, Any]) -> float | None:
        """None when it was not measured."""
        if self.cell is None:
            found: float | None = record["extras"].get(self.what, {}).get("ratio")
            return found
        value = _field(record, self.cell, self.what)
        if self.over is None or value is None:
            return value
        below = _field(record, self.over, self.what)
        return value / below if below else None

    def holds(self, value: float) -> bool:
        return value >= self.wanted if self.sign == ">=" else value <= self.wanted


def _times(slower: str, steps: int, wanted: float, faster: str = "amaml_rkc") -> Target:
    """`slower` takes `wanted` times as long as `faster`, or more."""
    return Target(
        f"time of {slower} / {faster}, {steps:,} steps",
        ">=",
        wanted,
        SECONDS,
        (slower, steps),
        (faster, steps),
    )


TARGETS = (
    _times("fomaml", 500, 3),
    _times("fomaml_loop", 500, 30),
    _times("jax_fomaml", 500, 2),
    _times("torchopt", 500, 80),
    _times("higher", 500, 80),
    _times("amaml", 500, 8),
    _times("amaml_prototype", 500, 1.8, "amaml"),
    Target("error of amaml_rkc, rtol 1e-3, 500 steps", "<=", 1.2e-2, ERROR, ("amaml_rkc", 500)),
    Target(
        "error of amaml_rkc, rtol 1e-4, 500 steps", "<=", 2.8e-3, ERROR, ("amaml_rkc_tight", 500)
    ),
    _times("fomaml", 5_000, 9),
    Target("error of amaml_rkc, rtol 1e-3, 5,000 steps", "<=", 1e-2, ERROR, ("amaml_rkc", 5_000)),
    _times("fomaml_loop", 5_000, 80),
    _times("jax_fomaml", 5_000, 4),
    Target(
        "time of amaml_rkc, 5,000 / 500 steps",
        "<=",
        3.5,
        SECONDS,
        ("amaml_rkc", 5_000),
        ("amaml_rkc", 500),
    ),
    Target(
        "peak tensor memory of amaml_rkc, 5,000 / 50",
        "<=",
        3,
        MEMORY,
        ("amaml_rkc", 5_000),
        ("amaml_rkc", 50),
    ),
    Target("time of 3 seeds in one job / one seed", "<=", 1.7, "three_seeds"),
    Target("time with one-hot rows / item indices", ">=", 1.5, "index_against_dense"),
)
ALWAYS_MEASURED = {
    cell
    for target in TARGETS
    if target.what == SECONDS
    for cell in (target.cell, target.over)
    if cell is not None
}


def outcome(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row per target: title, sign, wanted, reached, holds (None where not measured)."""
    rows = []
    for target in TARGETS:
        value = target.reached(record)
        rows.append(
            {
                "title": target.title,
                "sign": target.sign,
                "wanted": target.wanted,
                "reached": value,
                "holds": None if value is None else target.holds(value),
            }
        )
    return rows


def _field(record: Mapping[str, Any], cell: Cell, what: str) -> float | None:
    for entry in record["entries"]:
        if (entry["candidate"], entry["inner_steps"]) == cell:
            value = entry.get(what)
            found: float | None = value["median"] if isinstance(value, dict) else value
            return found
    return None
