"""The methods, a module each: a new one is a new file here.

Each registers itself with `@method(name)` (registry.py). All are found by listing this folder,
so that `METHODS` is in the order of its files.
"""

from importlib import import_module
from pkgutil import iter_modules

from pipeline.core.registry import METHODS

for _name in sorted(module.name for module in iter_modules(__path__)):
    import_module(f"{__name__}.{_name}")

__all__ = ["METHODS"]
