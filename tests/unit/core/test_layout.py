"""What the core's modules may know of one another."""

import ast
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pipeline.core

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
