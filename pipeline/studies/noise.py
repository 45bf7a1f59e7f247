"""How far a method's direction agrees from one meta-batch to the next.

An outer optimiser with steps of a fixed size, as Adam's nearly are, goes far along directions
that keep and hardly anywhere along those that change: two methods with the same rate and the
same number of meta-updates do not travel alike. The truth plays no part here.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.core import MLP, Diverged, meta_gradient
from pipeline.runs.checks import check_noise_recipe
from pipeline.runs.device import DTYPES
from pipeline.runs.progress import listed
from pipeline.runs.recipe import Recipe
from pipeline.seals import write_sealed
from pipeline.studies.problems import draw_study_tasks, initialisations, record_count

BATCH_STREAM = 2  # of the generator that draws meta-batches; the short training has 1


def study_noise(recipe: Recipe, out: Path, *, threads: int = 1) -> None:
    """Measure the methods that `recipe` names and write the JSON record `out`.

    Raises:
        BadInput: for a recipe that lacks something or holds settings that a method refuses.
    """
    check_noise_recipe(recipe)
    torch.set_num_threads(threads)
    total = record_count(recipe, "inner_steps", "methods")
    found = (record for family in recipe["families"] for record in _family(recipe, family))
    records = listed("agreement of meta-batches: record", found, total)
    write_sealed(out, {"spec": recipe, "records": records})


def _family(recipe: Recipe, family: str) -> Iterator[dict[str, Any]]:
    """One record per initialisation, K and method; all methods see the same meta-batches."""
    model, dtype = MLP(2, recipe["hidden"]), DTYPES[recipe["dtype"]]
    rows = {name: recipe[name] for name in ("support", "query")}
    known, _ = draw_study_tasks(family, recipe["seed"], tasks=1, **rows)
    starts = initialisations(model, known, recipe["training"], recipe["seed"])
    draw = np.random.default_rng([recipe["seed"], BATCH_STREAM])
    count, size = len(known.y), recipe["tasks"]
    chosen = [draw.permutation(count)[:size] for _ in range(recipe["batches"])]
    batches = [known.batch(tasks, dtype) for tasks in chosen]
    for start, theta in starts.items():
        for inner_steps in recipe["inner_steps"]:
            for label, given in recipe["methods"].items():
                settings = given["settings"][str(inner_steps)]
                found = []
                for batch in batches:
                    try:
                        out = meta_gradient(
                            given["method"], model, theta.to(dtype), batch, **settings
                        )
                    except Diverged:
                        continue
                    if bool(torch.isfinite(out.gradient).all()):
                        found.append(out.gradient)
                yield {
                    **{"family": family, "initialisation": start, "inner_steps": inner_steps},
                    **{"label": label, "n_batches": len(batches)},
                    "n_diverged": len(batches) - len(found),
                    **agreement(found),
                }


def agreement(gradients: list[Tensor]) -> dict[str, float | None]:
    """How much directions (P,) of several meta-batches have in common; in float64.

    Returns:
        pairwise_cosine: mean over pairs of different meta-batches. signal: norm of the mean over
        the root mean square of the norms, 1 where all are the same, about 1 / sqrt(n) where they
        have nothing in common. norm: that root mean square. None with fewer than two directions,
        or one of length 0.
    """
    norms = torch.stack([g.double().norm() for g in gradients]) if gradients else torch.zeros(0)
    if len(gradients) < 2 or not bool((norms > 0).all()):
        return {"pairwise_cosine": None, "signal": None, "norm": None}
    all_of_them = torch.stack([g.double() for g in gradients])
    unit = all_of_them / norms[:, None]
    n = len(gradients)
    pairs = float((unit @ unit.T).sum() - (unit * unit).sum()) / (n * (n - 1))
    scale = float(norms.square().mean().sqrt())
    return {
        "pairwise_cosine": pairs,
        "signal": float(all_of_them.mean(0).norm()) / scale,
        "norm": scale,
    }
