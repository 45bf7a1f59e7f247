"""The reference of a setting and seed: what every method is compared with, computed once.

`results/{grid}/reference/{setting}/{seed}.parquet` holds rows of `records.TEST_ROWS_SCHEMA` on the
test tasks: `untrained`, the starting point of every method of that seed, adapted as an
initialisation is, and the trivial predictors, at step 0 (`global_mean`, `item_mean`,
`item_user_offset` for ratings; `global_mean`, `support_mean` for the synthetic families). The
schema metadata carry the recipe under `spec`.

A method with a meta-test of its own (`evaluation` in params.yaml) is compared with the same
reference, adapted as the grid says.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from pipeline.core import MLP
from pipeline.data.schemas import read_rows, write_rows
from pipeline.runs.device import choose_device
from pipeline.runs.evaluate import FrozenTest
from pipeline.runs.inputs import load_inputs, target_range, untrained_start
from pipeline.runs.recipe import Recipe, canonical
from pipeline.runs.records import TEST_ROWS_SCHEMA

# What a run's recipe has alike: evidence of a run is evidence of its reference.
PARAMETERS = (
    *("setting", "dataset", "seed", "support", "query", "inner_steps", "hidden"),
    *("evaluation", "dtype", "data"),
)


def reference_file(results_dir: Path, setting: str, seed: int) -> Path:
    """Where the reference of `results/{grid}` lies."""
    return results_dir / "reference" / setting / f"{seed}.parquet"


def build_reference(
    recipe: Recipe,
    tasks: Path,
    episodes_file: Path,
    out: Path,
    *,
    device: str = "cpu",
    threads: int = 1,
) -> pd.DataFrame:
    """Adapt the untrained start, and predict trivially; write and return the rows.

    Args:
        recipe: as `jobs.recipes.reference_recipe` gives it.
        tasks, episodes_file: of its setting and seed.
        out: file to write.

    Raises:
        BadInput: for files of another kind, or of another recipe.
    """
    torch.set_num_threads(threads)
    place = choose_device(device)
    episodes = load_inputs(recipe, tasks, episodes_file)
    model = MLP(episodes.n_items or episodes.train.x.shape[1], recipe["hidden"])
    start = untrained_start(model, recipe, place)
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
    rows = pd.concat([part for part in (adapted, test.trivial()) if len(part)])
    write_reference(out, recipe, rows)
    return rows


def write_reference(out: Path, recipe: Mapping[str, Any], rows: pd.DataFrame) -> None:
    """Write rows of `records.TEST_ROWS_SCHEMA`, whole or not at all."""
    columns = {name: rows[name].to_numpy() for name in TEST_ROWS_SCHEMA.names}
    write_rows(out, columns, TEST_ROWS_SCHEMA, {"spec": canonical(dict(recipe))})


def read_reference(path: Path) -> pd.DataFrame:
    """Rows of a reference.

    Raises:
        BadInput: when the file is missing or unreadable.
    """
    return pd.DataFrame(read_rows(path, TEST_ROWS_SCHEMA))
