"""Peak memory of one meta-update, each in a fresh process.

`peak_tensor_bytes`: tensors alive at the worst moment, beyond those before the update (on the
CPU from the profiler's record, which is left out for long updates, where it would not fit in
memory itself). `peak_process_bytes`: growth of the process's peak resident memory, CPU only.
"""

import multiprocessing
import os
import resource
import sys
from multiprocessing.connection import Connection
from typing import Any

import torch

from benchmarks.candidates import CANDIDATES, CAPTURED
from benchmarks.problem import cos_mixture
from pipeline.runs.profile import tensor_peak

LIMIT_S = 180.0
LONGEST_PROFILED_S = 1.0  # seconds of an update whose allocations are still recorded on the CPU
WARM_UP_STEPS = 2
PRELOAD = ["pipeline.runs.profile", "torch._dynamo", "benchmarks.memory"]  # Adam wants dynamo
_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, in bytes


def peaks(
    name: str, inner_steps: int, *, device: str, seconds: float, threads: int, n_tasks: int
) -> dict[str, Any]:
    """Measure candidate `name`; `seconds` is what one update takes."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(
        target=_measure,
        args=(sender, name, inner_steps, device, seconds, threads, n_tasks),
        daemon=True,
    )
    child.start()
    sender.close()
    try:
        if receiver.poll(LIMIT_S):
            answer: dict[str, Any] = receiver.recv()
        else:
            child.kill()
            answer = {"memory_message": f"took longer than {LIMIT_S:g} s"}
    except EOFError:
        child.join()
        answer = {"memory_message": f"the process ended with {child.exitcode}"}
    child.join()
    return answer


def _measure(
    sender: Connection,
    name: str,
    inner_steps: int,
    device: str,
    seconds: float,
    threads: int,
    n_tasks: int,
) -> None:
    torch.set_num_threads(threads)
    place = torch.device(device)
    work = cos_mixture(n_tasks, device=place)
    candidate = (CANDIDATES | CAPTURED)[name]
    answer: dict[str, Any] = {"peak_tensor_bytes": None, "peak_process_bytes": None}
    try:
        candidate.make(work, WARM_UP_STEPS).run()
        update = candidate.make(work, inner_steps)
        if place.type == "cpu":
            before = _peak_process()
            update.run()
            answer["peak_process_bytes"] = _peak_process() - before
        if place.type == "cuda" or seconds <= LONGEST_PROFILED_S:
            _hush()
            answer["peak_tensor_bytes"] = tensor_peak(update.run, place)
    except Exception as error:  # out of memory, or a peer that breaks: a finding
        answer["memory_message"] = f"{type(error).__name__}: {error}".split("\n")[0]
    sender.send(answer)


def _hush() -> None:
    """No more output: the profiler talks on standard error, several lines a process."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _peak_process() -> int:
    """Bytes: the highest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT
