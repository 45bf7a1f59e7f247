"""The one order and the names in which methods, trivial predictors and data sets are shown.

Tables and figures sort by these registries, never by the order in which jobs or arguments came,
so that the same records give the same bytes. What is not registered comes after, by name.
"""

import re
from collections.abc import Iterable

from pipeline.config.methods import METHODS as CARDS
from pipeline.config.predictors import ASKED_FOR, JUDGED_BY, PREDICTORS, UNTRAINED
from pipeline.config.variants import variant_of
from pipeline.data.families import FAMILIES
from pipeline.data.sets import SOURCES

METHODS = {name: card.title for name, card in CARDS.items()}
# Labels that vary a method and have a name and line of their own, by method.
VARIANTS = {
    name: {f"{name}-{end}": f"{card.title}, {own.title}" for end, own in card.variants.items()}
    for name, card in CARDS.items()
}
# Parameters by the names that they have in titles of methods that vary one.
PARAMETERS = {
    "omega": "ω",
    "outer_lr": "outer rate",
    "meta_batch": "meta-batch",
    "aggregate": "",
    "rates": "learned rates per",
}
# of the kind `trivial` in tables: all that need no meta-training, also those a grid asks for
TRIVIAL = {name: card.title for name, card in PREDICTORS.items()}
OFFSET = JUDGED_BY.name  # the trivial predictor that ratings are judged by
DATASETS = {
    card.name: card.title
    for card in sorted(
        (*FAMILIES.values(), *SOURCES.values()), key=lambda card: (card.order, card.name)
    )
}
KINDS = ("method", UNTRAINED, "trivial")
# ratings made by a generator: labelled so wherever they are shown
SIMULATED = tuple(card.name for card in SOURCES.values() if card.simulated)

_UNKNOWN = ""  # the place of names that are not registered
SortKey = tuple[int, tuple[tuple[int, int, str], ...]]


def label_order(label: str) -> SortKey:
    """Sort key of a method, `untrained` or trivial predictor, in this order."""
    methods = [name for method in METHODS for name in (method, *VARIANTS[method])]
    registry = [*methods, _UNKNOWN, UNTRAINED, *TRIVIAL]
    variant = variant_of(label)
    if label not in registry and variant is not None and variant.base in registry:
        return registry.index(variant.base), _pieces(label)
    return _position(label, registry)


def setting_order(dataset: str, setting: str) -> tuple[SortKey, SortKey]:
    """Sort key of a setting: by data set, then by name with numbers in it as numbers."""
    return _position(dataset, [*DATASETS, _UNKNOWN]), _position(setting, [_UNKNOWN])


def label_title(label: str) -> str:
    """The name a method or predictor has in tables and figures; its label when it has none."""
    titles = METHODS | {UNTRAINED: "untrained"} | TRIVIAL
    for variants in VARIANTS.values():
        titles |= variants
    variant = variant_of(label)
    if label not in titles and variant is not None and variant.varied:
        own = ", ".join(
            f"{PARAMETERS.get(name, name)} {v}".strip() for name, v in variant.varied.items()
        )
        return f"{titles.get(variant.base, variant.base)}, {own}"
    return titles.get(label, label)


def best_of(labels: Iterable[str]) -> str:
    """What the best of some predictors is called: `best trivial`, where all of them are trivial."""
    return "best predictor" if ASKED_FOR.keys() & set(labels) else "best trivial"


def kind_said(label: str) -> str:
    """`trivial` of a predictor that is; nothing of others."""
    return "trivial" if label in TRIVIAL and label not in ASKED_FOR else ""


def is_own(dataset: str) -> bool:
    """Whether a data set is a person's own: this project has no card of it."""
    return dataset not in DATASETS


def counted(number: int, noun: str) -> str:
    """`1 setting`, `2 settings`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _position(name: str, registry: list[str]) -> SortKey:
    place = registry.index(name if name in registry else _UNKNOWN)
    return place, _pieces(name)


def _pieces(name: str) -> tuple[tuple[int, int, str], ...]:
    pieces = (piece for piece in re.split(r"(\d+)", name) if piece)
    return tuple((0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces)
