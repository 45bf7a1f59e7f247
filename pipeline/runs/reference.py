"""The reference of a setting and seed: what every method is compared with, computed once.

It lies where `records.reference_file` says, in the layout given there.

A method with a meta-test of its own (`evaluation` in params.yaml) is compared with the same
reference, adapted as the grid says.
"""

from pathlib import Path

import pandas as pd
import torch

from pipeline.runs.device import choose_device
from pipeline.runs.evaluate import FrozenTest
from pipeline.runs.inputs import load_inputs, target_range, untrained_start
from pipeline.runs.model import model_of, try_model
from pipeline.runs.predictors import predict
from pipeline.runs.recipe import Recipe
from pipeline.runs.records import write_reference


def build_reference(
    recipe: Recipe,
    tasks: Path,
    episodes_file: Path,
    out: Path,
    *,
    offsets: Path | None = None,
    device: str = "cpu",
    threads: int = 1,
) -> pd.DataFrame:
    """Adapt the untrained start, and predict; write and return the rows.

    Args:
        recipe: as `jobs.recipes.reference_recipe` gives it.
        tasks, episodes_file, offsets: of its setting and seed (`load_inputs`).
        out: file to write.

    Raises:
        BadInput: for files of another kind, or of another recipe.
    """
    torch.set_num_threads(threads)
    place = choose_device(device)
    episodes = load_inputs(recipe, tasks, episodes_file, offsets)
    model = model_of(recipe, episodes)
    start = untrained_start(model, recipe, place)
    try_model(model, start, recipe, episodes)
    evaluation = recipe["evaluation"]
    test = FrozenTest(
        episodes, episodes.test, target_range=target_range(tasks, episodes), like=start
    )
    adapted = test.adapted(
        "untrained",
        model,
        start,
        steps={*evaluation["steps"], recipe["inner_steps"]},
        lr=evaluation["learning_rate"],
        optimiser=evaluation["optimiser"],
    )
    asked = [
        test.rows(name, 0, predict(name, episodes, episodes.test))
        for name in recipe.get("predictors", ())
    ]
    rows = pd.concat([part for part in (adapted, test.trivial(), *asked) if len(part)])
    write_reference(out, recipe, rows)
    return rows
