"""The champions of a grid on its page."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import BadInput
from pipeline.files import file_digest
from pipeline.jobs.recipes import report_recipe
from pipeline.runs.weights import write_arrays
from tests.unit.report.page_reader import of, page
from tests.unit.tiny_runs import tiny_params

ABOUT = {
    "setting": "cosmixture-8shot",
    "label": "imaml",
    "seed": 3,
    "measure": "nrmse",
    "test": {"nrmse": 0.4321},
    "validation": {
        "error": 0.25,
        "others": [{"label": "untrained", "is_method": False, "error": 0.2751, "p": 0.041}],
    },
}


def write(results: Path, about: object = ABOUT) -> Path:
    file = results / "champions/cosmixture-8shot.safetensors"
    file.parent.mkdir(exist_ok=True)
    write_arrays(file, {"theta": np.zeros(2)}, {"initialisation": json.dumps(about)})
    return file


def test_the_page_shows_and_links_them(results: Path) -> None:
    assert "champions" not in {e.attributes.get("id") for e in of(page(results), "section")}
    file = write(results)
    elements = page(results)
    assert "champions" in {e.attributes.get("id") for e in of(elements, "section")}
    links = (a for a in of(elements, "a") if (results / a.attributes["href"]) == file)
    assert [link.text for link in links] == ["iMAML"]
    (row,) = (r for r in of(elements, "tr") if "cosmixture-8shot" in r.text)
    for said in ("iMAML", "3", "0.2500", "untrained", "0.2751", "0.041", "0.4321"):
        assert said in row.text


@pytest.mark.parametrize("fault", ["cut", "other", "empty"])
def test_a_damaged_one_is_named(results: Path, fault: str) -> None:
    file = write(results, ABOUT if fault == "cut" else {"setting": "other"})
    if fault != "other":
        file.write_bytes(file.read_bytes()[:20] if fault == "cut" else b"")
    with pytest.raises(BadInput, match=r"safetensors: found no readable champion"):
        page(results)


def test_a_new_champion_makes_the_page_anew(tmp_path: Path) -> None:
    given = tiny_params(), {}, {}, tmp_path
    assert "champions" not in report_recipe(*given)
    (tmp_path / "results/tiny").mkdir(parents=True)
    file = write(tmp_path / "results/tiny")
    assert report_recipe(*given)["champions"] == {file.stem: file_digest(file)}
