"""Cards of the methods, a module each: a new one is a new file here, found by listing the folder.

Imports no torch: the workflow reads the cards each time it starts.
"""

from importlib import import_module
from pkgutil import iter_modules

from pipeline.config.card import MethodCard, Way


def _found() -> dict[str, MethodCard]:
    modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
    cards = sorted((module.CARD for module in modules), key=lambda card: (card.order, card.name))
    return {card.name: card for card in cards}


METHODS: dict[str, MethodCard] = _found()
"""Name -> card, in the order in which methods are shown."""
OURS = tuple(card.name for card in METHODS.values() if card.role == "ours")
TO_BEAT = tuple(card.name for card in METHODS.values() if not card.meta_learns)
(BUDGET,) = (card for card in METHODS.values() if card.is_budget)
(TRAINS_STUDIES,) = (card for card in METHODS.values() if card.trains_studies)


def _ways() -> dict[str, tuple[MethodCard, Way]]:
    every = [(name, card, way) for card in METHODS.values() for name, way in card.ways.items()]
    every.sort(key=lambda found: found[2].order)
    return {name: (card, way) for name, card, way in every}


WAYS = _ways()
"""Name of a way back -> its method's card and what it is, in their order."""
