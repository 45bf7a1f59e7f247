"""An hour of what people do, in any order: edit, delete, touch, kill, run, go back, add, remove.

After each command that ended with exit status 0 everything has to be that of the state of the
parameters (`Bench.judge`), and no run may have been trained anew whose record was whole.
"""

import random
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tests.faults.accidents import made_files, turn_bit
from tests.faults.bench import BYTES, Bench, State, digest, kill, start
from tests.workflow.project import Project

RATES = (0.001, 0.002)
SEEDS = ((0,), (0, 1), (1,))
METHODS = (("fomaml",), ("fomaml", "reptile"), ("reptile",))


def soak(bench: Bench, draw: random.Random, until: float) -> None:
    state = State()
    project = bench.copy(state, "soaked")
    history: list[str] = []
    while time.monotonic() < until:
        for _ in range(draw.randint(1, 4)):
            state, said = operate(project, state, draw, bench.root / "aside")
            history.append(said)
            bench.count("soak operations")
        wanted = bench.finished(state)
        whole = {
            name: time_of(project, name) for name in state.runs() if same(project, wanted, name)
        }
        if not bench.judge(project, state, " > ".join(history[-12:])):
            project, history = bench.copy(state, "soaked"), []
            continue
        for name, before in whole.items():
            if time_of(project, name) != before:
                bench.violations.append(f"trained anew without cause: {name}, {history[-6:]}")
        bench.count("soak commands judged")


def same(project: Project, wanted: Project, run: str) -> bool:
    """Whether a run's record is that of the state, all of it, with the data that it was made of."""
    files = [f"{run}/{name}" for name in BYTES]
    others = ("curve.parquet", "metrics.json")
    return all(digest(project.path(f)) == digest(wanted.path(f)) for f in files) and all(
        project.path(f"{run}/{name}").is_file() for name in others
    )


def time_of(project: Project, run: str) -> int:
    """When the record was written; it stays when it holds."""
    return project.path(f"{run}/meta_init.safetensors").stat().st_mtime_ns


def operate(project: Project, state: State, draw: random.Random, aside: Path) -> tuple[State, str]:
    """Do one thing; the state that is asked for after it, and what was done."""
    what = draw.choice(sorted(OPERATIONS))
    return OPERATIONS[what](project, state, draw, aside), what


def edit(project: Project, state: State, draw: random.Random, aside: Path) -> State:
    changed = draw.choice(
        [
            replace(state, outer_lr=draw.choice(RATES)),
            replace(state, seeds=draw.choice(SEEDS)),
            replace(state, methods=draw.choice(METHODS)),
        ]
    )
    changed.apply(project)
    return changed


def delete(project: Project, state: State, draw: random.Random, aside: Path) -> State:
    if files := made_files(project):
        draw.choice(files).unlink()
    return state


def touch(project: Project, state: State, draw: random.Random, aside: Path) -> State:
    if files := made_files(project):
        draw.choice(files).touch()
    return state


def flip(project: Project, state: State, draw: random.Random, aside: Path) -> State:
    """Of what the tables are made from: a curve or a metric that differs from the record is one."""
    if files := [path for path in made_files(project) if "runs" not in path.parts]:
        turn_bit(draw.choice(files), draw)
    return state


def kill_it(project: Project, state: State, draw: random.Random, aside: Path) -> State:
    process = start(project)
    try:
        process.wait(draw.uniform(1.0, 15.0))
    except subprocess.TimeoutExpired:
        kill(process)
    return state


def forget(project: Project, state: State, draw: random.Random, aside: Path) -> State:
    """Snakemake's memory of what it did is lost."""
    shutil.rmtree(project.path(".snakemake"), ignore_errors=True)
    return state


def keep(project: Project, state: State, draw: random.Random, aside: Path) -> State:
    """As `dvc push`, or a copy by hand: results as they are now."""
    shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(project.path("results"), aside)
    return state


def go_back(project: Project, state: State, draw: random.Random, aside: Path) -> State:
    """As `dvc checkout` of an older revision: what was kept lies there again."""
    if aside.exists():
        shutil.rmtree(project.path("results"))
        shutil.copytree(aside, project.path("results"))
    return state


def tidy(project: Project, state: State, draw: random.Random, aside: Path) -> State:
    project.run("python", "-m", "pipeline", "reconcile", rc=None)
    return state


OPERATIONS: dict[str, Callable[[Project, State, random.Random, Path], State]] = {
    "edit": edit,
    "delete": delete,
    "touch": touch,
    "flip": flip,
    "kill": kill_it,
    "forget": forget,
    "keep": keep,
    "go back": go_back,
    "reconcile": tidy,
}
