"""A finished grid laid down by hand: each file with the recipe it should carry, nothing trained."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.config.schema import Params
from pipeline.data.schemas import write_rows
from pipeline.jobs.artifacts import grid_artifacts
from pipeline.runs.recipe import canonical
from pipeline.runs.weights import write_arrays
from pipeline.seals import read_sealed, write_sealed
from tests.unit.tiny_runs import SYNTHETIC, tiny_params

RUN = f"results/tiny/runs/imaml/{SYNTHETIC}/1"
BLOCK = f"results/tiny/runs/imaml/{SYNTHETIC}/block_0.json"


def params(seeds_per_job: int = 2) -> Params:
    """The tiny grid: every method, two settings, seeds 0 and 1."""
    given = tiny_params()
    grid = given.active.model_copy(update={"seeds_per_job": seeds_per_job})
    return given.model_copy(update={"grids": {"tiny": grid}})


def finish(root: Path) -> Path:
    """Every file of the grid, as if it had just been made."""
    for artifact in grid_artifacts(params(), root):
        *others, last = (root / path for path in artifact.files)
        inputs = (root / path for path in (*artifact.inputs, artifact.output))
        for path in (*others, *inputs):
            if not path.exists():
                _write(path, {})
        _write(last, artifact.recipe if last.name == "spec.json" else {"spec": artifact.recipe})
    return root


def _write(path: Path, held: dict[str, Any]) -> None:
    """A file of the kind that its name says; one that cannot carry a seal is empty."""
    if path.suffix == ".parquet":
        about = {name: canonical(recipe) for name, recipe in held.items()}
        write_rows(path, {"a": []}, pa.schema([("a", pa.int32())]), about)
    elif path.suffix == ".json":
        write_sealed(path, held)
    elif path.suffix == ".safetensors":
        write_arrays(path, {}, {})
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def spoil_run(root: Path, run: str = RUN) -> None:
    """Let a run carry the recipe of other code."""
    spec = root / run / "spec.json"
    write_sealed(spec, read_sealed(spec) | {"code": "old"})


def edit(module: Path, more: str = "\n\nEDITED = 1\n") -> None:
    """Add a line to a module of a copied package."""
    module.write_text(module.read_text(encoding="utf-8") + more, encoding="utf-8")
