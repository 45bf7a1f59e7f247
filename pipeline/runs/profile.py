"""Memory and time of one meta-update against the number of inner steps (Figures 3 and 4).

Each number of steps is measured in a fresh process: one meta-update to warm up, one whose
tensor allocations are recorded, then the timed ones. What runs out of memory is a point too.
"""

import multiprocessing
import os
import signal
import statistics
import sys
import threading
import time
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as record_profile

from pipeline.core import MLP, TaskBatch, meta_gradient
from pipeline.data.families import PROFILED
from pipeline.data.synthetic import draw_tasks
from pipeline.errors import BadInput
from pipeline.runs.checks import check_profile_recipe
from pipeline.runs.device import DTYPES, choose_device, device_name, keep_freed_memory
from pipeline.runs.progress import track
from pipeline.runs.recipe import Recipe
from pipeline.seals import write_sealed

POINTS = 100  # support and query rows of each task, half each
LIMIT_S = 900.0  # seconds for one number of steps


def profile(recipe: Recipe, out: Path, *, device: str = "auto", threads: int = 1) -> None:
    """Measure every number of inner steps of `recipe` and write the JSON record `out`.

    Raises:
        BadInput: for a recipe that lacks something, settings that the method refuses, or a
            device that is not there.
    """
    check_profile_recipe(recipe)
    place = choose_device(device)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # read by children: no USDT lines on stderr
    context: Any = multiprocessing.get_context(_start_method(place))
    context.set_forkserver_preload(["pipeline.core", "pipeline.runs.profile"])
    entries = []
    points = sorted(recipe["settings"].items(), key=lambda item: int(item[0]))
    for number in track(f"profile of {recipe['label']}: point", 0, len(points), str):
        steps, settings = points[number]
        receiver, sender = context.Pipe(duplex=False)
        child = context.Process(
            target=_measure, args=(sender, recipe, settings, device, threads), daemon=True
        )
        child.start()
        sender.close()
        answer = _receive(receiver, child)
        if answer["status"] == "refused":
            raise BadInput(f"recipe: settings.{steps}: {answer['message']}")
        entries.append({"inner_steps": int(steps), **answer})
    write_sealed(
        out,
        {
            "spec": recipe,
            "method": recipe["method"],
            "label": recipe["label"],
            "device": device_name(place),
            "threads": threads,
            "entries": entries,
        },
    )


def _start_method(place: torch.device) -> str:
    """How to get processes that have torch loaded and have done nothing with it.

    This process has done nothing with it, unless it has asked for a GPU; a second one loads torch
    again, which takes longer than most profiles.
    """
    return "fork" if sys.platform == "linux" and place.type == "cpu" else "forkserver"


def tensor_peak(update: Any, device: torch.device) -> int:
    """Bytes of tensors alive at the worst moment of `update()`, beyond those before it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        update()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with record_profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        update()
    changes = [
        (event.start_ns(), event.nbytes())
        for event in recorded.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    alive = peak = 0
    for _, change in sorted(changes, key=lambda pair: pair[0]):
        alive += change
        peak = max(peak, alive)
    return peak


def _measure(
    sender: Connection, recipe: Recipe, settings: dict[str, Any], wanted: str, threads: int
) -> None:
    """In a child: send what one number of steps costs, or why that could not be measured."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer = _cost(recipe, settings, wanted, threads)
    except (MemoryError, RuntimeError) as error:
        full = isinstance(error, MemoryError | torch.OutOfMemoryError) or "memory" in str(error)
        answer = _failure("out_of_memory" if full else "failed", str(error).split("\n")[0])
    except FloatingPointError as error:
        answer = _failure("failed", str(error))
    except ValueError as error:  # settings that only the method itself can judge
        answer = _failure("refused", str(error))
    sender.send(answer)


def _end_with_parent() -> None:
    """Kill this process when the job that asked for it is gone, however that ended.

    A fork server, whose child this may be, ends when it has neither.
    """
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os.kill(os.getpid(), signal.SIGKILL)


def _cost(recipe: Recipe, settings: dict[str, Any], wanted: str, threads: int) -> dict[str, Any]:
    """Peak bytes and median seconds of a meta-update."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    place = choose_device(wanted)
    dtype = DTYPES[recipe["dtype"]]
    model = MLP(2, recipe["hidden"])
    theta = model.init(torch.Generator().manual_seed(0), dtype=dtype, device=place)
    batch = work_batch(recipe["meta_batch"], dtype, place)

    def update() -> None:
        meta_gradient(recipe["method"], model, theta, batch, **settings)
        if place.type == "cuda":
            torch.cuda.synchronize(place)

    update()
    peak = tensor_peak(update, place)
    seconds = []
    for _ in range(recipe["repeats"]):
        started = time.perf_counter()
        update()
        seconds.append(time.perf_counter() - started)
    return {
        "status": "ok",
        "seconds": statistics.median(seconds),
        "peak_bytes": peak,
        "message": None,
    }


def _receive(receiver: Connection, child: Any) -> dict[str, Any]:
    """The child's answer; a child that was killed ran out of memory."""
    try:
        if receiver.poll(LIMIT_S):
            answer: dict[str, Any] = receiver.recv()
        else:
            answer = _failure("failed", f"took longer than {LIMIT_S:g} s")
            child.kill()
    except EOFError:
        child.join()
        killed = child.exitcode == -9
        answer = _failure(
            "out_of_memory" if killed else "failed", f"process ended with {child.exitcode}"
        )
    child.join()
    return answer


def _failure(status: str, message: str) -> dict[str, Any]:
    return {"status": status, "seconds": None, "peak_bytes": None, "message": message}


def work_batch(n_tasks: int, dtype: torch.dtype, device: torch.device) -> TaskBatch:
    """A standardised meta-batch of one family's tasks, 50 support and 50 query rows each."""
    drawn = draw_tasks(
        PROFILED.name,
        n_train=n_tasks,
        n_test=0,
        points=POINTS,
        generator=np.random.default_rng(0),
    )
    x = drawn.rows[["x0", "x1"]].to_numpy().reshape(n_tasks, POINTS, 2)
    y = drawn.rows["y"].to_numpy().reshape(n_tasks, POINTS)
    x = (x - x.mean((0, 1))) / x.std((0, 1))
    y = (y - y.mean()) / y.std()
    half = POINTS // 2
    return TaskBatch.from_arrays(
        x[:, :half], y[:, :half], x[:, half:], y[:, half:], dtype=dtype, device=device
    )
