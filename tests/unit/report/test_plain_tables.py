"""Tables of any layout on the page: which rows and columns, how values and verdicts look."""

from pathlib import Path

import pytest

from pipeline.report.blocks import Fold, Table
from pipeline.report.grid_tables import read_table
from pipeline.report.links import Links
from pipeline.report.plain_tables import LONGEST_TEXT, MOST_CELLS, plain_table, verdict_tone

SETTING = "cosmixture-50shot-50val"


def shown(tmp_path: Path, name: str, text: str) -> Table:
    path = tmp_path / "tables" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    block = plain_table(read_table(tmp_path, name), Links(tmp_path, frozenset(), ()))
    if isinstance(block, Fold):
        (block,) = block.blocks
    assert isinstance(block, Table)
    return block


def texts(table: Table) -> list[list[str]]:
    heads = [head.text for head in (*table.names, *table.heads)]
    return [heads, *([cell.text for cell in (*row.names, *row.cells)] for row in table.rows)]


def test_errors_stand_beside_their_means_and_empty_columns_go(tmp_path: Path) -> None:
    header = "setting,dataset,simulated,label,nrmse,nrmse_stderr,peak_bytes,message"
    text = f"{header}\n{SETTING},cosmixture,false,amaml,0.12345,0.01234,2500000,\n"
    assert texts(shown(tmp_path, "x", text)) == [
        ["setting", "method", "nRMSE", "peak memory"],
        [SETTING, "A-MAML", "0.123 ± 0.012", "2.5 MB"],
    ]


def test_comparisons_show_the_best_method_at_the_trained_horizon(tmp_path: Path) -> None:
    header = "setting,inner_steps,step,reference,reference_is_best,other,difference,lo,hi,p_holm"
    rows = [
        f"{SETTING},50,{step},{reference},{str(reference == 'amaml').lower()},fomaml,"
        f"-0.5,-0.6,-0.4,{p}"
        for step, p in ((0, "0.2"), (50, "1.234e-07"))
        for reference in ("amaml", "maml")
    ]
    table = shown(tmp_path, "comparisons", "\n".join([header, *rows]) + "\n")
    assert texts(table) == [
        ["setting", "reference", "method compared with", "difference", "p (Holm)", "K"],
        [SETTING, "A-MAML", "FOMAML", "−0.5 [−0.6, −0.4]", "1.2e-07", "50"],
    ]
    assert f"comparisons {SETTING}/50/amaml/fomaml p_holm" in table.rows[0].cells[1].title
    assert "the other 3 rows are in comparisons.csv" in table.more


def test_what_decides_a_rating_verdict_stands_first(tmp_path: Path) -> None:
    columns = "setting,inner_steps,method,verdict,nrmse,difference,lo,hi,p,p_corrected"
    row = f"{SETTING},50,amaml_rkc,better,0.5,-0.1,-0.2,-0.05,0.01,0.03"
    heads, cells = texts(shown(tmp_path, "rating_verdicts", f"{columns}\n{row}\n"))
    assert heads[1:6] == ["verdict", "method", "nRMSE", "difference", "p (corrected)"]
    assert cells[1:6] == ["✓ better", "A-MAML RKC", "0.5", "−0.1 [−0.2, −0.05]", "0.03"]
    assert "p" not in heads  # not the one before correction as well


@pytest.mark.parametrize("grids", [("horizons", "horizons"), ("horizons", "paper")])
def test_a_grid_that_is_that_of_every_row_is_said_once(tmp_path: Path, grids: tuple) -> None:
    rows = [f"{grid},{SETTING},amaml{place},0.5\n" for place, grid in enumerate(grids)]
    table = shown(tmp_path, "horizons", "grid,setting,label,nrmse\n" + "".join(rows))
    one = len(set(grids)) == 1
    assert ("grid" in texts(table)[0]) is not one
    assert ("All from runs of grid horizons." in table.caption) is one


def test_claims_are_named_by_their_words_and_long_texts_folded(tmp_path: Path) -> None:
    found = "so in 3 of 4 settings: " + "cosmixture, " * (LONGEST_TEXT // 10)
    text = f'claim,text,held,tested,verdict,figures\nbest,It is `best`.,3,4,holds,"{found}"\n'
    table = shown(tmp_path, "verdicts", text)
    assert texts(table) == [
        ["claim", "verdict", "cases", "found"],
        ["It is best.", "✓ holds", "3 of 4", "so in 3 of 4 settings:"],
    ]
    assert table.rows[0].cells[-1].more == found.split(": ")[1].strip()
    assert "explain verdicts best verdict" in table.rows[0].cells[0].title
    assert table.stack


def test_claims_that_the_runs_cannot_test_stay_in_the_csv(tmp_path: Path) -> None:
    head = "claim,source,text,verdict,held,tested,figures\n"
    tested = "best,ours,It is best.,does not hold,0,4,in 0 of 4 settings.\n"
    untested = "memory,paper,It is small.,not tested here,0,0,\n"
    table = shown(tmp_path, "verdicts", head + tested + untested)
    assert [row.names[0].text for row in table.rows] == ["It is best."]
    shown_rows = "Shown: the claims that these runs test; the other row is in verdicts.csv."
    assert table.more == shown_rows
    # where none was tested, all are named
    assert len(shown(tmp_path, "verdicts", head + untested + untested).rows) == 2


def test_a_table_too_long_for_a_page_says_what_is_left_out(tmp_path: Path) -> None:
    count = MOST_CELLS // 2 + 10
    text = "label,a,b\n" + "".join(f"m{k},{k},{k}\n" for k in range(count))
    table = shown(tmp_path, "long", text)
    assert len(table.rows) == MOST_CELLS // 2
    assert "the other 10 rows are in long.csv" in table.more


@pytest.mark.parametrize(
    ("word", "tone"),
    [
        ("holds", "holds"),
        ("holds in part", "part"),
        ("does not hold", "not"),
        ("not tested here", ""),
        ("better", "holds"),
        ("worse", "not"),
        ("no difference", ""),
    ],
)
def test_tone_of_verdicts(word: str, tone: str) -> None:
    assert verdict_tone(word) == tone
