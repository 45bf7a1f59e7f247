"""Measure, print the tables, write the record and the figure."""

import argparse
import platform
import re
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks import (
    extras,
    figure,
    flops,
    measure,
    memory,
    reference,
    report,
    scaling,
    seeds,
    targets,
)
from benchmarks.candidates import CANDIDATES, CAPTURED, Candidate
from benchmarks.problem import HORIZONS, QUICK_HORIZONS, ROWS, TASKS, Work, cos_mixture
from pipeline.devices import choose_device, device_name, environment
from pipeline.errors import BadInput
from pipeline.files import write_json
from pipeline.progress import track

RESULTS = Path(__file__).with_name("results")
THREADS = 1
MANY_TASKS = 1_000  # in a batch, measured on CUDA


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--quick", action="store_true", help="seconds: one short horizon")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of record and figure")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    try:
        device = choose_device(arguments.device)
    except BadInput as error:
        parser.error(str(error))
    record = run(device, quick=arguments.quick)
    stem = arguments.out / re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")
    write_json(stem.with_suffix(".json"), record)
    figure.draw(record, stem)
    print(report.text(record))
    print(f"\nwrote {stem}.json, .svg and .png in {record['took_seconds']:.0f} s")
    broken = [e for e in record["entries"] if (e["kind"], e["status"]) == ("ours", "failed")]
    sys.exit(1 if broken else 0)  # a peer that fails is a finding, a method of ours a fault


def run(device: torch.device, *, quick: bool = False) -> dict[str, Any]:
    """The record of all measurements on `device`."""
    began = time.perf_counter()
    horizons = QUICK_HORIZONS if quick else HORIZONS
    share = 0.05 if quick else measure.SHARE_S
    on_gpu = device.type == "cuda"
    work = cos_mixture(device=device)
    candidates = CANDIDATES | CAPTURED if on_gpu else CANDIDATES
    entries = measure.over_horizons(
        work,
        horizons,
        reference.load(work),
        never_skip=set() if on_gpu else targets.ALWAYS_MEASURED,
        candidates=candidates,
        share=share,
    )
    _complete(entries, work, device)
    record: dict[str, Any] = {
        "device": device_name(device),
        "processor": _processor(),
        **environment(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": _commit(),
        "threads": THREADS,
        "dtype": "float32",
        "tasks": TASKS,
        "rows": ROWS,
        "parameters": work.model.n_parameters,
        "quick": quick,
        "entries": entries,
        "machine_gflops": flops.machine_rates(device),
        "many_tasks": {
            "tasks": MANY_TASKS,
            "entries": _many_tasks(device, horizons, candidates) if on_gpu else [],
        },
        "scaling": (
            scaling.over_tasks(device, (1, 5), 5) + scaling.over_parameters(device, (100, 300), 5)
            if quick
            else scaling.over_tasks(device) + scaling.over_parameters(device)
        ),
        "extras": {
            "three_seeds": (
                seeds.three_seeds(device, inner_steps=5, share=share)
                if quick
                else seeds.three_seeds(device)
            ),
            "index_against_dense": (
                extras.index_against_dense(device, inner_steps=5, share=share)
                if quick
                else extras.index_against_dense(device)
            ),
        },
    }
    record["targets"] = [] if on_gpu else targets.outcome(record)
    record["took_seconds"] = time.perf_counter() - began
    return record


def _many_tasks(
    device: torch.device, horizons: tuple[int, ...], candidates: Mapping[str, Candidate]
) -> list[dict[str, Any]]:
    """Our methods on a large batch; there is no reference solution for it."""
    work = cos_mixture(MANY_TASKS, device=device)
    ours = {name: found for name, found in candidates.items() if found.kind == "ours"}
    entries = measure.over_horizons(work, horizons, {}, candidates=ours)
    _complete(entries, work, device)
    return entries


def _complete(entries: list[dict[str, Any]], work: Work, device: torch.device) -> None:
    """Add GFLOP/s and, from fresh processes, peak memory."""
    for number in track("memory", 0, len(entries)):
        entry = entries[number]
        if entry["status"] != "ok":
            continue
        seconds = entry["seconds"]["median"]
        found = entry["counts"]
        entry["gflops"] = flops.rate(work, found["gradients"], found["hvps"], seconds)
        entry |= memory.peaks(
            entry["candidate"],
            entry["inner_steps"],
            device=str(device),
            seconds=seconds,
            threads=THREADS,
            n_tasks=len(work.batch),
        )


def _commit() -> str | None:
    """The commit of the checkout, with `-dirty` when files differ from it; None without git."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return found.stdout.strip()


def _processor() -> str:
    """The processor's name, as far as the system tells it."""
    listing = Path("/proc/cpuinfo")
    if listing.exists():
        for line in listing.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
