"""A person's own code: which is run, and what is told of a fault in it."""

import sys
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.runs.own_code import load, module_file, said


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The project's folder; modules imported from it are forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_of_the_projects_folder_or_an_installed_package(folder: Path) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep/er/own_layers.py").write_text("class Net: width = 3")
    (folder / "own_package").mkdir()
    (folder / "own_package/__init__.py").write_text("from own_package.inside import Net")
    (folder / "own_package/inside.py").write_text("class Net: width = 4")
    assert load("deep.er.own_layers.Net", "here").width == 3
    assert load("own_package.Net", "here").width == 4
    assert module_file("torch.nn.Linear", "here") is None
    assert load("torch.nn.Linear", "here").__name__ == "Linear"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("os.system", "a module of Python itself"),
        ("builtins.eval", "a module of Python itself"),
        ("importlib.import_module", "a module of Python itself"),
        ("Net", "needed a class or function by its import path"),
        ("own.__class__", "needed a class or function by its import path"),
        ("__main__.Net", "needed a class or function by its import path"),
        ("..own.Net", "needed a class or function by its import path"),
        ("../own.Net", "needed a class or function by its import path"),
        ("/tmp/own.Net", "needed a class or function by its import path"),
        ("own.Net()", "needed a class or function by its import path"),
        ("own.Nets", r"found no Nets in .*own\.py"),
        ("own.inner.Net", "found no module own.inner, needed own/inner.py in the project's folder"),
        ("no_such_package.Net", "found no module no_such_package"),
        ("elsewhere.Net", "needed a file in the project's folder. Copy it there"),
        ("outside.Net", "found no module outside"),
    ],
)
def test_other_code_is_not_run(folder: Path, path: str, said: str, monkeypatch) -> None:
    (folder / "own.py").write_text("class Net: pass")
    outside = folder.parent / f"{folder.name} outside"
    outside.mkdir()
    for name in ("elsewhere.py", "outside.py"):
        (outside / name).write_text("raise SystemError")
    (folder / "elsewhere.py").symlink_to(outside / "elsewhere.py")
    monkeypatch.syspath_prepend(str(outside))
    with pytest.raises(BadInput, match=said) as refused:
        load(path, "params.yaml: models.mine")
    assert str(refused.value).startswith("params.yaml: models.mine: ")
    assert "elsewhere" not in sys.modules


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = 1 / 0\n", "own_faulty.py: line 2: ZeroDivisionError: division by zero"),
        ("def f(:\n", "own_faulty.py: line 1: invalid syntax"),
        ("import no_such_thing\n", "own_faulty.py: line 1: ModuleNotFoundError: No module named"),
        ("import sys\n\nsys.exit(3)\n", "own_faulty.py: line 3: SystemExit: 3"),
        ("def f():\n    raise ValueError('odd')\nf()\n", "own_faulty.py: line 2: ValueError: odd"),
        ("import json\njson.loads('x')\n", "own_faulty.py: line 2: JSONDecodeError: Expecting"),
    ],
)
def test_a_fault_in_it_is_told_with_its_line(folder: Path, text: str, said: str) -> None:
    (folder / "own_faulty.py").write_text(text)
    with pytest.raises(BadInput) as refused:
        load("own_faulty.Net", "models.mine")
    assert f"models.mine: cannot import own_faulty: {said}" in str(refused.value)


def test_a_module_that_is_another_here_is_refused(folder: Path, monkeypatch) -> None:
    (folder / "own_twin.py").write_text("class Net: pass")
    monkeypatch.setitem(sys.modules, "own_twin", sys.modules["pathlib"])
    with pytest.raises(BadInput, match="two modules have that name"):
        load("own_twin.Net", "models.mine")


@pytest.mark.timeout(20)
def test_errors_that_name_each_other_as_causes_are_told() -> None:
    first, second = TypeError("first"), TypeError("second")
    first.__cause__, second.__cause__ = second, first
    assert said(first) == "TypeError: first"
