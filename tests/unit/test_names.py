"""No method and no data set is named in `pipeline/` but on its card and in its own module.

What is said of the paper's claims may name them, too (`pipeline/paper/`).
"""

import re
from importlib.util import find_spec
from pathlib import Path

from pipeline.config.methods import METHODS
from pipeline.data import families, sets

PACKAGE = Path(__file__).parents[2] / "pipeline"
NAMES = r"amaml|reptile|fomaml|imaml|cosmixture|alpine|jester|ml-1m|ml-100k"


def own_modules() -> set[Path]:
    """Cards of methods, data sets and families, and the modules that the cards name."""
    cards = [f"pipeline.config.methods.{name}" for name in METHODS]
    code = [card.code for card in METHODS.values()]
    data = [*sets.MODULES.values(), *families.MODULES.values()]
    specs = [find_spec(module) for module in (*cards, *code, *data)]
    return {Path(spec.origin) for spec in specs if spec and spec.origin}


def naming() -> list[str]:
    """Lines that name a method or data set outside its own place."""
    allowed = own_modules()
    return [
        f"{path.relative_to(PACKAGE).as_posix()}:{number}: {line.strip()}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path not in allowed and path.relative_to(PACKAGE).parts[0] != "paper"
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if re.search(NAMES, line)
    ]


def test_names_stand_on_cards_and_in_their_own_modules() -> None:
    assert naming() == [], "take it from the card, or have the card say it"


def test_every_registry_has_names_that_are_looked_for() -> None:
    for registry in (METHODS, sets.SOURCES, families.FAMILIES):
        assert any(re.search(NAMES, name) for name in registry)
