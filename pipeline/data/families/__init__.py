"""The synthetic families, card and function in a module each: a new one is a new file here.

They are found by listing the folder. Equation numbers are those of Li et al. 2023,
arXiv:2110.08432.
"""

from importlib import import_module
from pkgutil import iter_modules

from pipeline.data.cards import Family

_modules = [import_module(f"{__name__}.{found.name}") for found in iter_modules(__path__)]
_modules.sort(key=lambda module: (module.CARD.order, module.CARD.name))

PRINTED = tuple(module.CARD.name for module in _modules)
"""Families as printed; some exist as the authors' code has them, too."""
FAMILIES: dict[str, Family] = {
    family.name: family
    for module in _modules
    for family in (module.CARD, module.CARD.released)
    if family is not None
}
"""Name -> family, in the order in which they are shown."""
MODULES = {
    family.name: module.__name__
    for module in _modules
    for family in (module.CARD, module.CARD.released)
    if family is not None
}
"""Name -> module of card and function, which recipes depend on."""
(PROFILED,) = (family for family in FAMILIES.values() if family.is_profiled)
