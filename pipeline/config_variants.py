"""What entries of `methods` and `settings` can be made of: another entry, and `variant`."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.variants import METHOD_POINTS, SETTING_POINTS, Point, with_released

FAMILIES = ("cosmixture", "alpine")  # as printed; each exists as the authors' code has it, too
Switch = Literal["ours", "released"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MethodVariant(Strict):
    """Points of pipeline/variants.py that make sense for every method."""

    outer_optimiser: Switch = "ours"
    meta_test: Switch = "ours"


class AmamlVariant(MethodVariant):
    inner_objective: Switch = "ours"
    forward: Switch = "ours"
    backward: Switch = "ours"


class ImamlVariant(MethodVariant):
    imaml: Switch = "ours"


class SettingVariant(Strict):
    scaling: Switch = "ours"
    family: Switch = "ours"
    threshold: Switch = "ours"


class Varied(Strict):
    """An entry whose `variant` puts values of the authors' code in the place of its own."""

    POINTS: ClassVar[Mapping[str, Point]] = METHOD_POINTS

    @model_validator(mode="before")
    @classmethod
    def _put_released(cls, given: Any) -> Any:
        if not isinstance(given, Mapping):
            return given
        allowed = cls.model_fields["variant"].annotation.model_fields  # type: ignore[union-attr]
        points = {name: point for name, point in cls.POINTS.items() if name in allowed}
        return with_released(given, points, FAMILIES)


class MethodTraining(Strict):
    """Values of `training` that one entry of `methods` may have for itself."""

    outer_lr: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="replaces training.outer_lr for this method"
    )
    meta_batch: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="replaces training.meta_batch for this method"
    )


class VariedMethod(Varied):
    training: MethodTraining = MethodTraining()
    variant: MethodVariant = MethodVariant()


class VariedSetting(Varied):
    POINTS: ClassVar[Mapping[str, Point]] = SETTING_POINTS
    variant: SettingVariant = SettingVariant()


def filled_in(raw: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Parameters with `like` and the methods that labels name by themselves written out.

    Returns:
        The parameters, and one line per fault.
    """
    filled, faults = dict(raw), []
    for section in ("methods", "settings"):
        if isinstance(filled.get(section), Mapping):
            filled[section], more = _with_likes(section, filled[section])
            faults += more
    if isinstance(filled.get("methods"), Mapping):
        filled["methods"] = {
            label: {"method": label} | dict(given) if isinstance(given, Mapping) else given
            for label, given in filled["methods"].items()
        }
    return filled, faults


def _with_likes(section: str, entries: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Entries with `like: other` replaced by the other's values and their own over them."""
    found, faults = {}, []
    for label, given in entries.items():
        if not isinstance(given, Mapping) or "like" not in given:
            found[label] = given
            continue
        own = dict(given)
        name = own.pop("like")
        other = entries.get(name) if isinstance(name, str) else None
        plain = [key for key, value in entries.items() if _is_plain(value)]
        if not _is_plain(other):
            faults.append(
                f"{section}.{label}.like: found {name!r}, which is no entry of `{section}` with "
                f"values of its own; allowed: {', '.join(plain)}"
            )
            continue
        base = {"method": name} if section == "methods" else {}
        found[label] = base | dict(other) | own  # type: ignore[arg-type]
    return found, faults


def _is_plain(entry: Any) -> bool:
    return isinstance(entry, Mapping) and "like" not in entry
