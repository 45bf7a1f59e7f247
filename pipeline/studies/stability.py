"""Ways back through one flow, over growing horizons: which of them give the meta-gradient.

Kept states (modified Euler), the discrete adjoints of RK45 and of the Chebyshev solver, and
backward re-integration (`backsolve`), as run in practice, against the converged gradient in
float64. A second record, `stiffness`, is that of pipeline/studies/stiffness.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from pipeline.core import MLP, meta_gradient
from pipeline.core.fidelity import compare
from pipeline.runs.checks import check_stability_recipe
from pipeline.runs.device import DTYPES
from pipeline.runs.progress import listed
from pipeline.runs.recipe import Recipe
from pipeline.seals import write_sealed
from pipeline.studies.problems import (
    draw_study_tasks,
    initialisations,
    measured,
    record_count,
    truth,
)
from pipeline.studies.stiffness import SOLVERS, stiffness_records

CHECK: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-8}  # of the second, independent solution


def study_stability(recipe: Recipe, out: Path, *, threads: int = 1) -> None:
    """Compare the ways back that `recipe` names and write the JSON record `out`.

    Raises:
        BadInput: for a recipe that lacks something or holds settings that a method refuses.
    """
    check_stability_recipe(recipe)
    torch.set_num_threads(threads)
    total = record_count(recipe, "horizons", "methods")
    found = (record for family in recipe["families"] for record in _family(recipe, family))
    records = listed("ways back: record", found, total)
    given = recipe["stiffness"]
    total = len(recipe["families"]) * (len(given["scales"]) + 1) * len(given["horizons"]) * SOLVERS
    stiffness = listed("stiffness: record", stiffness_records(recipe), total)
    write_sealed(out, {"spec": recipe, "records": records, "stiffness": stiffness})


def _family(recipe: Recipe, family: str) -> Iterator[dict[str, Any]]:
    """One record per initialisation, horizon and way back.

    `reference_gap` is the relative difference between the reference and another solution of the
    same problem by another solver and its adjoint: how far the errors can be trusted.
    """
    model = MLP(2, recipe["hidden"])
    sizes = {name: recipe[name] for name in ("tasks", "support", "query")}
    known, probes = draw_study_tasks(family, recipe["seed"], **sizes)
    exact = probes.batch(slice(None), torch.float64)
    starts = initialisations(model, known, recipe["training"], recipe["seed"])
    for start, theta in starts.items():
        for horizon in recipe["horizons"]:
            reference = truth(model, theta, exact, horizon)
            check = meta_gradient(
                recipe["training"]["method"], model, theta.double(), exact, horizon=horizon, **CHECK
            )
            gap = compare(check.gradient, reference)[1]
            for name, given in recipe["methods"].items():
                dtype = DTYPES[given["dtype"]]
                found, _ = measured(
                    given["method"],
                    given["settings"] | {"horizon": horizon},
                    model,
                    theta.to(dtype),
                    probes.batch(slice(None), dtype),
                    reference,
                )
                place = {"family": family, "initialisation": start, "horizon": horizon}
                yield place | {"method": name, "reference_gap": gap} | found
