"""What the columns of the tables hold, with their units: headings, tooltips and `explain`.

The texts stand in columns.yaml beside this file.
"""

from string import Template

import yaml

from pipeline.config.methods import BUDGET, WAYS
from pipeline.report.texts import text_of

_OF_CARDS = {
    "budget": BUDGET.title,
    "budget_name": BUDGET.name,
    "ways": "; ".join(f"{name}: {way.description}" for name, (_, way) in WAYS.items()),
}
_SUFFIXES = {
    "_stderr": (
        "± se",
        "standard error of {}, over test tasks and seeds (pipeline/tables/pooling.py)",
    ),
    "_seed_std": ("seed sd", "standard deviation over seeds of {}"),
}


def heading(column: str, table: str = "") -> str:
    """The heading a column has on the page; in `table`, where it has one of its own there."""
    if found := _entry(column, table):
        return found[0]
    base, suffix = _split(column)
    return f"{heading(base)} {_SUFFIXES[suffix][0]}" if suffix else column.replace("_", " ")


def meaning(column: str, table: str = "") -> str:
    """What a column holds (in `table`), with its unit; empty when nothing is written of it."""
    if found := _entry(column, table):
        return found[1]
    base, suffix = _split(column)
    return _SUFFIXES[suffix][1].format(heading(base)) if suffix and meaning(base) else ""


def _entry(column: str, table: str) -> list[str] | None:
    return OWN.get(table, {}).get(column) or COLUMNS.get(column)


def _split(column: str) -> tuple[str, str]:
    for suffix in _SUFFIXES:
        if column.endswith(suffix) and len(column) > len(suffix):
            return column.removesuffix(suffix), suffix
    return column, ""


def _filled(text: str) -> str:
    return Template(text).substitute(_OF_CARDS)


def _written() -> dict[str, dict[str, list[str]]]:
    """Heading and meaning by table and column."""
    return {
        table: {_filled(column): [*map(_filled, said)] for column, said in columns.items()}
        for table, columns in yaml.safe_load(text_of("columns.yaml")).items()
    }


OWN = _written()  # of one table, where a column means something else there
COLUMNS = OWN.pop("every")
