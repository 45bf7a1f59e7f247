"""Where the time of a warm meta-update goes: by operation, and outside of operations.

`python -m benchmarks.operations [--inner-steps 500] [--candidate amaml_rkc] [--device cpu]`

An operation's self time is its time less that of the operations it calls; on CUDA the
operations are the kernels on the device. The profiler itself takes time, within operations and
around them, so what happens outside (Python, dispatch; on CUDA the device waiting) has bounds:
with plain and profiled times W and W_p and S spent in operations, at least 1 - S/W, were all of
the profiler's time spent outside, and at most 1 - S/W_p for the profiled update as it ran.
"""

import argparse
import gc
import os
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.candidates import CANDIDATES, CAPTURED
from benchmarks.measure import repetitions_for, timed
from benchmarks.problem import Work, cos_mixture
from benchmarks.table import table
from pipeline.runs.device import keep_freed_memory
from pipeline.runs.progress import track

CELLS = (("amaml_rkc", 500), ("fomaml", 500), ("amaml_rkc", 5_000), ("fomaml", 5_000))
QUICK_CELLS = (("amaml_rkc", 5), ("fomaml", 5))
TOP = 12  # operations listed by name
SHARE_S = 0.5  # wanted seconds of updates without the profiler, as many with it
MOST = 5  # of these
Span = tuple[int, int, int, str]  # thread, start and end in ns, name


def entry(work: Work, name: str, inner_steps: int) -> dict[str, Any]:
    """Shares of a meta-update of candidate `name`, or the message why there are none."""
    candidate = (CANDIDATES | CAPTURED)[name]
    head = {"candidate": name, "title": candidate.title, "inner_steps": inner_steps}
    if reason := candidate.absent(work.theta.device):
        return head | {"message": reason}
    update = candidate.make(work, inner_steps)
    found = shares(update.run, work.theta.device)
    message = None if found["rows"] else "runs no operation that torch's profiler records"
    return head | {"message": message} | found


def shares(run: Callable[[], object], device: torch.device) -> dict[str, Any]:
    """Where the time of `run` goes: means over calls without and with the profiler in turn.

    Returns:
        seconds (without the profiler), profiled_seconds, rounds, calls, operation_seconds,
        outside (least and most, shares of the time), rows (name, calls, seconds, share of all
        operations' self time; the last one holds what is not listed by name).
    """
    run()  # a method that remembers is warm after its first update
    rounds = min(MOST, repetitions_for(timed(run, device), share=SHARE_S, fewest=2))
    gc.freeze()  # as `measure.interleaved` does
    plain = profiled = 0.0
    by_name: dict[str, tuple[int, int]] = {}
    for _ in track("operations", 0, rounds):
        plain += timed(run, device) / rounds
        seconds, spans = _profiled(run, device)
        profiled += seconds / rounds
        for name, (calls, total) in self_times(spans).items():
            before = by_name.get(name, (0, 0))
            by_name[name] = (before[0] + calls, before[1] + total)
    inside = sum(total for _, total in by_name.values()) / 1e9 / rounds
    bounds = sorted(max(0.0, 1 - inside / seconds) for seconds in (plain, profiled))
    return {
        "seconds": plain,
        "profiled_seconds": profiled,
        "rounds": rounds,
        "calls": sum(calls for calls, _ in by_name.values()) / rounds,
        "operation_seconds": inside,
        "outside": dict(zip(("least", "most"), bounds, strict=True)),
        "rows": _rows(by_name, rounds),
    }


def self_times(spans: Iterable[Span]) -> dict[str, tuple[int, int]]:
    """name -> calls, self time in ns: a span's length less that of the spans right within it.

    What calls another one of its own name counts once.
    """
    calls: dict[str, int] = defaultdict(int)
    total: dict[str, int] = defaultdict(int)
    around: list[Span] = []  # spans not yet ended, the innermost last
    for span in sorted(spans, key=lambda s: (s[0], s[1], -s[2])):
        thread, start, end, name = span
        while around and (around[-1][0] != thread or around[-1][2] <= start):
            around.pop()
        # mul of a number calls mul of a tensor: one call
        calls[name] += not around or around[-1][3] != name
        total[name] += end - start
        if around:
            total[around[-1][3]] -= end - start
        around.append(span)
    return {name: (calls[name], total[name]) for name in calls}


def _profiled(run: Callable[[], object], device: torch.device) -> tuple[float, list[Span]]:
    """Seconds of a call under the profiler, and its operations."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it would talk on standard error
    on_gpu = device.type == "cuda"
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
    where = DeviceType.CUDA if on_gpu else DeviceType.CPU
    with profile(activities=activities) as recorded:
        seconds = timed(run, device)
    spans = [
        (event.device_resource_id() if on_gpu else event.start_thread_id(), *_times(event))
        for event in recorded.profiler.kineto_results.events()
        # an annotation, as of Adam's step, holds Python
        if event.device_type() == where and not event.is_user_annotation()
    ]
    return seconds, spans


def _times(event: Any) -> tuple[int, int, str]:
    start = event.start_ns()
    return start, start + event.duration_ns(), event.name()


def _rows(by_name: dict[str, tuple[int, int]], rounds: int) -> list[dict[str, Any]]:
    """The longest by name and the rest as one row; calls and seconds of one update."""
    every = sum(total for _, total in by_name.values())
    ordered = sorted(by_name.items(), key=lambda item: -item[1][1])
    listed = [(name, calls, total) for name, (calls, total) in ordered[:TOP]]
    if rest := [found for _, found in ordered[TOP:]]:
        title = f"{len(rest)} others"
        listed.append((title, sum(calls for calls, _ in rest), sum(total for _, total in rest)))
    return [
        {
            "name": name,
            "calls": calls / rounds,
            "seconds": total / 1e9 / rounds,
            "share": total / every if every else 0.0,
        }
        for name, calls, total in listed
    ]


def text(entries: Iterable[dict[str, Any]]) -> str:
    """A table for each entry."""
    return "\n\n".join(_table(found) for found in entries)


def _table(found: dict[str, Any]) -> str:
    head = f"{found['title']}, {found['inner_steps']:,} steps"
    if found["message"]:
        return f"{head}: {found['message']}"
    ms, profiled = 1e3 * found["seconds"], 1e3 * found["profiled_seconds"]
    outside = found["outside"]
    return "\n".join(
        [
            table(
                f"{head}: {ms:.3g} ms; under the profiler {profiled:.3g} ms",
                ["self time by operation", "calls", "ms", "share"],
                (
                    [
                        row["name"][:48],
                        f"{row['calls']:,.0f}",
                        f"{1e3 * row['seconds']:.3g}",
                        f"{row['share']:.1%}",
                    ]
                    for row in found["rows"]
                ),
            ),
            f"outside of operations: {outside['least']:.0%} to {outside['most']:.0%} of the time",
        ]
    )


def main() -> None:
    """Parse the command line, measure one update and print its table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.operations", description=__doc__)
    parser.add_argument("--inner-steps", type=int, default=500)
    parser.add_argument("--candidate", default="amaml_rkc", choices=sorted(CANDIDATES | CAPTURED))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    work = cos_mixture(device=arguments.device)
    print(text([entry(work, arguments.candidate, arguments.inner_steps)]))


if __name__ == "__main__":
    main()
