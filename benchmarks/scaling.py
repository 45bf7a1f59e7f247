"""How time grows with the number of tasks and with the number of parameters."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from benchmarks.candidates import CANDIDATES, Update
from benchmarks.measure import interleaved, repetitions_for, summary, timed
from benchmarks.problem import TASKS, Work, cos_mixture

CANDIDATE_NAMES = ("amaml_rkc", "amaml", "fomaml")
TASK_COUNTS = (1, 3, 10, 30, 100, 300, 1_000)
PARAMETER_COUNTS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
INNER_STEPS = 50
LONGEST_S = 5.0  # a size whose update is projected to take longer ends the row
COLD_S = 1.0  # a first update that took longer stands for the later ones
SHARE_S = 0.5  # wanted seconds of timing for one candidate at one size


def width_for(parameters: int) -> int:
    """The h of a 2-h-h-1 net, h² + 5h + 1 parameters, that comes closest."""
    return max(1, round((-5 + math.sqrt(25 - 4 * (1 - parameters))) / 2))


def over_tasks(
    device: torch.device, sizes: Sequence[int] = TASK_COUNTS, inner_steps: int = INNER_STEPS
) -> list[dict[str, Any]]:
    """Time against tasks per batch."""
    works = {size: cos_mixture(size, device=device) for size in sizes}
    return _grow("tasks", works, inner_steps)


def over_parameters(
    device: torch.device, sizes: Sequence[int] = PARAMETER_COUNTS, inner_steps: int = INNER_STEPS
) -> list[dict[str, Any]]:
    """Time against the number of parameters."""
    works = {}
    for size in sizes:
        work = cos_mixture(TASKS, hidden=(width_for(size),) * 2, device=device)
        works[work.model.n_parameters] = work
    return _grow("parameters", works, inner_steps)


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> float | None:
    """The e of seconds ~ size^e, least squares on the logarithms; None for fewer than two."""
    if len(sizes) < 2:
        return None
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def _grow(what: str, works: Mapping[int, Work], inner_steps: int) -> list[dict[str, Any]]:
    """One entry per candidate: sizes, times, and the exponent over all and the last decade."""
    found = []
    device = next(iter(works.values())).theta.device
    for name in CANDIDATE_NAMES:
        candidate = CANDIDATES[name]
        entry: dict[str, Any] = {
            "candidate": name,
            "title": candidate.title,
            "against": what,
            "inner_steps": inner_steps,
            "points": [],
            "message": candidate.absent(device),
            "exponent": None,
            "last_decade_exponent": None,
        }
        found.append(entry)
        if entry["message"]:
            continue
        entry["points"], entry["message"] = _points(name, works, inner_steps, what)
        sizes = [point["size"] for point in entry["points"]]
        seconds = [point["seconds"]["median"] for point in entry["points"]]
        entry["exponent"] = exponent(sizes, seconds)
        last = [i for i, size in enumerate(sizes) if size >= 0.09 * max(sizes)]
        entry["last_decade_exponent"] = exponent(
            [sizes[i] for i in last], [seconds[i] for i in last]
        )
    return found


def _points(
    name: str, works: Mapping[int, Work], inner_steps: int, what: str
) -> tuple[list[dict[str, Any]], str | None]:
    """Times by size, repetitions interleaved; and why sizes are missing, if any."""
    updates: dict[int, Update] = {}
    repetitions: dict[int, int] = {}
    before: tuple[int, float] | None = None
    message = None
    device = next(iter(works.values())).theta.device
    for size, work in works.items():
        projected = before[1] * size / before[0] if before else 0.0
        if projected > LONGEST_S:
            message = f"{size} {what} and more skipped: projected to take {projected:.1f} s"
            break
        try:
            update = CANDIDATES[name].make(work, inner_steps)
            first = timed(update.run, device)  # warms up too
            before = (size, first if first > COLD_S else timed(update.run, device))
        except Exception as error:  # out of memory, say: the sizes so far still count
            message = f"{size} {what} and more failed: {type(error).__name__}: {error}"
            break
        updates[size] = update
        repetitions[size] = repetitions_for(before[1], share=SHARE_S, fewest=2)
    runs = {size: update.run for size, update in updates.items()}
    seconds = interleaved(runs, repetitions, device, f"{CANDIDATES[name].title} against {what}")
    points = [{"size": size, "seconds": summary(values)} for size, values in seconds.items()]
    return points, message
