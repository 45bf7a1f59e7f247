"""A finished grid laid down by hand: each file with the recipe it should carry, nothing trained."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.config.schema import Params
from pipeline.data.schemas import METADATA_KEY
from pipeline.files import read_json, write_json
from pipeline.jobs.artifacts import grid_artifacts
from pipeline.runs.recipe import canonical
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
        for path in (*others, *(root / path for path in (*artifact.inputs, artifact.output))):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        last.parent.mkdir(parents=True, exist_ok=True)
        if last.suffix == ".parquet":
            about = json.dumps({"spec": canonical(artifact.recipe)})
            schema = pa.schema([("a", pa.int32())], metadata={METADATA_KEY: about})
            pq.write_table(schema.empty_table(), last)
        else:
            run = last.name == "spec.json"
            write_json(last, artifact.recipe if run else {"spec": artifact.recipe})
    return root


def spoil_run(root: Path, run: str = RUN) -> None:
    """Let a run carry the recipe of other code."""
    spec = root / run / "spec.json"
    write_json(spec, read_json(spec) | {"code": "old"})


def edit(module: Path, more: str = "\n\nEDITED = 1\n") -> None:
    """Add a line to a module of a copied package."""
    module.write_text(module.read_text(encoding="utf-8") + more, encoding="utf-8")
