"""Tables as text, and the names of their rows."""

from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.report.grid_tables import GridTable, read_table


def table(name: str, text: str, tmp_path: Path) -> GridTable:
    path = tmp_path / "tables" / f"{name}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return read_table(tmp_path, name)


def test_values_stay_as_they_are_written(tmp_path: Path) -> None:
    read = table("x", "label,a,b\nNA,1.50,\nnull,007,true\n", tmp_path)
    assert read.columns == ("label", "a", "b")
    assert read.rows == [
        {"label": "NA", "a": "1.50", "b": ""},
        {"label": "null", "a": "007", "b": "true"},
    ]


def test_fewest_naming_columns_that_tell_rows_apart(tmp_path: Path) -> None:
    text = "setting,switch,label,seed,nrmse\ns,a,m,0,1\ns,b,m,0,2\ns,a,m,1,3\n"
    read = table("unknown", text, tmp_path)
    assert read.keys == ("setting", "switch", "seed")
    assert read.row_names == ["s/a/0", "s/b/0", "s/a/1"]
    assert read.find("s/a/1") == 2
    assert read.find("s/b") == 1
    assert read.find("#3") == 2


def test_rows_without_a_name_of_their_own_are_numbered(tmp_path: Path) -> None:
    read = table("unknown", f"claim,verdict\nsame,1\nsame,2\n{'long ' * 40},3\nok,4\n", tmp_path)
    assert read.row_names == ["#1", "#2", "#3", "ok"]
    assert read.find("#2") == 1
    with pytest.raises(BadInput, match=r"found 2 rows named 'same'.*Rows: #1, #2\."):
        read.find("same")


def test_near_rows_are_offered_first(tmp_path: Path) -> None:
    rows = "".join(f"s{k},{label},0\n" for k in range(30) for label in ("maml", "amaml"))
    read = table("main", f"setting,label,nrmse\n{rows}", tmp_path)
    with pytest.raises(BadInput, match=r"no row named 's7/imaml'.*Rows: s7/maml, s7/amaml\."):
        read.find("s7/imaml")
    with pytest.raises(
        BadInput, match=r"one of 60, .*setting/label.*Such as: s0/maml, .*s11/amaml\."
    ):
        read.find("nothing")


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nope\.csv: found no such table; needed one of: no table"):
        read_table(tmp_path, "nope")
    with pytest.raises(BadInput, match=r"empty\.csv: cannot be read.*needed a CSV table"):
        table("empty", "", tmp_path)
