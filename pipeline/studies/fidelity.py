"""Every method's meta-gradient against the converged one, as the horizon grows.

The truth for K inner steps is the gradient of the query loss after gradient flow over alpha K,
terminal objective, whatever a method calls its own. A method with a running cost is compared
with the converged gradient of its own objective too.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from pipeline.core import MLP
from pipeline.core.fidelity import compare
from pipeline.runs.checks import check_fidelity_recipe
from pipeline.runs.device import DTYPES
from pipeline.runs.progress import listed
from pipeline.runs.recipe import Recipe, flow_time
from pipeline.seals import write_sealed
from pipeline.studies.problems import (
    draw_study_tasks,
    initialisations,
    measured,
    record_count,
    truth,
)


def study_fidelity(recipe: Recipe, out: Path, *, threads: int = 1) -> None:
    """Compare the methods that `recipe` names and write the JSON record `out`.

    Raises:
        BadInput: for a recipe that lacks something or holds settings that a method refuses.
    """
    check_fidelity_recipe(recipe)
    torch.set_num_threads(threads)
    total = recipe["batches"] * record_count(recipe, "inner_steps", "methods")
    found = (record for family in recipe["families"] for record in _family(recipe, family))
    records = listed("fidelity of meta-gradients: record", found, total)
    write_sealed(out, {"spec": recipe, "records": records})


def _family(recipe: Recipe, family: str) -> Iterator[dict[str, Any]]:
    """One record per initialisation, K, probe batch and method."""
    model, dtype = MLP(2, recipe["hidden"]), DTYPES[recipe["dtype"]]
    size = recipe["tasks"]
    rows = {name: recipe[name] for name in ("support", "query")}
    known, probes = draw_study_tasks(family, recipe["seed"], tasks=size * recipe["batches"], **rows)
    starts = initialisations(model, known, recipe["training"], recipe["seed"])
    for start, theta in starts.items():
        for inner_steps in recipe["inner_steps"]:
            for number in range(recipe["batches"]):
                tasks = slice(size * number, size * (number + 1))
                exact, batch = probes.batch(tasks, torch.float64), probes.batch(tasks, dtype)
                horizon = flow_time(recipe["inner_lr"], inner_steps)
                references = {0.0: truth(model, theta, exact, horizon)}
                for label, given in recipe["methods"].items():
                    settings = given["settings"][str(inner_steps)]
                    omega = float(settings.get("omega", 0.0))
                    if omega not in references:
                        references[omega] = truth(model, theta, exact, horizon, omega)
                    found, gradient = measured(
                        given["method"], settings, model, theta.to(dtype), batch, references[0.0]
                    )
                    own: tuple[float | None, float | None] = (None, None)
                    if omega and gradient is not None:
                        own = compare(gradient, references[omega])
                    yield {
                        **{"family": family, "initialisation": start, "batch": number},
                        **{"inner_steps": inner_steps, "label": label},
                        **found,
                        **{"omega": omega, "own_cosine": own[0], "own_relative_error": own[1]},
                    }
