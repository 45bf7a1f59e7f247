"""A copy of this project in a temporary folder, in which real Snakemake and DVC run."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.load import read_config
from pipeline.config.schema import Params, load_params

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PARTS = (
    *("Snakefile", "workflow", "profiles", "params.yaml", "grids", "pipeline", "pyproject.toml"),
    *("dvc.yaml", ".dvc", ".dvcignore", ".gitignore"),
)
TARGETS = ("whole_grid", "all", "train_all", "data_all", "mark_stale")  # that make nothing
NOT_COPIED = shutil.ignore_patterns("__pycache__", "config.local", "cache", "tmp", "offline.html")
ENVIRONMENT = {
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "CUDA_VISIBLE_DEVICES": "",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    **{f"GIT_{who}_NAME": "tests" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "tests@localhost" for who in ("AUTHOR", "COMMITTER")},
}


@dataclass(frozen=True)
class Project:
    root: Path

    def run(self, *command: Any, rc: int | None = 0) -> str:
        """Run a command here; return what it printed, stdout and stderr together."""
        done = subprocess.run(
            [str(part) for part in command],
            cwd=self.root,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if rc is not None and done.returncode != rc:
            raise AssertionError(f"{command}: exit status {done.returncode}\n{done.stdout[-5000:]}")
        return done.stdout

    def snakemake(self, *arguments: Any, rc: int | None = 0) -> str:
        return self.run("snakemake", "--cores", 2, *arguments, rc=rc)

    def dvc(self, *arguments: Any, rc: int | None = 0) -> str:
        return self.run("dvc", *arguments, rc=rc)

    def planned(self, *arguments: Any) -> Counter[str]:
        """Jobs per rule that Snakemake would run now, targets left out."""
        text = self.snakemake(*arguments, "--dry-run", "--quiet", "rules")
        if "Nothing to be done" in text:
            return Counter()
        table = text.split("Job stats:")[1].split("total")[0]
        jobs = Counter({name: int(n) for name, n in re.findall(r"^(\w+)\s+(\d+)$", table, re.M)})
        return Counter({k: n for k, n in jobs.items() if k not in TARGETS})

    def planned_outputs(self, rule: str) -> list[str]:
        """First output of each planned job of a rule."""
        text = self.snakemake("--dry-run", "--quiet", "host")
        return re.findall(rf"rule {rule}:\n(?:    input: .*\n)?    output: ([^,\n]*)", text)

    def params(self) -> Params:
        return load_params(self.root / "params.yaml")

    def config(self) -> dict[str, Any]:
        """The files of parameters as they stand; those of grids/ by name under `grids`."""
        return read_config(self.root / "params.yaml")

    def set(self, **values: Any) -> None:
        """Set entries of params.yaml; dots in names are written as two underscores.

        `grids__NAME__...` sets those of grids/NAME.yaml.
        """
        config = self.config()
        for name, value in values.items():
            *path, last = name.split("__")
            place = config
            for part in path:
                place = place.setdefault(part, {})
            place[last] = value
        grids = config.pop("grids")
        changed = {name.split("__")[1] for name in values if name.startswith("grids__")}
        for name in changed:
            self._write(f"grids/{name}.yaml", grids[name])
        if any(not name.startswith("grids__") for name in values):
            self._write("params.yaml", config)

    def _write(self, name: str, values: dict[str, Any]) -> None:
        (self.root / name).write_text(yaml.safe_dump(values, sort_keys=False))

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", "tests")

    def copy(self, to: Path) -> "Project":
        """A copy with the same modification times."""
        shutil.copytree(self.root, to, symlinks=True)
        return Project(to)

    def path(self, name: str) -> Path:
        return self.root / name


def environment() -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNAKEMAKE_", "DVC_", "GIT_"))}
    return kept | ENVIRONMENT


def new_project(to: Path) -> Project:
    """This project as it lies on disk, without results, in a git repository of its own."""
    to.mkdir(parents=True)
    for part in PARTS:
        source = ROOT / part
        if source.is_symlink():
            (to / part).symlink_to(source.readlink())
        elif source.is_dir():
            shutil.copytree(source, to / part, ignore=NOT_COPIED)
        else:
            shutil.copy2(source, to / part)
    project = Project(to)
    project.set(grid="ci", device="cpu")
    project.run("git", "init", "--quiet", "--initial-branch=main")
    project.commit()
    return project
