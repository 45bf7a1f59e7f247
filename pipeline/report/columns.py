"""What the columns of the tables hold, with their units: headings, tooltips and `explain`.

The texts stand in columns.yaml beside this file.
"""

from functools import cache
from string import Template

import yaml

from pipeline.config.measures import NUMBERS, Measure, measure_in
from pipeline.config.methods import BUDGET, WAYS
from pipeline.report.texts import text_of

EVERY = "every"
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


def heading(column: str, table: str = "", measure: Measure = NUMBERS) -> str:
    """The heading a column has on the page; in `table`, where it has one of its own there.

    Args:
        measure: of the grid.
    """
    if found := _entry(column, table, measure):
        return found[0]
    base, suffix = _split(column)
    if not suffix:
        return column.replace("_", " ")
    return f"{heading(base, measure=measure)} {_SUFFIXES[suffix][0]}"


def meaning(column: str, table: str = "", measure: Measure = NUMBERS) -> str:
    """What a column holds (in `table`), with its unit; empty when nothing is written of it."""
    if found := _entry(column, table, measure):
        return found[1]
    base, suffix = _split(column)
    if not suffix or not meaning(base, measure=measure):
        return ""
    return _SUFFIXES[suffix][1].format(heading(base, measure=measure))


def _entry(column: str, table: str, measure: Measure) -> list[str] | None:
    written = columns_of(measure.name)
    return written.get(table, {}).get(column) or written[EVERY].get(column)


def _split(column: str) -> tuple[str, str]:
    for suffix in _SUFFIXES:
        if column.endswith(suffix) and len(column) > len(suffix):
            return column.removesuffix(suffix), suffix
    return column, ""


@cache
def columns_of(name: str) -> dict[str, dict[str, list[str]]]:
    """Heading and meaning by table (`EVERY`: all others) and column, of a measure's grids."""
    measure = measure_in([name])

    def filled(text: str) -> str:
        return Template(measure.said(text)).substitute(_OF_CARDS)

    return {
        table: {filled(column): [*map(filled, said)] for column, said in columns.items()}
        for table, columns in yaml.safe_load(text_of("columns.yaml")).items()
    }
