"""A tiny grid, trained: a folder in which champions can be chosen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.config.schema import Params, check_params
from pipeline.jobs.artifacts import run_folder
from pipeline.jobs.recipes import run_recipe
from pipeline.runs.job import run
from tests.unit.tiny_runs import make_files, tiny_config

METHODS = ("reptile", "imaml", "fomaml")


def params(methods: Sequence[str] = METHODS, *, evidence: bool = False) -> Params:
    return check_params(config(methods, evidence=evidence))


def config(methods: Sequence[str] = METHODS, *, evidence: bool = False) -> dict[str, Any]:
    raw = tiny_config()
    grid = raw["grids"]["tiny"]
    grid |= {"methods": list(methods), "keep_evidence": evidence, "seeds_per_job": 2}
    return raw


def make(root: Path) -> Path:
    """Tasks, episodes and runs of all settings, methods and seeds below `root`."""
    given = params()
    (root / "files").mkdir()
    for setting in given.active.settings:
        dataset = given.settings[setting].dataset
        for seed in given.active.seeds:
            made = make_files(root / "files", setting, seed)
            places = f"data/tasks/{dataset}.parquet", f"data/episodes/{setting}/{seed}.parquet"
            for file, place in zip(made, places, strict=True):
                (root / place).parent.mkdir(parents=True, exist_ok=True)
                file.replace(root / place)
            for label in METHODS:
                recipe = run_recipe(given, label, setting, seed)
                folder = root / run_folder("tiny", label, setting, seed)
                run(recipe, *(root / place for place in places), folder, device="cpu")
    return root
