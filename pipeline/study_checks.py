"""Recipes of studies given by hand (`--spec`): types, bounds and settings, before any work."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pipeline.config import Count, Positive
from pipeline.config_errors import explain
from pipeline.config_studies import Stiffness
from pipeline.core import check_settings
from pipeline.errors import BadInput
from pipeline.specs import Recipe

_Settings = dict[str, Any]
_Families = Annotated[list[Literal["cosmixture", "alpine"]], Field(min_length=1)]


class _Open(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Training(_Open):
    method: str
    settings: _Settings
    outer_lr: Positive
    meta_batch: Count
    updates: Count


class _Study(_Open):
    seed: Annotated[int, Field(ge=0)]
    families: _Families
    support: Count
    query: Count
    tasks: Count
    hidden: Annotated[list[Count], Field(min_length=1)]
    dtype: Literal["float32", "float64"]
    training: _Training


class _Way(_Open):
    method: str
    settings: _Settings
    dtype: Literal["float32", "float64"]


class _Solvers(Stiffness):
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


Schema = TypeVar("Schema", bound=_Study)


def check_stability_recipe(recipe: Recipe) -> None:
    """Refuse a recipe that lacks something or cannot work.

    Raises:
        BadInput: with one line per fault.
    """
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
