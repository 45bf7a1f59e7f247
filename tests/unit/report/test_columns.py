"""Every column of every table has a heading, and a meaning with its unit."""

import pytest

from pipeline.paper.claims import CLAIM_COLUMNS
from pipeline.report.columns import COLUMNS, OWN, heading, meaning
from pipeline.tables import build

TABLES = build.COLUMNS | {"claims": CLAIM_COLUMNS}


@pytest.mark.parametrize("table", TABLES)
def test_every_column_has_a_heading_and_a_meaning(table: str) -> None:
    missing = [name for name in TABLES[table] if not meaning(name, table)]
    assert missing == [], "a new column needs a line in pipeline/report/columns.yaml"
    assert all(heading(name, table) for name in TABLES[table])


def test_no_meaning_is_of_a_column_that_no_table_has() -> None:
    every = {column for columns in TABLES.values() for column in columns}
    assert set(COLUMNS) <= every
    for table, columns in OWN.items():
        assert set(columns) <= set(TABLES[table])


def test_a_tables_own_meaning_comes_first() -> None:
    assert "shorter K" in meaning("difference", "horizons")
    assert "shorter" not in meaning("difference", "comparisons")
    assert meaning("nrmse_stderr") == (
        "standard error of nRMSE, over test tasks and seeds (pipeline/tables/pooling.py)"
    )
    assert meaning("nonsense_stderr") == meaning("nonsense") == ""
