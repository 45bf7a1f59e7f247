"""Time, counts and error of every candidate over the horizons, repetitions interleaved."""

import gc
import statistics
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from benchmarks.candidates import CANDIDATES, Candidate, Update, counts
from benchmarks.problem import Work
from benchmarks.reference import compare
from pipeline.runs.progress import track

LONGEST_S = 3.0  # a candidate whose update is projected to take longer is skipped
SHARE_S = 1.5  # wanted seconds of timing for one candidate at one horizon
FEWEST, MOST = 3, 25  # repetitions


def synchronise(device: torch.device) -> None:
    """Wait for a GPU to finish."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Seconds of one call."""
    gc.collect()
    synchronise(device)
    started = time.perf_counter()
    run()
    synchronise(device)
    return time.perf_counter() - started


def interleaved(
    runs: Mapping[Any, Callable[[], object]],
    repetitions: Mapping[Any, int],
    device: torch.device,
    title: str,
) -> dict[Any, list[float]]:
    """Seconds of each call, one after the other in turn; those with fewer spread out evenly."""
    seconds: dict[Any, list[float]] = {key: [] for key in runs}
    gc.freeze()  # what was there before need not be looked at again before each call
    rounds = max(repetitions.values(), default=0)
    for turn in track(title, 0, rounds):
        for key, run in runs.items():
            wanted = repetitions[key]
            if (turn + 1) * wanted // rounds > turn * wanted // rounds:
                seconds[key].append(timed(run, device))
    return seconds


def repetitions_for(seconds: float, *, share: float = SHARE_S, fewest: int = FEWEST) -> int:
    """How often a call of this length is repeated."""
    return max(fewest, min(MOST, round(share / max(seconds, 1e-9))))


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = (
        statistics.quantiles(seconds, n=4, method="inclusive")
        if len(seconds) > 1
        else [seconds[0]] * 3
    )
    return {"median": middle, "q1": low, "q3": high, "repetitions": len(seconds)}


def over_horizons(
    work: Work,
    horizons: Sequence[int],
    exact: Mapping[tuple[int, str], Tensor],
    *,
    never_skip: Collection[tuple[str, int]] = (),
    candidates: Mapping[str, Candidate] = CANDIDATES,
    share: float = SHARE_S,
    fewest: int = FEWEST,
) -> list[dict[str, Any]]:
    """One entry per candidate and horizon (in gradient-descent steps).

    Args:
        exact: (inner steps, objective) -> reference gradient; without one, no error is given.
        never_skip: (candidate, inner steps) that are measured however long they take.
        share, fewest: wanted seconds of timing for each, and repetitions at least.
    """
    device = work.theta.device
    entries: list[dict[str, Any]] = []
    latest: dict[str, tuple[int, float]] = {}  # candidate -> inner steps, seconds
    for inner_steps in horizons:
        updates: dict[str, Update] = {}
        repetitions: dict[str, int] = {}
        found: dict[str, dict[str, Any]] = {}
        for name, candidate in candidates.items():
            found[name] = _entry(candidate, inner_steps)
            if reason := candidate.absent(device):
                found[name] |= {"status": "absent", "message": reason}
                continue
            projected = _projected(latest.get(name), inner_steps)
            if projected > LONGEST_S and (name, inner_steps) not in never_skip:
                found[name] |= {
                    "status": "skipped",
                    "message": f"projected to take {projected:.1f} s, limit {LONGEST_S:g} s",
                    "projected_seconds": projected,
                }
                continue
            try:
                update = candidate.make(work, inner_steps)
                first = timed(update.run, device)  # untimed by the record: warms up
                found[name] |= _result(candidate, update, inner_steps, exact)
            except Exception as error:  # a peer that breaks is a finding, not a crash
                message = f"{type(error).__name__}: {error}".split("\n")[0]
                found[name] |= {"status": _how_it_ended(error), "message": message}
                continue
            updates[name] = update
            repetitions[name] = repetitions_for(first, share=share, fewest=fewest)
        runs = {name: update.run for name, update in updates.items()}
        seconds = interleaved(runs, repetitions, device, f"{inner_steps} steps")
        for name, values in seconds.items():
            found[name]["seconds"] = summary(values)
            latest[name] = (inner_steps, found[name]["seconds"]["median"])
        entries += found.values()
    return entries


def _how_it_ended(error: Exception) -> str:
    """`out of memory`, which a long horizon is expected to end in, or `failed`."""
    full = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return "out of memory" if full else "failed"


def _entry(candidate: Candidate, inner_steps: int) -> dict[str, Any]:
    return {
        "candidate": candidate.name,
        "title": candidate.title,
        "kind": candidate.kind,
        "objective": candidate.objective,
        "inner_steps": inner_steps,
        "status": "ok",
        "message": None,
        "seconds": None,
    }


def _projected(latest: tuple[int, float] | None, inner_steps: int) -> float:
    """Seconds if the time grows with the number of steps; 0 before anything is known."""
    return latest[1] * inner_steps / latest[0] if latest else 0.0


def _result(
    candidate: Candidate,
    update: Update,
    inner_steps: int,
    exact: Mapping[tuple[int, str], Tensor],
) -> dict[str, Any]:
    """Counts and error of the last update; of a compiled one what its compiler tells."""
    result: dict[str, Any] = {"counts": asdict(counts(candidate, update, inner_steps))}
    result |= getattr(update, "compiled", {})
    reference = exact.get((inner_steps, candidate.objective or ""))
    if reference is not None:
        result |= compare(update.gradient(), reference)
    return result
