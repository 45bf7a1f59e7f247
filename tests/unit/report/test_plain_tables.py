"""Tables of any layout on the page: which rows and columns, how values look."""

from pathlib import Path

import pytest

from pipeline.report.appendix import Links
from pipeline.report.blocks import Table
from pipeline.report.grid_tables import read_table
from pipeline.report.plain_tables import MOST_ROWS, plain_table

SETTING = "cosmixture-50shot-50val"


def shown(tmp_path: Path, name: str, text: str) -> Table:
    path = tmp_path / "tables" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    block = plain_table(read_table(tmp_path, name), Links(tmp_path, frozenset()))
    if not isinstance(block, Table):
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


@pytest.mark.parametrize("grids", [("horizons", "horizons"), ("horizons", "paper")])
def test_a_grid_that_is_that_of_every_row_is_said_once(tmp_path: Path, grids: tuple) -> None:
    rows = [f"{grid},{SETTING},amaml{place},0.5\n" for place, grid in enumerate(grids)]
    table = shown(tmp_path, "horizons", "grid,setting,label,nrmse\n" + "".join(rows))
    one = len(set(grids)) == 1
    assert ("grid" in texts(table)[0]) is not one
    assert ("All from runs of grid horizons." in table.caption) is one


def test_a_table_too_long_for_a_page_says_what_is_left_out(tmp_path: Path) -> None:
    count = MOST_ROWS + 10
    text = "label,a,b\n" + "".join(f"m{k},{k},{k}\n" for k in range(count))
    table = shown(tmp_path, "long", text)
    assert len(table.rows) == MOST_ROWS
    assert "the other 10 rows are in long.csv" in table.more
