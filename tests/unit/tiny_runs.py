"""Meta-training runs of a second: tiny tasks, made by the real steps, and recipes that fit them."""

import copy
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from pipeline.config.schema import Params, check_params
from pipeline.data import schemas
from pipeline.data.episodes import freeze_episodes
from pipeline.data.task_sets import build_rating_tasks, build_synthetic_tasks
from pipeline.jobs import recipes as specs
from pipeline.runs.recipe import Recipe, canonical

ROOT = Path(__file__).parents[2]
SHIPPED = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
METHODS = [label for label, given in SHIPPED["methods"].items() if "like" not in given]
SYNTHETIC, RATINGS = "cosmixture-8shot-6val", "simulated-6shot-4val"
INNER_STEPS = 5


def tiny_params(**training: Any) -> Params:
    """The shipped parameters, small; `training` replaces values of that section."""
    raw = copy.deepcopy(SHIPPED)
    raw |= {"grid": "tiny", "device": "cpu"}
    raw["data"] |= {"items": 20, "min_ratings": 8, "test_tasks": 5, "validation_tasks": 3}
    raw["synthetic"] |= {"seeds": 3, "train_tasks": 12, "test_tasks": 4, "points": 24}
    raw["synthetic"]["evaluation_points"] = 10
    raw["model"] = {"synthetic": [6, 5], "ratings": [4, 4]}
    raw["training"] |= {"meta_batch": 3, "meta_updates": 5, "validate_every": 2} | training
    raw["evaluation"]["steps"] = [0, 1, 3]
    raw["settings"] = {
        SYNTHETIC: {"dataset": "cosmixture", "support": 8, "query": 6},
        RATINGS: {"dataset": "simulated", "support": 6, "query": 4},
    }
    for setting in raw["settings"].values():
        setting["inner_steps"] = INNER_STEPS
    raw["grids"] = {
        "tiny": {
            "seeds": [0, 1],
            "methods": METHODS,
            "settings": [SYNTHETIC, RATINGS],
            "profile": {"inner_steps": [1, 5], "repeats": 1},
        }
    }
    return check_params(raw)


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
