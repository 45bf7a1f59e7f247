"""Every number of docs/results.md that names a cell is that of the cell, as it is rounded."""

import re
from pathlib import Path

import pytest

from pipeline.report.grid_tables import read_table

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
CITED = re.compile(r"(\S+?)<!-- (\S+)/(\S+) (\S+) (\S+) -->")
CITATIONS = CITED.findall(TEXT)


def test_numbers_are_cited():
    assert len(CITATIONS) == TEXT.count("<!--") > 20


@pytest.mark.parametrize(("said", "grid", "name", "row", "column"), CITATIONS)
def test_a_cited_number_is_that_of_its_cell(said, grid, name, row, column):
    table = read_table(ROOT / "results" / grid, name)
    value = float(table.rows[table.find(row)][column])
    decimals = len(said.partition(".")[2])
    assert f"{value:.{decimals}f}" == said
