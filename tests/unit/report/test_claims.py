"""Claims on the page: a hand-made grid's matrix of symbols, and captions without sentences."""

import re

import pytest

from pipeline.config.figures import FIGURES
from pipeline.config.tables import TABLES
from pipeline.paper.claims import CLAIM_COLUMNS
from pipeline.report.appendix import Links
from pipeline.report.blocks import Table
from pipeline.report.claims import behind, claim_blocks
from pipeline.report.grid_tables import read_table

ONE, TWO = "cosmixture-50shot-50val", "alpine-50shot-50val"
PAIR = {"step": "50", "reference": "amaml", "other": "fomaml", "difference": "-0.1"} | {
    **{"lo": "-0.2", "hi": "-0.05", "p": "0.001", "n_pairs": "10"}
}


def row(claim, setting, outcome, **more):
    names = {"claim": claim, "source": "ours", "text": f"Text of {claim}", "setting": setting}
    given = names | {"outcome": outcome} | more
    return ",".join(given.get(column, "") for column in CLAIM_COLUMNS)


def blocks(tmp_path, *rows):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/claims.csv").write_text("\n".join([",".join(CLAIM_COLUMNS), *rows]) + "\n")
    return claim_blocks(read_table(tmp_path, "claims"), Links(tmp_path, frozenset()))


def test_a_hand_made_grid_as_a_matrix(tmp_path):
    found = blocks(
        tmp_path,
        row("best", "all", "holds in part", held="1", cases="2"),
        row("best", ONE, "better", met="true", dataset="cosmixture", **PAIR),
        row("best", TWO, "worse", met="false", dataset="alpine", **PAIR),
        row("even", "all", "does not hold", held="0", cases="1"),
        row("even", TWO, "no difference", met="false", dataset="alpine", **PAIR),
        row("unheard", "all", "not judged", held="0", cases="0", why="not measured"),
    )
    overall, matrix = (block for block in found if isinstance(block, Table))
    assert [row.cells[0].text for row in overall.rows] == ["◐ holds in part", "▽ does not hold"]
    assert [row.cells[1].text for row in overall.rows] == ["1 of 2", "0 of 1"]
    assert [head.title for head in matrix.heads] == ["best", "even"]
    cells = {row.names[0].title: [cell.text for cell in row.cells] for row in matrix.rows}
    assert cells == {ONE: ["▲", ""], TWO: ["▽", "–"]}
    behind_it = matrix.rows[0].cells[0]
    assert "−0.1 (−0.2 to −0.05); p = 0.001, 10 pairs" in behind_it.title
    assert f"explain claims best/{ONE} difference" in behind_it.title


def test_a_smoke_run_has_no_symbol_of_a_judgement(tmp_path):
    (said,) = blocks(
        tmp_path,
        row("best", "all", "not judged", held="0", cases="0", why="smoke run"),
        row("best", ONE, "not judged", why="smoke run", dataset="cosmixture"),
    )
    assert (said.kind, said.why) == ("not_judged", "smoke run")


def test_a_measurement_has_its_bound_behind_it():
    given = dict.fromkeys(CLAIM_COLUMNS, "")
    assert behind(given | {"outcome": "better", "value": "0.05", "bound": "0.25"}) == (
        "better; value 0.05, bound 0.25"
    )


@pytest.mark.parametrize("name", FIGURES)
def test_captions_of_figures_are_fixed_and_have_at_most_two_numbers(name):
    assert len(re.findall(r"(?<![\w.])\d+(?:\.\d+)?", FIGURES[name].caption)) <= 2


@pytest.mark.parametrize("name", TABLES)
def test_captions_of_tables_have_at_most_two_numbers(name):
    assert len(re.findall(r"(?<![\w.])\d+(?:\.\d+)?", TABLES[name].caption)) <= 2
