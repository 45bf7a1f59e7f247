"""The code behind a recipe: no module that decides a number is forgotten, no other counts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.jobs import code
from pipeline.jobs.recipes import JOBS, TABLE_CLAIMS
from tests.unit.jobs.finished_grid import edit
from tests.unit.tiny_runs import ROOT

CORE = "pipeline.core.meta"
TABLES = (JOBS["tables"], *TABLE_CLAIMS)
# Loaded by their folder; recipes name those that the grid uses (test_recipes.py).
CARDS = {"pipeline.config.methods", "pipeline.data.families", "pipeline.data.sets"}
REACHED = code.reached(*TABLES)


def read_again(*entries: str) -> str:
    code.forget()
    return code.code_digest(*entries)


def file_of(package: Path, module: str) -> Path:
    place = package.joinpath(*module.split(".")[1:])
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def every_module() -> list[str]:
    files = sorted((ROOT / "pipeline").rglob("*.py"))
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    return [name.removesuffix(".__init__") for name in names]


# --- what of a module counts


def test_comments_docstrings_and_layout_do_not_count(copied):
    module = copied / "core/work.py"
    plain = module.read_text(encoding="utf-8")
    module.write_text(plain + 'def f(a, b):\n    """Doc."""\n    return a + b\n')
    before = read_again(CORE)
    module.write_text(
        plain + "\n\n# a comment\ndef f(\n    a,\n    b,\n):\n    return (a + b)  # more\n"
    )
    assert read_again(CORE) == before
    module.write_text(plain + 'def f(a, b):\n    """Doc."""\n    return a - b\n')
    assert read_again(CORE) != before


def test_a_function_of_a_docstring_alone_is_read(copied):
    edit(copied / "core/work.py", 'def f():\n    """Doc."""\n')
    assert read_again(CORE)


def test_renaming_a_module_counts(copied):
    before = read_again(CORE)
    (copied / "core/work.py").rename(copied / "core/work_counts.py")
    assert read_again(CORE) != before


def test_texts_count_to_the_letter(copied):
    before = code.texts_digest("pipeline/report/*.css")
    edit(copied / "report/page.css", "\n")
    code.forget()
    assert code.texts_digest("pipeline/report/*.css") != before


# --- the walk


def test_the_walk_follows_imports():
    found = set(code.reached("pipeline.runs.job"))
    assert {"pipeline.core.mlp", "pipeline.core.solvers.flow", "pipeline.runs.trivial"} <= found
    assert "pipeline.data.task_sets" in found  # two steps away, from inside a function
    assert "pipeline.core.methods.imaml" not in found


def test_the_walk_stops_where_no_number_is_decided():
    everywhere = {m for job in JOBS.values() for m in code.reached(job)}
    assert not {m for m in everywhere if code.is_outside(m)}
    assert set(code.OUTSIDE) <= set(every_module()), "a module that is no more"


def test_an_entry_that_is_no_module_is_refused():
    with pytest.raises(ValueError, match="no module"):
        code.reached("pipeline.nothing")


def test_what_python_loads_to_build_tables_is_reached():
    """Python's own word on imports; it knows those alone that stand at the top of a module."""
    program = f"import json, sys, {', '.join(TABLES)}\nprint(json.dumps([*sys.modules]))"
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {name for name in json.loads(said.stdout) if name.split(".")[0] == "pipeline"}
    assert set(TABLES) <= loaded
    unseen = {m for m in loaded if not code.is_outside(m)} - set(REACHED)
    assert {m for m in unseen if m.rpartition(".")[0] not in CARDS} == set()


# --- tables, of which a list of modules forgot some once


def test_every_module_that_tables_reach_makes_them_stale(copied):
    before = read_again(*TABLES)
    meaning = code._meaning  # remembers each module, so that only the edited one is read again
    for module in REACHED:
        edit(file_of(copied, module))
        code._tree.cache_clear()
        edited = meaning.__wrapped__(module)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                code, "_meaning", lambda name, m=module, e=edited: e if name == m else meaning(name)
            )
            code.code_digest.cache_clear()
            assert code.code_digest(*TABLES) != before, module


def test_no_other_module_makes_tables_stale(copied):
    before = read_again(*TABLES)
    others = set(every_module()) - set(REACHED)
    assert {"pipeline.figures.draw", "pipeline.core.meta", "pipeline.runs.job"} <= others
    for module in others:
        edit(file_of(copied, module))
    assert read_again(*TABLES) == before


# --- code that cannot be read


@pytest.mark.parametrize(
    "content", [b"def f(:\n", b"name = '\xe9'\n", b"a = 1\0\n"], ids=["syntax", "latin-1", "null"]
)
def test_a_module_that_is_no_python_is_named(content, copied):
    module = copied / "core/work.py"
    module.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        read_again(CORE)
    assert str(module) in str(refused.value)
