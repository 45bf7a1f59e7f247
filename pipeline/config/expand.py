"""What entries of `methods` and `settings` can be made of: another entry, and `variant`."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

# Where paper, authors' released code and we differ: the one table, and what each row changes.
#
# A point is switched by `variant: {point: released}` in an entry of `methods` or `settings` in
# params.yaml; `ours` is the default. The schema puts the released values in place, so recipes
# and everything after them hold concrete values only. This module imports nothing heavy.

OURS, RELEASED = "ours", "released"
RELEASED_SUFFIX = "-released"  # of the data sets that are a family as the authors' code has it


@dataclass(frozen=True)
class Point:
    """One row of the table; texts are for the report.

    Attributes:
        title: name of the point.
        paper, released, ours: what each of the three does.
        entry: values that `released` puts into the entry of `methods` or `settings`.
        training, evaluation: values it puts into these sections for the entry's runs.
    """

    title: str
    paper: str
    released: str
    ours: str
    entry: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)


METHOD_POINTS = {
    "inner_objective": Point(
        "inner objective",
        paper="plain loss, no proximal term",
        released="1/2 |u - theta|² added in the flow and in the outer loss",
        ours="plain loss",
        entry={"regulariser": 1.0, "outer_regulariser": 1.0},
    ),
    "forward": Point(
        "forward solver",
        paper="RK45",
        released="fixed-step RK4",
        ours="dopri5 (amaml), RKC2 (amaml_rkc)",
        entry={"solver": "rk4"},
    ),
    "backward": Point(
        "backward solver",
        paper="modified Euler",
        released="plain Euler with one step too many",
        ours="modified Euler with n steps (amaml), discrete adjoint (amaml_rkc)",
        entry={"backward": "released"},
    ),
    "outer_optimiser": Point(
        "outer optimiser",
        paper="Adam, learning rate 1e-3",
        released="plain gradient step, learning rate 1e-2",
        ours="Adam, learning rate 1e-3",
        training={"outer_optimiser": "sgd", "outer_lr": 1e-2},
    ),
    "meta_test": Point(
        "meta-test training",
        paper="gradient descent, alpha 0.01",
        released="Adam, learning rate 1e-3 (for 5,000 epochs; the switch keeps the grid's steps)",
        ours="gradient descent, alpha 0.01",
        evaluation={"optimiser": "adam", "learning_rate": 1e-3},
    ),
    "imaml": Point(
        "iMAML system",
        paper="conjugate gradients on (I + H/lambda) g = v",
        released="imaml_dev: ((1 + rho) I + H/(lambda + delta)) g = v with rho = 1, delta = 10",
        ours="(I + H/lambda) g = v",
        entry={"cg_regulariser": 1.0, "cg_damping": 10.0},
    ),
}
SETTING_POINTS = {
    "scaling": Point(
        "scaling",
        paper="not said",
        released="statistics of all tasks, validation and test included",
        ours="statistics of the meta-training tasks",
        entry={"scaling": "all"},
    ),
    # the data set becomes the one with `RELEASED_SUFFIX`
    "family": Point(
        "synthetic family",
        paper="CosMixture (12), Alpine (13)",
        released="CosMixture: ranges of frequency and phase swapped, no factor 0.1; Alpine: one "
        "shared phase, sign of 0.1 x flipped",
        ours="(12) and (13)",
    ),
    "threshold": Point(
        "rating threshold",
        paper="users with at least 20 ratings of the kept items",
        released="loader not released; `released` stands for the paper's 20 here",
        ours="10 (data.min_ratings)",
        entry={"min_ratings": 20},
    ),
}


ALL = "all"  # the point of a label that switches all points of its method together


def switched_method(label: str) -> tuple[str, str] | None:
    """Method and point of a label named as in params.yaml; None of one that varies nothing.

    `amaml-forward-released`, `amaml-released-all`; `imaml-released`, whose point has its name.
    """
    if found := re.fullmatch(r"(.+)-released-all", label):
        return found[1], ALL
    if found := re.fullmatch(rf"(.+)-({'|'.join(METHOD_POINTS)})-released", label):
        return found[1], found[2]
    method = label.removesuffix(RELEASED_SUFFIX)
    return (method, method) if method != label and method in METHOD_POINTS else None


def switched_setting(setting: str) -> tuple[str, str] | None:
    """Setting and point of a name such as `{setting}-scaling-released`; None of any other."""
    found = re.fullmatch(rf"(.+)-({'|'.join(SETTING_POINTS)})-released", setting)
    return (found[1], found[2]) if found else None


def released_points(variant: Any) -> list[str]:
    """Points that a `variant` as written in params.yaml switches; none of what is no mapping."""
    if not isinstance(variant, Mapping):
        return []
    return [point for point, value in variant.items() if value == RELEASED]


def with_released(
    given: Mapping[str, Any], points: Mapping[str, Point], families: Iterable[str]
) -> dict[str, Any]:
    """An entry of `methods` or `settings` with the released values that its `variant` asks for.

    Args:
        points: those that make sense for the entry; others are left to the schema to refuse.
        families: data sets that exist as the authors' code has them, too.
    """
    entry = dict(given)
    for name in released_points(given.get("variant")):
        if name in points:
            entry |= points[name].entry
        if name == "family" and entry.get("dataset") in list(families):
            entry["dataset"] += RELEASED_SUFFIX
    return entry


def with_section(
    section: str, values: dict[str, Any], variant: Mapping[str, str]
) -> dict[str, Any]:
    """`training` or `evaluation` as the runs of a method with this `variant` have it."""
    for name in released_points(variant):
        values = values | getattr(METHOD_POINTS[name], section)
    return values


FAMILIES = ("cosmixture", "alpine")  # as printed; each exists as the authors' code has it, too
Switch = Literal["ours", "released"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MethodVariant(Strict):
    """Points of the table of differences that make sense for every method."""

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
