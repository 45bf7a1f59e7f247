"""Where paper, authors' released code and we differ: the one table, and what each row changes.

A point is switched by `switch` in a file of grids/; as we have it is the default. The grid's
methods and settings (pipeline/config/grids.py) then hold the released values, so recipes and
everything after them have concrete values only. This module imports nothing heavy.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from pipeline.data.cards import RELEASED_SUFFIX


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


ALL = "all"  # stands for all points of a method that are switched together


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class MethodTraining(Strict):
    """Values of `training` that one entry of `methods` may have for itself."""

    outer_optimiser: Literal["adam", "sgd"] | None = Field(
        default=None, description="replaces training.outer_optimiser for this method"
    )
    outer_lr: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="replaces training.outer_lr for this method"
    )
    meta_batch: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="replaces training.meta_batch for this method"
    )


class MethodEvaluation(Strict):
    """Values of `evaluation` that one entry of `methods` may have for itself."""

    optimiser: Literal["gd", "adam"] | None = Field(
        default=None, description="replaces evaluation.optimiser for this method"
    )
    learning_rate: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="replaces evaluation.learning_rate for this method"
    )


class VariedMethod(Strict):
    """What an entry of `methods` may have, whatever its method; a card's settings add to it."""

    method: str
    training: MethodTraining = MethodTraining()
    evaluation: MethodEvaluation = MethodEvaluation()


def points_of(method: VariedMethod) -> list[str]:
    """Points that make sense for a method: those whose values its entry has a place for."""
    fields = type(method).model_fields
    return [name for name, point in METHOD_POINTS.items() if point.entry.keys() <= fields.keys()]


def released_method(method: VariedMethod, points: list[str]) -> dict[str, Any]:
    """A method's entry with the values of these points in the place of its own."""
    entry = method.model_dump()
    for point in (METHOD_POINTS[name] for name in points):
        entry |= point.entry
        entry["training"] |= point.training
        entry["evaluation"] |= point.evaluation
    return entry


def released_setting(setting: Mapping[str, Any], point: str) -> dict[str, Any]:
    """A setting with the values of a point in the place of its own."""
    entry = {**setting, **SETTING_POINTS[point].entry}
    if point == "family":
        entry["dataset"] += RELEASED_SUFFIX
    return entry
