"""Every column of every table has a heading, and a meaning with its unit."""

import pytest

from pipeline.config.measures import CLASSES, MEASURES, Measure
from pipeline.paper.claims import CLAIM_COLUMNS
from pipeline.report.columns import EVERY, columns_of, heading, meaning
from pipeline.tables import build

TABLES = {m.name: build.columns_of(m) | {"claims": CLAIM_COLUMNS} for m in MEASURES}


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.name)
@pytest.mark.parametrize("table", TABLES["nrmse"])
def test_every_column_has_a_heading_and_a_meaning(table: str, measure: Measure) -> None:
    columns = TABLES[measure.name][table]
    missing = [name for name in columns if not meaning(name, table, measure)]
    assert missing == [], "a new column needs a line in pipeline/report/columns.yaml"
    said = [heading(name, table, measure) + meaning(name, table, measure) for name in columns]
    assert not any("$" in text for text in said)


def test_no_meaning_is_of_a_column_that_no_table_has() -> None:
    every = {name for tables in TABLES.values() for names in tables.values() for name in names}
    for measure, tables in TABLES.items():
        for table, columns in columns_of(measure).items():
            assert set(columns) <= (every if table == EVERY else set(tables[table])), table


def test_texts_name_the_error_of_the_grid() -> None:
    assert "log loss minus the other's" in meaning("difference", "comparisons", CLASSES)
    assert heading("validation_log_loss", "training", CLASSES) == "validation log loss"
    assert meaning("validation_log_loss", "training", CLASSES).endswith("nats")


def test_a_tables_own_meaning_comes_first() -> None:
    assert "shorter K" in meaning("difference", "horizons")
    assert "shorter" not in meaning("difference", "comparisons")
    assert meaning("nrmse_stderr") == (
        "standard error of nRMSE, over test tasks and seeds (pipeline/tables/pooling.py)"
    )
    assert meaning("nonsense_stderr") == meaning("nonsense") == ""
