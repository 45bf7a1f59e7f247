"""Measure, print the tables, write the record and the figure."""

import argparse
import math
import platform
import re
import subprocess
import sys
import time
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks import figure, report, targets
from benchmarks.parts import PARTS, THREADS, Plan, Record, empty_record, parts_of, run_parts
from benchmarks.problem import ROWS, TASKS, cos_mixture
from pipeline.errors import BadInput
from pipeline.files import write_json
from pipeline.runs.device import choose_device, device_name, environment, keep_freed_memory

RESULTS = Path(__file__).with_name("results")


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--quick", action="store_true", help="seconds: one short horizon")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of record and figure")
    parser.add_argument("--only", choices=tuple(PARTS), help="print one part, write nothing")
    arguments = parser.parse_args()
    torch.set_num_threads(THREADS)
    keep_freed_memory()
    try:
        device = choose_device(arguments.device)
    except BadInput as error:
        parser.error(str(error))
    plan = Plan(device, arguments.quick)
    record = run(plan, arguments.only)
    if arguments.only is None:
        stem = arguments.out / re.sub(r"[^a-z0-9]+", "-", device_name(device).lower()).strip("-")
        write_json(stem.with_suffix(".json"), record)  # first: what was measured is not lost
        print(report.text(record))
        figure.draw(record, stem)
        print(f"\nwrote {stem}.json, .svg and .png in {record['took_seconds']:.0f} s")
    else:
        print(report.text(record, (arguments.only,)))
    sys.exit(1 if _broken(record) else 0)


def run(plan: Plan, only: str | None = None) -> Record:
    """The record of all parts, or of one."""
    began = time.perf_counter()
    record: Record = {
        "device": device_name(plan.device),
        "processor": _processor(),
        **environment(),
        "peers": _versions("higher", "torchopt", "jax"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": _commit(),
        "threads": THREADS,
        "dtype": "float32",
        "tasks": TASKS,
        "rows": ROWS,
        "parameters": cos_mixture().model.n_parameters,
        "quick": plan.quick,
        **empty_record(),
    }
    run_parts(plan, record, parts_of(plan) if only is None else (only,))
    record["targets"] = [] if plan.on_gpu else targets.outcome(record)
    record["took_seconds"] = time.perf_counter() - began
    found: Record = _finite(record)
    return found


def _broken(record: Record) -> bool:
    """A part or a method of ours failed. A peer that fails is a finding."""
    entries = record["entries"] + record["many_tasks"]["entries"]
    ours = [entry for entry in entries if entry["kind"] != "peer" and entry["status"] == "failed"]
    return bool(record["failures"] or ours)


def _finite(value: Any) -> Any:
    """The same with None for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _versions(*names: str) -> dict[str, str | None]:
    """Of packages that may be missing."""
    installed = {found.name: found.version for found in metadata.distributions()}
    return {name: installed.get(name) for name in names}


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
