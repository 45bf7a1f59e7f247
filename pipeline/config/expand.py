"""Where paper, authors' released code and we differ, and what each point changes.

A point is switched by `switch` in a file of grids/; as we have it is the default. The grid's
methods and settings (pipeline/config/grids.py) then hold the released values, so recipes and
everything after them have concrete values only. Points of one method stand on its card, those of
the training and test that all methods share, and those of the data, here.
"""

from collections.abc import Mapping
from typing import Any

from pipeline.config.card import MethodSettings, Point
from pipeline.config.methods import METHODS
from pipeline.data.cards import RELEASED_SUFFIX
from pipeline.data.families import FAMILIES, PRINTED

ANY_METHODS_POINTS = {
    "outer_optimiser": Point(
        "outer optimiser",
        paper="Adam, learning rate 1e-3",
        released="plain gradient step, learning rate 1e-2",
        ours="Adam, learning rate 1e-3",
        order=40,
        training={"outer_optimiser": "sgd", "outer_lr": 1e-2},
    ),
    "meta_test": Point(
        "meta-test training",
        paper="gradient descent, alpha 0.01",
        released="Adam, learning rate 1e-3 (for 5,000 epochs; the switch keeps the grid's steps)",
        ours="gradient descent, alpha 0.01",
        order=50,
        evaluation={"optimiser": "adam", "learning_rate": 1e-3},
    ),
}


def _in_order(points: Mapping[str, Point]) -> dict[str, Point]:
    return dict(sorted(points.items(), key=lambda named: named[1].order))


METHOD_POINTS = _in_order(
    ANY_METHODS_POINTS
    | {name: point for card in METHODS.values() for name, point in card.points.items()}
)
_REWRITTEN = [FAMILIES[name] for name in PRINTED if FAMILIES[name].released]
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
        paper=", ".join(f"{family.title} {family.equation}" for family in _REWRITTEN),
        released="; ".join(
            f"{family.title}: {family.released.differs}" for family in _REWRITTEN if family.released
        ),
        ours=" and ".join(family.equation for family in _REWRITTEN),
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


def points_of(method: MethodSettings) -> list[str]:
    """Points of an entry of `methods`: those of its card, and those of any method."""
    return list(_in_order(ANY_METHODS_POINTS | dict(METHODS[method.method].points)))


def released_method(method: MethodSettings, points: list[str]) -> dict[str, Any]:
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
