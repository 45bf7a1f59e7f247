"""The accidents, each a function of the bench, a source of random numbers and a limit of time.

Whatever one of them does, `Bench.judge` then gives the command again and compares.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tests.faults.bench import (
    WAIT_S,
    Bench,
    State,
    contents,
    differences,
    kill,
    orphans,
    start,
)
from tests.workflow.project import Project, environment

BASE = State()
CHANGED = replace(BASE, outer_lr=0.002)
# where a process is struck: each file that is written whole or not at all, before and after it
# takes its place, and as it is begun
FILES = (
    *("data/raw/*.json", "data/ratings/*.parquet", "data/tasks/cosmixture.parquet"),
    *("data/episodes/*/0.parquet", "reference/*/0.parquet", "*/checkpoint.pt"),
    *("curve.parquet", "test_rows.parquet", "meta_init.safetensors", "metrics.json"),
    *("runs/*/spec.json", "block_0.json", "profile/fomaml.json", "tables/main.csv"),
    *("tables/spec.json", "figures/curves.svg", "figures/spec.json", "report.html"),
    *("report.json", "tracking.json"),
)
POINTS = (
    *(f"{when}:{pattern}" for pattern in FILES for when in ("before", "after")),
    *("begun:tables/comparisons.csv", "begun:metrics.json", "begun:report.html"),
)


def random_kills(bench: Bench, draw: random.Random, until: float) -> None:
    """Snakemake is killed at any time, up to eight times in a row, before it is let through."""
    while time.monotonic() < until:
        project = bench.copy(BASE, "killed")
        CHANGED.apply(project)
        for _ in range(draw.randint(3, 8)):
            process = start(project)
            try:
                process.wait(draw.uniform(2.0, 25.0))
            except subprocess.TimeoutExpired:
                kill(process)
                bench.count("kills of Snakemake")
            if left := orphans(project):
                bench.violations.append(f"after a kill of Snakemake still at work: {left[0]}")
        if bench.judge(project, CHANGED, "kills of Snakemake"):
            bench.count("kill sequences survived")


def kills_of_jobs(bench: Bench, draw: random.Random, until: float) -> None:
    """After a changed parameter single jobs are killed, as the out-of-memory killer does."""
    while time.monotonic() < until:
        project = bench.copy(BASE, "jobs-killed")
        state = draw.choice([CHANGED, replace(BASE, seeds=(0, 1)), replace(CHANGED, seeds=(1,))])
        state.apply(project)
        process, struck = start(project), 0
        end = time.monotonic() + WAIT_S
        while process.poll() is None and time.monotonic() < end:
            time.sleep(draw.uniform(0.1, 1.5))
            for pid in jobs_of(process.pid):
                if draw.random() < 0.3 and struck < 4:
                    strike(pid)
                    struck += 1
        bench.count("jobs killed after a change", struck)
        if struck and process.returncode == 0:
            # a job that was killed as it ended had done its work
            wrong = differences(contents(project, state), bench.kept_of(state))
            if wrong:
                bench.violations.append(f"exit status 0 after killed jobs: {'; '.join(wrong)}")
        bench.judge(project, state, f"{struck} killed jobs")


def jobs_of(pid: int) -> list[int]:
    """Processes that work for a Snakemake: all that descend from it."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = list(map(int, thread.read_text().split()))
        except OSError:
            continue
        for child in children:
            found += [child, *jobs_of(child)]
    return found


def strike(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def kills_at_points(bench: Bench, draw: random.Random, until: float) -> None:
    """A process is killed just before or after each of its files takes its place."""
    points = list(POINTS)
    draw.shuffle(points)
    for point in points:
        if time.monotonic() > until:
            return
        project = bench.copy(BASE, "struck")
        CHANGED.apply(project)
        if "data/" in point:
            shutil.rmtree(project.path("data"))
        process = start(project, FAULT_AT=point)
        process.wait(WAIT_S)
        if not project.path(".fault").exists():
            bench.count("named points that no process passed")
            continue
        bench.count("kills at named points")
        if left := orphans(project):
            bench.violations.append(f"after {point} still at work: {left[0]}")
        bench.judge(project, CHANGED, f"a kill {point}")


def deletions(bench: Bench, draw: random.Random, until: float) -> None:
    """Each file that the grid makes is deleted, some at a time."""
    project = bench.copy(BASE, "deleted")
    files = made_files(project)
    draw.shuffle(files)
    for part in range(0, len(files), 6):
        if time.monotonic() > until:
            return
        gone = files[part : part + 6]
        for path in gone:
            path.unlink(missing_ok=True)
            bench.count("files deleted")
        names = ", ".join(str(path.relative_to(project.root)) for path in gone)
        if not bench.judge(project, BASE, f"deletion of {names}"):
            project = bench.copy(BASE, "deleted")
        elif missing := [path for path in gone if not path.exists() and "data" not in path.parts]:
            bench.violations.append(f"not made again: {missing[0]}")


def bit_flips(bench: Bench, draw: random.Random, until: float) -> None:
    """One bit of many files is turned, and everything that reads them runs."""
    while time.monotonic() < until:
        project = bench.copy(BASE, "flipped")
        files = made_files(project)
        names = []
        for path in draw.sample(files, min(25, len(files))):
            turn_bit(path, draw)
            names.append(str(path.relative_to(project.root)))
            bench.count("bits flipped")
        # tables are made anew from whatever holds; records of another seed need the data below
        state = draw.choice([BASE, replace(BASE, seeds=(0, 1))])
        state.apply(project)
        bench.judge(project, state, f"flipped bits in {', '.join(names)}")


def turn_bit(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if data:
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(bytes(data))


def made_files(project: Project) -> list[Path]:
    """What the workflow wrote, but for logs and what belongs to the engines."""
    found = [
        path
        for top in ("data", "results", "mlartifacts")
        for path in project.path(top).rglob("*")
        if path.is_file() and not path.name.startswith(".")
    ]
    return sorted(path for path in found if "recipes" not in path.parts)


def two_at_once(bench: Bench, draw: random.Random, until: float) -> None:
    """Two people give the same command in one folder: one works, the other is told to wait."""
    project = bench.copy(BASE, "twice")
    CHANGED.apply(project)
    first = start(project)
    time.sleep(draw.uniform(0.0, 6.0))
    second = start(project)
    codes = [process.wait(WAIT_S) for process in (first, second)]
    bench.count("pairs of workflows")
    if codes == [1, 1]:
        bench.violations.append("of two workflows neither went through")
    bench.judge(project, CHANGED, "two workflows at once")


def clock(bench: Bench, draw: random.Random, until: float) -> None:
    """All files are of the future, or of long ago, and a parameter was changed."""
    for days in (10, -4000):
        project = bench.copy(BASE, "clock")
        CHANGED.apply(project)
        moment = time.time() + days * 86400
        for path in project.root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                os.utime(path, (moment, moment))
        bench.count("clocks set")
        bench.judge(project, CHANGED, f"files dated {days} days from now")


def limits() -> Iterator[tuple[str, Callable[[], None]]]:
    def few(what: int, number: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(what, (number, number))

    yield "60 open files", few(resource.RLIMIT_NOFILE, 60)
    yield "files of 20 kB at most", few(resource.RLIMIT_FSIZE, 20_000)
    yield "900 MB of addresses", few(resource.RLIMIT_AS, 900 << 20)
    yield "1.8 GB of addresses", few(resource.RLIMIT_AS, 1800 << 20)


def scarcity(bench: Bench, draw: random.Random, until: float) -> None:
    """A resource is short; then there is enough of it again."""
    for name, limit in limits():
        project = bench.copy(BASE, "scarce")
        CHANGED.apply(project)
        with project.path("said.log").open("ab") as said:
            process = subprocess.Popen(
                ["snakemake", "--cores", "2"],
                cwd=project.root,
                env=environment(),
                stdout=said,
                stderr=subprocess.STDOUT,
                preexec_fn=limit,
                start_new_session=True,
            )
            try:
                code = process.wait(300)
            except subprocess.TimeoutExpired:
                bench.violations.append(f"with {name}: hangs")
                kill(process)
                code = -1
        bench.count("resources short")
        if code == 0 and (wrong := differences(contents(project, CHANGED), bench.kept_of(CHANGED))):
            bench.violations.append(f"with {name}: exit status 0 and {'; '.join(wrong)}")
        bench.judge(project, CHANGED, name)


def full_disk(bench: Bench, draw: random.Random, until: float) -> None:
    """The disk is full in mid-run; then there is room again. Needs the right to mount."""
    place = bench.root / "disk"
    place.mkdir(exist_ok=True)
    source = bench.finished(BASE)
    used = sum(path.stat().st_size for path in source.root.rglob("*") if path.is_file()) >> 20
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={used + 1}m", "tmpfs", place], capture_output=True
    )
    if mounted.returncode:
        bench.count("full disk: not tried, no right to mount")
        return
    try:
        project = source.copy(place / "project")
        CHANGED.apply(project)
        process = start(project)
        code = process.wait(WAIT_S)
        bench.count("resources short")
        if code == 0:
            bench.count("full disk: there was room enough")
        subprocess.run(["mount", "-o", f"remount,size={used + 200}m", place], check=True)
        bench.judge(project, CHANGED, "a full disk")
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


ACCIDENTS: dict[str, Callable[[Bench, random.Random, float], None]] = {
    "points": kills_at_points,
    "kills": random_kills,
    "jobs": kills_of_jobs,
    "flips": bit_flips,
    "deletions": deletions,
    "clock": clock,
    "scarcity": scarcity,
    "disk": full_disk,
    "twice": two_at_once,
}
SHARES = {"points": 8, "kills": 6, "jobs": 4, "flips": 6, "deletions": 3}  # of the time; else 1
