"""The parts of a run. Each writes what it measured into the record; one that fails is told there.

A part is one or more steps, functions of the plan and the record; every step is tried, whatever
became of those before it.
"""

import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from benchmarks import (
    extras,
    flops,
    measure,
    memory,
    operations,
    reference,
    scaling,
    seeds,
    targets,
)
from benchmarks.candidates import CANDIDATES, CAPTURED, Candidate
from benchmarks.problem import HORIZONS, QUICK_HORIZONS, TASKS, Work, cos_mixture
from pipeline.runs.progress import track

THREADS = 1
MANY_TASKS = 1_000  # in a batch, measured on CUDA
QUICK_SHARE_S = 0.05  # wanted seconds of timing in a quick run
Record = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """Where and how thoroughly to measure."""

    device: torch.device
    quick: bool = False

    @property
    def on_gpu(self) -> bool:
        return self.device.type == "cuda"

    @property
    def horizons(self) -> tuple[int, ...]:
        return QUICK_HORIZONS if self.quick else HORIZONS

    @property
    def candidates(self) -> dict[str, Candidate]:
        return CANDIDATES | CAPTURED if self.on_gpu else CANDIDATES

    def share(self, usual: float) -> float:
        """Wanted seconds of one timing."""
        return min(usual, QUICK_SHARE_S) if self.quick else usual


Step = Callable[[Plan, Record], None]


def empty_record() -> Record:
    """What the parts write into, so that a part that fails leaves no gap."""
    return {
        "entries": [],
        "machine_gflops": {},
        "many_tasks": {"tasks": MANY_TASKS, "entries": []},
        "scaling": [],
        "extras": {},
        "operations": [],
        "failures": {},
        "took": {},
    }


def parts_of(plan: Plan) -> list[str]:
    """What a whole run measures on its device."""
    return [name for name in PARTS if plan.on_gpu or name not in GPU_PARTS]


def run_parts(plan: Plan, record: Record, names: Iterable[str]) -> None:
    """Run parts by name; `failures` holds what raised, `took` the seconds of each part."""
    for name in names:
        began = time.perf_counter()
        for step in PARTS[name]:
            try:
                step(plan, record)
            except Exception as error:  # the other measurements are worth having
                traceback.print_exc(file=sys.stderr)
                title = f"{name}, {step.__name__}"
                record["failures"][title] = f"{type(error).__name__}: {error}"
        record["took"][name] = time.perf_counter() - began


def machine_rates(plan: Plan, record: Record) -> None:
    record["machine_gflops"] = flops.machine_rates(plan.device)


def over_horizons(plan: Plan, record: Record) -> None:
    work = cos_mixture(device=plan.device)
    record["entries"] = measure.over_horizons(
        work,
        plan.horizons,
        reference.load(work),
        never_skip=set() if plan.on_gpu else targets.ALWAYS_MEASURED,
        candidates=plan.candidates,
        share=plan.share(measure.SHARE_S),
    )
    _add_rates(record["entries"], work)


def peak_memory(plan: Plan, record: Record) -> None:
    """Of all that was timed; by itself it times once, to know what takes too long."""
    if not record["entries"]:
        record["entries"] = measure.over_horizons(
            cos_mixture(device=plan.device),
            plan.horizons,
            {},
            candidates=plan.candidates,
            share=0.0,
            fewest=1,
        )
    _add_peaks(record["entries"], plan.device)


def many_tasks(plan: Plan, record: Record) -> None:
    """Our methods on a large batch; there is no reference solution for it."""
    work = cos_mixture(MANY_TASKS, device=plan.device)
    ours = {name: found for name, found in plan.candidates.items() if found.kind == "ours"}
    entries = measure.over_horizons(
        work, plan.horizons, {}, candidates=ours, share=plan.share(measure.SHARE_S)
    )
    record["many_tasks"]["entries"] = entries
    _add_rates(entries, work)
    _add_peaks(entries, plan.device, MANY_TASKS)


def over_tasks(plan: Plan, record: Record) -> None:
    small: dict[str, Any] = {"sizes": (1, 5), "inner_steps": 5} if plan.quick else {}
    record["scaling"] += scaling.over_tasks(plan.device, **small)


def over_parameters(plan: Plan, record: Record) -> None:
    small: dict[str, Any] = {"sizes": (100, 300), "inner_steps": 5} if plan.quick else {}
    record["scaling"] += scaling.over_parameters(plan.device, **small)


def of_our_own(plan: Plan, record: Record) -> None:
    for name, (compare, n_tasks, inner_steps) in extras.COMPARISONS.items():
        record["extras"][name] = compare(
            plan.device,
            n_tasks=n_tasks,
            inner_steps=5 if plan.quick else inner_steps,
            share=plan.share(extras.SHARE_S),
        )


def three_seeds(plan: Plan, record: Record) -> None:
    record["extras"]["three_seeds"] = seeds.three_seeds(
        plan.device,
        inner_steps=5 if plan.quick else None,
        share=plan.share(seeds.SHARE_S),
    )


def by_operation(plan: Plan, record: Record) -> None:
    work = cos_mixture(device=plan.device)
    for name, inner_steps in operations.QUICK_CELLS if plan.quick else operations.CELLS:
        record["operations"].append(operations.entry(work, name, inner_steps))


PARTS: dict[str, tuple[Step, ...]] = {
    "horizons": (machine_rates, over_horizons),
    "memory": (peak_memory,),
    "many-tasks": (many_tasks,),
    "scaling": (over_tasks, over_parameters),
    "extras": (of_our_own, three_seeds),
    "operations": (by_operation,),
}
GPU_PARTS = ("many-tasks",)


def _add_rates(entries: list[dict[str, Any]], work: Work) -> None:
    """GFLOP/s of each entry that was timed."""
    for entry in entries:
        if entry["status"] == "ok":
            found, seconds = entry["counts"], entry["seconds"]["median"]
            entry["gflops"] = flops.rate(work, found["gradients"], found["hvps"], seconds)


def _add_peaks(entries: list[dict[str, Any]], device: torch.device, n_tasks: int = TASKS) -> None:
    """Peak memory of each entry that was timed and does not tell it, from a fresh process."""
    for number in track("memory", 0, len(entries)):
        entry = entries[number]
        if entry["status"] == "ok" and "peak_tensor_bytes" not in entry:
            entry |= memory.peaks(
                entry["candidate"],
                entry["inner_steps"],
                device=str(device),
                seconds=entry["seconds"]["median"],
                threads=THREADS,
                n_tasks=n_tasks,
            )
