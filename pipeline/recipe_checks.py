"""Recipes given by hand (`--spec`): types, bounds and settings, before any work is done."""

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.config import Count, Evaluation, Training
from pipeline.config_errors import explain
from pipeline.core import check_settings
from pipeline.data.pools import Episodes
from pipeline.errors import BadInput
from pipeline.specs import Recipe, digest


class _Training(Training):
    checkpoint_every: Count = 1  # no part of a recipe


class _Recipe(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    method: str
    label: str
    hidden: Annotated[list[Count], Field(min_length=1)]
    dtype: Literal["float32", "float64"]


class _RunRecipe(_Recipe):
    setting: str
    dataset: str
    seed: Annotated[int, Field(ge=0)]
    support: Count
    query: Count
    inner_steps: Count
    settings: dict[str, Any]
    training: _Training
    evaluation: Evaluation


class _ProfileRecipe(_Recipe):
    meta_batch: Count
    repeats: Count
    settings: dict[Annotated[str, Field(pattern=r"^\d+$")], dict[str, Any]]


Schema = TypeVar("Schema", bound=_Recipe)


def check_run_recipe(recipe: Recipe) -> None:
    """Refuse a run's recipe that lacks something or cannot work.

    Raises:
        BadInput: with one line per fault.
    """
    given = _validated(_RunRecipe, recipe)
    _check_settings(given.method, given.settings, "settings")


def check_profile_recipe(recipe: Recipe) -> None:
    """The same for a cost profile's recipe."""
    given = _validated(_ProfileRecipe, recipe)
    for steps, settings in given.settings.items():
        _check_settings(given.method, settings, f"settings.{steps}")


def check_episodes(recipe: Recipe, episodes: Episodes) -> None:
    """Refuse episodes that were frozen for another recipe than the run's.

    Raises:
        BadInput: naming what differs.
    """
    about = episodes.metadata
    for name in ("dataset", "seed", "support", "query"):
        if about[name] != recipe[name]:
            raise BadInput(
                f"episodes: found {name} {about[name]!r}, but the recipe says {recipe[name]!r}. "
                "Give the episodes of the same setting and seed, or run `freeze-episodes`."
            )
    wanted = recipe.get("episodes")
    if wanted is not None and "spec" in about and digest(json.loads(about["spec"])) != wanted:
        raise BadInput(
            "episodes: found a file made with other parameters or by other code than the recipe "
            "says. Run `freeze-episodes` (or `snakemake`) again."
        )


def _validated(schema: type[Schema], recipe: Recipe) -> Schema:
    try:
        return schema.model_validate(recipe)
    except ValidationError as error:
        raise BadInput("recipe: " + "\n".join(explain(error, schema))) from None


def _check_settings(method: str, settings: dict[str, Any], where: str) -> None:
    try:
        check_settings(method, settings)
    except (ValueError, TypeError) as error:
        raise BadInput(f"recipe: {where}: {error}") from None
