"""A recipe: what one job makes its record of, as JSON that the record carries.

Which recipe a job should have is said in pipeline/jobs/recipes.py; here is what all who read or
compare one need.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pipeline.config.schema import USUAL_TRAINING

Recipe = dict[str, Any]

# Entries of a recipe that say by which code, directly or in its inputs; all else are parameters.
OF_CODE = ("code", "episodes")


def canonical(recipe: Recipe) -> str:
    """The one JSON text of a recipe."""
    return json.dumps(recipe, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(recipe: Recipe) -> str:
    """Sixteen hexadecimal digits that name a recipe."""
    return hashlib.sha256(canonical(recipe).encode()).hexdigest()[:16]


def job_digest(recipes: Sequence[Recipe]) -> str:
    """The same for the recipes that one job makes together; of one, its own digest."""
    if len(recipes) == 1:
        return digest(recipes[0])
    return digest({"recipes": [digest(recipe) for recipe in recipes]})


def flow_time(inner_lr: float, inner_steps: int) -> float:
    """T = alpha K, the horizon of a flow that stands for K inner steps.

    The only place where the one becomes the other: outside `core` horizons are counted in steps.
    """
    return inner_lr * inner_steps


def parameters_of(recipe: Recipe) -> Recipe:
    """A recipe without what the text of the code decides."""
    return {name: value for name, value in recipe.items() if name not in OF_CODE}


def outer_loop(recipe: Recipe) -> Recipe:
    """`training` of a recipe, with what it leaves out because it is as usual."""
    return USUAL_TRAINING | recipe.get("training", {})
