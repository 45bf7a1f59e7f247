"""Own modules and losses in recipes: an edit makes exactly the runs that use them stale."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.load import read_config
from pipeline.config.schema import Params, check_params
from pipeline.errors import BadInput
from pipeline.jobs import code
from pipeline.jobs.recipes import reference_recipe, run_recipe, tasks_recipe

RAW = read_config(Path(__file__).parents[3] / "params.yaml")
FILES = {
    "rows.csv": "site,hour,load\na,1,2\n",
    "my_models.py": "from nets import parts\n\n\nclass Net(parts.Base):\n    width = 3\n",
    "my_losses.py": "def pinball(z, y):\n    return abs(z - y)\n",
    "nets/__init__.py": "",
    "nets/parts.py": "from .deeper import Deep\n\n\nclass Base(Deep):\n    pass\n",
    "nets/deeper.py": "from . import constants\n\n\nclass Deep:\n    size = constants.SIZE\n",
    "nets/constants.py": "SIZE = 3\n",
    "nets/unused.py": "SIZE = 4\n",
}
NAMES = ("plain", "net", "loss", "both")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets").mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    code.forget()
    yield tmp_path
    code.forget()


def parsed(**changes: Any) -> Params:
    """Four data sets of the same file: without own code, with a module, with a loss, with both."""
    raw = copy.deepcopy(RAW)
    table = {"table": "rows.csv", "task": "site", "inputs": ["hour"], "target": "load"}
    net, loss = {"model": "mine"}, {"loss": "my_losses.pinball"}
    raw["models"] = {"mine": {"module": "my_models.Net", "arguments": {"channels": 3}}} | changes
    raw["datasets"] = {
        "plain": table,
        "net": table | net,
        "loss": table | loss,
        "both": table | net | loss,
    }
    raw["grid"] = "own"
    raw["grids"]["own"] = copy.deepcopy(raw["grids"]["ci"]) | {
        "methods": ["fomaml"],
        "settings": [{"dataset": list(NAMES), "shots": "5/5", "inner_steps": 10}],
        "studies": {},
    }
    return check_params(raw, where="p.yaml")


def digests(params: Params) -> dict[str, tuple]:
    settings = {name: f"{name}-5shot-5val-10steps" for name in NAMES}
    return {
        name: (run_recipe(params, "fomaml", setting, 0), reference_recipe(params, setting, 0))
        for name, setting in settings.items()
    }


def changed(edited: str, text: str) -> set[str]:
    """Data sets whose runs an edit makes stale."""
    before = digests(parsed())
    Path(edited).write_text(text)
    code.forget()
    after = digests(parsed())
    return {name for name in NAMES if before[name] != after[name]}


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("my_models.py", {"net", "both"}),
        ("nets/parts.py", {"net", "both"}),
        ("nets/deeper.py", {"net", "both"}),
        ("nets/constants.py", {"net", "both"}),
        ("nets/__init__.py", {"net", "both"}),
        ("my_losses.py", {"loss", "both"}),
        ("nets/unused.py", set()),
    ],
)
def test_an_edit_makes_stale_what_uses_it(file: str, stale: set[str]) -> None:
    assert changed(file, FILES[file] + "EDITED = 1\n") == stale


def test_comments_and_layout_are_no_edit() -> None:
    text = FILES["my_models.py"].replace("width = 3", "width  =  3  # wide")
    assert changed("my_models.py", f'"""Mine."""\n{text}') == set()


def test_runs_without_own_code_carry_nothing_of_it() -> None:
    plain = digests(parsed())["plain"][0]
    assert not {"model", "loss"} & plain.keys()
    raw = copy.deepcopy(RAW)
    assert plain["hidden"] == raw["model"]["synthetic"]
    params = parsed()
    assert len({str(tasks_recipe(params, n) | {"dataset": ""}) for n in NAMES}) == 1, "same tasks"


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("os.path", "p.yaml|params.yaml: models.mine.module: found 'os.path', a module of Python"),
        ("gone.Net", "params.yaml: models.mine.module: found no module gone"),
    ],
)
def test_a_module_that_is_none_is_told_when_recipes_are_made(module: str, said: str) -> None:
    params = parsed(mine={"module": module})
    with pytest.raises(BadInput, match=said):
        digests(params)


def test_code_that_cannot_be_read_is_told_with_its_line() -> None:
    Path("my_losses.py").write_text("def pinball(:\n")
    code.forget()
    with pytest.raises(BadInput, match=r"my_losses\.py:1: found no Python"):
        digests(parsed())


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"model": "mien"}, r"datasets.net.model: found 'mien', no entry under `models`. Did you"),
        ({"loss": "sqared"}, r"found 'sqared', needed one of .*, or the import path of a function"),
        ({"shape": []}, "datasets.net.shape"),
        ({"shape": [2], "categories": ["hour"]}, "found `categories` beside `shape`"),
        ({"model": []}, "datasets.net.model"),
    ],
)
def test_a_faulty_entry_is_told(entry: dict, said: str) -> None:
    table = {"table": "rows.csv", "task": "site", "inputs": ["hour"], "target": "load"}
    own = {"models": {"mine": {"module": "my_models.Net"}}, "datasets": {"net": table | entry}}
    with pytest.raises(BadInput, match=said):
        check_params(RAW | own, where="p.yaml")


def test_widths_of_one_data_set() -> None:
    table = {"table": "rows.csv", "task": "site", "inputs": ["hour"], "target": "load"}
    found = check_params(RAW | {"datasets": {"net": table | {"model": [7, 5]}}}, where="p.yaml")
    assert found.network_of("net") == [7, 5]
