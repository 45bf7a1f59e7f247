"""Meta-training runs of a second: tiny tasks, made by the real steps, and recipes that fit them."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipeline.config.load import read_config
from pipeline.config.schema import Params, check_params
from pipeline.data import schemas
from pipeline.data.episodes import freeze_episodes
from pipeline.data.task_sets import build_rating_tasks, build_synthetic_tasks
from pipeline.jobs import recipes as specs
from pipeline.runs.recipe import Recipe, canonical

ROOT = Path(__file__).parents[2]
SHIPPED = read_config(ROOT / "params.yaml")
METHODS = [*SHIPPED["methods"]]
SYNTHETIC, RATINGS = "cosmixture-8shot-6val-5steps", "simulated-6shot-4val-5steps"
INNER_STEPS = 5


def tiny_params(**training: Any) -> Params:
    """The shipped parameters, small; `training` replaces values of that section."""
    return check_params(tiny_config(**training))


def tiny_config(**training: Any) -> dict[str, Any]:
    """The same as `read_config` would give it."""
    raw = copy.deepcopy(SHIPPED)
    raw |= {"grid": "tiny", "device": "cpu"}
    raw["data"] |= {"items": 20, "min_ratings": 8, "test_tasks": 5, "validation_tasks": 3}
    raw["synthetic"] |= {"seeds": 3, "train_tasks": 12, "test_tasks": 4, "points": 24}
    raw["synthetic"]["evaluation_points"] = 10
    raw["model"] = {"synthetic": [6, 5], "ratings": [4, 4]}
    raw["training"] |= {"meta_batch": 3, "meta_updates": 5, "validate_every": 2} | training
    raw["evaluation"]["steps"] = [0, 1, 3]
    raw["grids"] = {
        "tiny": {
            "seeds": [0, 1],
            "methods": METHODS,
            "settings": [
                {"dataset": "cosmixture", "shots": "8/6", "inner_steps": INNER_STEPS},
                {"dataset": "simulated", "shots": "6/4", "inner_steps": INNER_STEPS},
            ],
            "profile": {"inner_steps": [1, 5], "repeats": 1},
        }
    }
    return raw


def write_config(folder: Path, raw: Mapping[str, Any]) -> Path:
    """A parameter file, and beside it those of its grids."""
    sections = dict(raw)
    (folder / "grids").mkdir()
    for name, grid in sections.pop("grids").items():
        (folder / "grids" / f"{name}.yaml").write_text(yaml.safe_dump(grid, sort_keys=False))
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(sections, sort_keys=False))
    return path


def recipe(
    method: str = "fomaml", setting: str = SYNTHETIC, seed: int = 0, **training: Any
) -> Recipe:
    """The recipe of a run on the files of `make_files`."""
    return specs.run_recipe(tiny_params(**training), method, setting, seed)


def make_files(root: Path, setting: str = SYNTHETIC, seed: int = 0) -> tuple[Path, Path]:
    """Write a task set and frozen episodes; their paths."""
    params = tiny_params()
    dataset = params.settings[setting].dataset
    tasks, episodes = root / f"{dataset}.parquet", root / f"{setting}-{seed}.parquet"
    made = specs.tasks_recipe(params, dataset)
    metadata = {"spec": canonical(made)}
    if dataset == "cosmixture":
        shape = {name: made[name] for name in ("n_train", "n_test", "points")}
        build_synthetic_tasks(dataset, tasks, seeds=range(3), **shape, metadata=metadata)
    else:
        ratings = _write_ratings(root / "ratings.parquet")
        limits = {name: made[name] for name in ("n_items", "min_ratings")}
        build_rating_tasks(ratings, tasks, **limits, metadata=metadata)
    frozen = specs.episodes_recipe(params, setting, seed)
    chosen = {
        name: value for name, value in frozen.items() if name not in ("kind", "tasks", "code")
    }
    freeze_episodes(tasks, episodes, **chosen, metadata={"spec": canonical(frozen)})
    return tasks, episodes


def _write_ratings(path: Path) -> Path:
    """30 users who rated 9 to 20 of 20 items, from 1 to 5."""
    draw = np.random.default_rng(0)
    mood = draw.integers(-1, 2, 31)  # users differ
    rows = [
        (user, item, np.clip(draw.integers(2, 5) + mood[user], 1, 5))
        for user in range(1, 31)
        for item in sorted(draw.permutation(20)[: draw.integers(9, 21)])
    ]
    user, item, rating = (np.array(column) for column in zip(*rows, strict=True))
    about = {"dataset": "simulated", "title": "Simulated", "fingerprint": "f", "lo": 1.0, "hi": 5.0}
    schemas.write_rows(path, {"user": user, "item": item, "rating": rating}, schemas.RATINGS, about)
    return path
