"""What the core's modules may know of one another."""

import ast
import re
import shutil
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import pipeline.core
from pipeline.core import METHODS
from pipeline.core.registry import method

CORE = Path(pipeline.core.__file__).parent
FILES = {
    ".".join(("pipeline.core", *path.relative_to(CORE).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in CORE.rglob("*.py")
}


def imported(path: Path) -> set[str]:
    """Modules that a file imports, wherever in it the statement stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def test_imports_make_no_circle():
    graph = {name: imported(path) & FILES.keys() for name, path in FILES.items()}
    TopologicalSorter(graph).prepare()  # raises on a circle


def test_torch_and_torchdiffeq_are_all_that_is_needed():
    outside = {name.split(".")[0] for path in FILES.values() for name in imported(path)}
    assert outside - sys.stdlib_module_names == {"torch", "torchdiffeq", "pipeline"}
    inside = {name for path in FILES.values() for name in imported(path)}
    assert all(n.startswith("pipeline.core") for n in inside if n.split(".")[0] == "pipeline")


def test_methods_are_named_in_their_own_modules_only():
    names = re.compile(rf"\b({'|'.join(METHODS)})\b")
    told = {
        name: names.findall(path.read_text(encoding="utf-8"))
        for name, path in FILES.items()
        if not name.startswith("pipeline.core.methods.")
    }
    assert not {name: found for name, found in told.items() if found}


def test_two_methods_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two methods are named 'maml1'"):
        method("maml1")(METHODS["maml"])


def test_a_new_file_is_found(tmp_path):
    """In a copy of the package, nothing else is edited."""
    shutil.copytree(CORE, tmp_path / "pipeline/core")
    shutil.copy(CORE.parent / "__init__.py", tmp_path / "pipeline")
    (tmp_path / "pipeline/core/methods/middle.py").write_text(
        "from pipeline.core.registry import method\n"
        '@method("one", "two")\n'
        "def one(problem, *, horizon): ...\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", "from pipeline.core import METHODS; print(*METHODS)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert [name for name in found.stdout.split() if name not in METHODS] == ["one", "two"]
