"""Every column of every table has a heading, and a meaning with its unit."""

import importlib
from pathlib import Path

import pytest

import pipeline
from pipeline.config.studies import STUDIES
from pipeline.report.columns import COLUMNS, OWN, heading, meaning
from pipeline.tables.extra_rows import EXTRA_COLUMNS

# constants of columns -> the table that they are of
TABLES = {
    "MAIN_COLUMNS": "main",
    "PER_SEED_COLUMNS": "per_seed",
    "CURVE_COLUMNS": "curves",
    "TRAINING_COLUMNS": "training",
    "COST_COLUMNS": "costs",
    "COMPARISON_COLUMNS": "comparisons",
    "VERDICT_COLUMNS": "verdicts",
    "RATING_COLUMNS": "rating_verdicts",
    "AUDIT_COLUMNS": "audit",
    "EQUAL_COST_COLUMNS": "equal_cost",
    "STABILITY_COLUMNS": "stability",
    "STIFFNESS_COLUMNS": "stiffness",
    "FIDELITY_COLUMNS": "fidelity",
    "NOISE_COLUMNS": "noise",
    "ABLATION_COLUMNS": "ablation",
    "HORIZON_COLUMNS": "horizons",
    "EARLY_COLUMNS": "early_stopping",
    "CHOICE_COLUMNS": "choices",
}


def columns_of_modules() -> dict[str, tuple[str, ...]]:
    """All constants named `*_COLUMNS` of the modules that make tables."""
    folder = Path(pipeline.__file__).parent
    names = [
        f"{room}.{path.stem}"
        for room in ("tables", "paper")
        for path in (folder / room).glob("*.py")
        if "_COLUMNS" in path.read_text()
    ]
    found = {}
    for name in names:
        for constant, value in vars(importlib.import_module(f"pipeline.{name}")).items():
            if constant.endswith("_COLUMNS") and isinstance(value, tuple):
                found[constant] = value
    return found


FOUND = columns_of_modules()
CONSTANTS = {table: constant for constant, table in TABLES.items()}


def test_every_table_is_known_here() -> None:
    assert set(FOUND) == set(TABLES)
    assert {name: FOUND[CONSTANTS[name]] for name in EXTRA_COLUMNS} == EXTRA_COLUMNS
    assert {table for tables in STUDIES.values() for table in tables} <= set(TABLES.values())


@pytest.mark.parametrize("constant", TABLES)
def test_every_column_has_a_heading_and_a_meaning(constant: str) -> None:
    table = TABLES[constant]
    missing = [name for name in FOUND[constant] if not meaning(name, table)]
    assert missing == [], "a new column needs a line in pipeline/report/*columns.py"
    headings = [heading(name, table) for name in FOUND[constant]]
    assert len(headings) == len(FOUND[constant])
    assert all(headings)


def test_no_meaning_is_of_a_column_that_no_table_has() -> None:
    every = {column for name in TABLES for column in FOUND[name]}
    assert set(COLUMNS) <= every
    of = {table: set(FOUND[name]) for name, table in TABLES.items()}
    for table, own in OWN.items():
        assert set(own) <= of[table], table


def test_a_tables_own_meaning_comes_first() -> None:
    assert "shorter K" in meaning("difference", "horizons")
    assert "shorter" not in meaning("difference", "comparisons")
    assert meaning("nrmse_stderr") == (
        "standard error of nRMSE, over test tasks and seeds (pipeline/tables/pooling.py)"
    )
    assert meaning("nonsense_stderr") == meaning("nonsense") == ""
