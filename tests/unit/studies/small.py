"""Recipes of studies that take seconds: a small network, few tasks."""

import copy
import json
from pathlib import Path
from typing import Any

from pipeline.config.load import read_config
from pipeline.config.schema import Params, check_params
from pipeline.jobs.recipes import study_recipe
from pipeline.runs.recipe import Recipe, canonical

SHIPPED = read_config(Path(__file__).parents[3] / "params.yaml")


def params(**studies: Any) -> Params:
    """The shipped parameters on a grid `ci` with other studies, small."""
    raw = copy.deepcopy(SHIPPED)
    raw["grid"] = "ci"
    given = raw["grids"]["ci"]["studies"]
    for name, changes in studies.items():
        given[name] |= changes
    return check_params(raw)


def recipe(name: str, **changes: Any) -> Recipe:
    """A study's recipe, as the command line would read it."""
    return json.loads(canonical(study_recipe(params(**{name: changes}), name)))
