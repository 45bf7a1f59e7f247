"""Recipes given by hand (`--spec`): types, bounds and settings, before any work is done."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.config.card import Width
from pipeline.config.messages import explain
from pipeline.config.schema import (
    Count,
    Evaluation,
    Hidden,
    NotNegative,
    Positive,
    Seed,
    Training,
)
from pipeline.config.studies import Families
from pipeline.core import check_settings
from pipeline.data.pools import Episodes
from pipeline.errors import BadInput
from pipeline.runs.recipe import Recipe, digest

OF_THE_SEED = ("seed", "episodes")  # of a run's recipe; all else is the method's and setting's


class _Training(Training):
    """A recipe has no defaults."""

    stop_change: NotNegative
    validate_every: Count
    gradient_limit: Positive
    checkpoint_every: Count = 1  # no part of a recipe


class _Open(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


_Settings = dict[str, Any]
_Dtype = Literal["float32", "float64"]


class _Recipe(_Open):
    method: str
    label: str
    hidden: Hidden
    dtype: _Dtype


class _RunRecipe(_Recipe):
    hidden: list[Width]  # none beside `model`
    setting: str
    dataset: str
    seed: Seed
    support: Count
    query: Count
    inner_steps: Count
    settings: _Settings
    training: _Training
    evaluation: Evaluation


class _ProfileRecipe(_Recipe):
    meta_batch: Count
    repeats: Count
    settings: dict[Annotated[str, Field(pattern=r"^\d+$")], _Settings]


Schema = TypeVar("Schema", bound=BaseModel)


def check_run_recipe(recipe: Recipe) -> None:
    """Refuse a run's recipe that lacks something or cannot work.

    Raises:
        BadInput: with one line per fault.
    """
    given = _validated(_RunRecipe, recipe)
    _check([("settings", given.method, given.settings)])


def check_job(recipes: Sequence[Recipe]) -> None:
    """Refuse recipes that cannot be trained together: all but the seed has to be the same.

    Raises:
        BadInput: naming what differs, or a seed that stands there twice.
    """
    first = recipes[0]
    seeds = [recipe["seed"] for recipe in recipes]
    if len(set(seeds)) != len(seeds):
        raise BadInput(f"recipes: found the seeds {seeds}, each may stand there once; drop one")
    for recipe in recipes[1:]:
        keys = (first.keys() | recipe.keys()) - set(OF_THE_SEED)
        if differing := sorted(key for key in keys if first.get(key) != recipe.get(key)):
            raise BadInput(
                f"recipes: found seed {recipe['seed']} with another {', '.join(differing)} than "
                f"seed {first['seed']}; needed recipes that differ in {' and '.join(OF_THE_SEED)} "
                "only. Train them by a call each."
            )


def check_profile_recipe(recipe: Recipe) -> None:
    """The same for a cost profile's recipe."""
    given = _validated(_ProfileRecipe, recipe)
    _check((f"settings.{k}", given.method, settings) for k, settings in given.settings.items())


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


def check_same_inputs(features: Mapping[str, int]) -> None:
    """Refuse seeds that need networks of different sizes; `features` by episodes file.

    Raises:
        BadInput: naming two files and the widths of their inputs.
    """
    (first, wanted), *others = features.items()
    for file, found in others:
        if found != wanted:
            raise BadInput(
                f"{file}: found tasks with {found} input features, but {first} has {wanted}; "
                "seeds that are trained together need the same network. Freeze the episodes "
                "again from one task set, or train each seed by a call of its own "
                "(`seeds_per_job: 1`)."
            )


# Recipes of studies given by hand (`--spec`).


class _StudyTraining(_Open):
    method: str
    settings: _Settings
    outer_lr: Positive
    meta_batch: Count
    updates: Count


class _Study(_Open):
    seed: Seed
    families: Families
    support: Count
    query: Count
    tasks: Count
    hidden: Hidden
    dtype: _Dtype
    training: _StudyTraining


class _Way(_Open):
    method: str
    settings: _Settings
    dtype: _Dtype


class _Solvers(_Open):
    horizons: Annotated[list[Positive], Field(min_length=1)]
    scales: Annotated[list[Positive], Field(min_length=1)]
    rtol: Positive
    atol: Positive


class _Stability(_Study):
    methods: Annotated[dict[str, _Way], Field(min_length=1)]
    horizons: Annotated[list[Positive], Field(min_length=1)]
    stiffness: _Solvers


class _Method(_Open):
    method: str
    settings: dict[str, _Settings]


class _Fidelity(_Study):
    methods: Annotated[dict[str, _Method], Field(min_length=1)]
    inner_steps: Annotated[list[Count], Field(min_length=1)]
    inner_lr: Positive
    batches: Count


class _Noise(_Fidelity):
    batches: Annotated[int, Field(ge=2)]


def check_stability_recipe(recipe: Recipe) -> None:
    """The same for the stability study's recipe."""
    given = _validated(_Stability, recipe)
    _check(
        (f"methods.{name}.settings", way.method, way.settings | {"horizon": horizon})
        for name, way in given.methods.items()
        for horizon in given.horizons
    )
    _check([("training.settings", given.training.method, given.training.settings)])


def check_fidelity_recipe(recipe: Recipe) -> None:
    """The same for the fidelity study's recipe."""
    _check_methods(_validated(_Fidelity, recipe))


def check_noise_recipe(recipe: Recipe) -> None:
    """The same for the noise study's recipe, which needs two meta-batches to compare."""
    _check_methods(_validated(_Noise, recipe))


def _check_methods(given: _Fidelity) -> None:
    for label, method in given.methods.items():
        missing = [k for k in given.inner_steps if str(k) not in method.settings]
        if missing:
            raise BadInput(
                f"recipe: methods.{label}.settings: found none for the inner steps {missing}; "
                "needed settings for each of inner_steps. Leave --spec out to take the recipe "
                "from params.yaml."
            )
    _check(
        (f"methods.{label}.settings.{steps}", method.method, settings)
        for label, method in given.methods.items()
        for steps, settings in method.settings.items()
    )
    _check([("training.settings", given.training.method, given.training.settings)])


def _validated(schema: type[Schema], recipe: Recipe) -> Schema:
    try:
        return schema.model_validate(recipe)
    except ValidationError as error:
        raise BadInput("recipe: " + "\n".join(explain(error, schema))) from None


def _check(used: Iterable[tuple[str, str, _Settings]]) -> None:
    """Refuse what a method would: of each, where it stands, the method and its settings."""
    for where, method, settings in used:
        try:
            check_settings(method, settings)
        except (ValueError, TypeError) as error:
            raise BadInput(f"recipe: {where}: {error}") from None
