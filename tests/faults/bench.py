"""A small grid, what its files have to hold in each state of the parameters, and the judge.

The judge knows nothing of recipes. For each `State` it trains the grid from nothing, in a folder of
its own, undisturbed, and keeps the bytes of what does not depend on the machine's clock. After any
accident the same command has to end with those bytes, or with an exit status other than 0.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from tests.workflow.project import Project, environment, new_project

GRID = "ci"
RESULTS = f"results/{GRID}"
SETTINGS = {
    "cosmixture-50shot-50val": {"dataset": "cosmixture", "shots": "50/50"},
    "simulated-10shot-15val-50steps": {
        "dataset": "simulated",
        "shots": "10/15",
        "inner_steps": 50,
    },
}
# of a run: what does not hold seconds
BYTES = ("meta_init.safetensors", "test_rows.parquet", "spec.json")
# tables without costs; seconds stand in others
TABLES = ("comparisons.csv", "curves.csv", "summary.json")
WAIT_S = 900.0
HOOK = Path(__file__).with_name("hook.py")


@dataclass(frozen=True)
class State:
    """What a person may change between two commands."""

    outer_lr: float = 0.001
    seeds: tuple[int, ...] = (0,)
    methods: tuple[str, ...] = ("fomaml", "reptile")

    def apply(self, project: Project) -> None:
        project.set(
            training__outer_lr=self.outer_lr,
            grids__ci__seeds=list(self.seeds),
            grids__ci__methods=list(self.methods),
        )

    def runs(self) -> Iterator[str]:
        """Folders of the runs that the grid has."""
        for method in self.methods:
            for setting in SETTINGS:
                for seed in self.seeds:
                    yield f"{RESULTS}/runs/{method}/{setting}/{seed}"


def new_bench(to: Path) -> Project:
    """A project with the small grid, in which nothing has run."""
    project = new_project(to)
    project.set(
        grids__ci__settings=list(SETTINGS.values()),
        grids__ci__studies={},
        grids__ci__training={"meta_updates": 12, "checkpoint_every": 2, "validate_every": 6},
        grids__ci__keep_evidence=False,
    )
    shutil.copy2(HOOK, project.path("sitecustomize.py"))  # jobs load it: see there
    State().apply(project)
    return project


@dataclass
class Bench:
    """The undisturbed runs of the states that were asked for, and what was counted."""

    root: Path
    kept: dict[State, dict[str, str]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number

    def finished(self, state: State) -> Project:
        """The folder of an undisturbed run. Copy it, do not change it."""
        folder = self.root / f"undisturbed-{hashlib.sha256(repr(state).encode()).hexdigest()[:8]}"
        if state not in self.kept:
            made = Project(folder) if folder.exists() else new_bench(folder)
            state.apply(made)
            made.snakemake()
            self.kept[state] = contents(made, state)
        return Project(folder)

    def kept_of(self, state: State) -> dict[str, str]:
        """What `contents` has to be in a state."""
        self.finished(state)
        return self.kept[state]

    def copy(self, state: State, name: str) -> Project:
        """A copy of an undisturbed run, to be disturbed."""
        to = self.root / name
        shutil.rmtree(to, ignore_errors=True)
        return self.finished(state).copy(to)

    def judge(self, project: Project, state: State, after: str) -> bool:
        """Give the command again until it ends, and compare; whether all is as it has to be."""
        said = project.run("snakemake", "--cores", "2", rc=None)
        wrong = differences(contents(project, state), self.kept_of(state))
        if "Traceback (most recent call last)" in said:
            wrong.append("a traceback was shown")
        left = [str(path.relative_to(project.root)) for path in temporary(project.root)]
        if left:
            wrong.append(f"temporary files are left: {', '.join(left[:3])}")
        if wrong:
            self.violations.append(f"after {after}: {'; '.join(wrong)}\n{said[-1500:]}")
        return not wrong


def contents(project: Project, state: State) -> dict[str, str]:
    """Digests of all that has to be the same, whatever happened before; `absent` of no file."""
    files = [f"{folder}/{name}" for folder in state.runs() for name in BYTES]
    files += [f"{RESULTS}/tables/{name}" for name in TABLES]
    found = {name: digest(project.path(name)) for name in files}
    main = project.path(f"{RESULTS}/tables/main.csv")
    if main.is_file():
        table = pd.read_csv(main)
        table = table[[name for name in table if "seconds" not in name and "bytes" not in name]]
        found["main.csv without seconds"] = hashlib.sha256(table.to_csv().encode()).hexdigest()
    return found


def differences(found: dict[str, str], wanted: dict[str, str]) -> list[str]:
    return [
        f"{name} is {'absent' if found.get(name) == 'absent' else 'another'}"
        for name in wanted
        if found.get(name) != wanted[name]
    ]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"


def temporary(root: Path) -> list[Path]:
    """Files that a killed process began and nobody took away."""
    return [
        path
        for top in ("data", "results", ".")
        for path in (root / top).glob(".*.tmp" if top == "." else "**/.*.tmp")
    ]


def start(project: Project, *arguments: str, **extra: str) -> subprocess.Popen[bytes]:
    """Snakemake as a person starts it, in a process group of its own."""
    with project.path("said.log").open("ab") as said:
        return subprocess.Popen(
            ["snakemake", "--cores", "2", *arguments],
            cwd=project.root,
            env=environment() | extra,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def kill(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL to Snakemake alone, as the out-of-memory killer does; its jobs have to follow."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def orphans(project: Project, wait_s: float = 20.0) -> list[str]:
    """Commands of processes that still work in the folder after their Snakemake has gone."""
    end = time.monotonic() + wait_s
    while found := working_in(project.root):
        if time.monotonic() > end:
            return found
        time.sleep(0.1)
    return []


def working_in(root: Path) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int(folder.name) != os.getpid() and (folder / "cwd").readlink() == root:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                if words:
                    found.append(words[:200])
        except OSError:
            continue
    return found


def write_record(out: Path, bench: Bench, seconds: float, seed: int) -> None:
    record: dict[str, Any] = {
        "seed": seed,
        "minutes": round(seconds / 60, 1),
        "python": sys.version.split()[0],
        "counts": dict(sorted(bench.counts.items())),
        "violations": bench.violations,
    }
    out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
