"""Cards of the rating data sets, a module each: a new one is a new file here, found by listing.

Names with a leading underscore hold what several cards share.
"""

from importlib import import_module
from pkgutil import iter_modules

_modules = [
    import_module(f"{__name__}.{found.name}")
    for found in iter_modules(__path__)
    if not found.name.startswith("_")
]
_modules.sort(key=lambda module: (module.CARD.order, module.CARD.name))

SOURCES = {module.CARD.name: module.CARD for module in _modules}
"""Name -> card, in the order in which data sets are shown."""
MODULES = {module.CARD.name: module.__name__ for module in _modules}
"""Name -> module of the card."""
