"""Tables of companion grids: those that exist, in one order, refused when broken."""

from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.tables.files import companion_tables


def write(root: Path, grid: str, text: str) -> None:
    folder = root / grid / "tables"
    folder.mkdir(parents=True)
    (folder / "main.csv").write_text(text)


def test_only_tables_that_exist_are_read_in_one_order(tmp_path):
    write(tmp_path, "swept", "setting,nrmse\na,0.25\n")
    write(tmp_path, "ablation", "setting,nrmse\nb,0.5\n")
    orders = (["swept", "missing", "ablation"], ["ablation", "swept", "swept"])
    for companions in orders:
        found = companion_tables(tmp_path / "paper", companions, "main")
        assert list(found) == ["ablation", "swept"]
        assert found["swept"]["nrmse"].tolist() == [0.25]
    assert companion_tables(tmp_path / "paper", orders[0], "costs") == {}


def test_blank_texts_and_names_that_look_like_numbers_stay_what_they_are(tmp_path):
    write(tmp_path, "swept", "setting,message,nrmse\n7,,\n")
    table = companion_tables(tmp_path / "paper", ["swept"], "main")["swept"]
    assert table["setting"].tolist() == ["7"]
    assert table["nrmse"].isna().all()
    assert table["message"].isna().all()


def test_a_broken_table_is_named_with_its_remedy(tmp_path):
    write(tmp_path, "swept", "")
    with pytest.raises(BadInput, match=r"swept/tables/main\.csv: cannot be read.*grid=swept"):
        companion_tables(tmp_path / "paper", ["swept"], "main")
