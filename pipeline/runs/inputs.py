"""What a run and its reference start from: episodes, the range of targets, the untrained start."""

from pathlib import Path

import torch
from torch import Tensor

from pipeline.data.episodes import load_episodes
from pipeline.data.pools import Episodes
from pipeline.data.schemas import read_metadata
from pipeline.runs.checks import check_episodes
from pipeline.runs.device import DTYPES
from pipeline.runs.model import Network
from pipeline.runs.offsets import read_models, with_offsets
from pipeline.runs.recipe import Recipe


def load_inputs(recipe: Recipe, tasks: Path, file: Path, offsets: Path | None = None) -> Episodes:
    """The frozen episodes of a setting and seed, with offsets where the recipe asks for them.

    Args:
        offsets: models that the offsets are of; None: they are fitted here.

    Raises:
        BadInput: when they were made for another recipe.
    """
    episodes = load_episodes(tasks, file)
    check_episodes(recipe, episodes)
    if not recipe.get("offset"):
        return episodes
    models = read_models(offsets, episodes, recipe["episodes"]) if offsets else None
    return with_offsets(episodes, models)


def target_range(tasks: Path, episodes: Episodes) -> float:
    """Width of the rating scale, or of the meta-training targets; raw units."""
    about = read_metadata(tasks)
    if "lo" in about and "hi" in about:
        return float(about["hi"] - about["lo"])
    y = episodes.scaling.to_raw_y(episodes.train.y)
    return float(y.max() - y.min())


def untrained_start(model: Network, recipe: Recipe, place: torch.device) -> Tensor:
    """theta (P,): the same for every method of a seed, so that runs are paired."""
    generator = torch.Generator().manual_seed(recipe["seed"])
    return model.init(generator, dtype=DTYPES[recipe["dtype"]], device=place)
