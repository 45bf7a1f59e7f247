"""Which code a job depends on: the imports of the module that does it, followed to their end.

A recipe holds a digest of that code. Imports count wherever they stand in a module; comments,
docstrings and layout do not. This module reads code as text and imports none of it, so that a
workflow with hundreds of jobs parses in a moment.
"""

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pipeline.errors import BadInput

PACKAGE = Path(__file__).parents[1]
NAME = "pipeline"

# Where the walk stops, and why no number depends on what lies there. A package stands for all
# that is in it.
OUTSIDE = {
    "pipeline": "the version",
    "pipeline.jobs": "what it decides stands in the recipe",
    "pipeline.core.methods": "the registry: a recipe names the module of its method",
    "pipeline.data.cards": "what decides a number stands in recipes or in a family's module",
    "pipeline.data.families": "the registry: a recipe names the module of its family",
    "pipeline.data.isolated": "bounds what it is given to do",
    "pipeline.data.sets": "the registry: what reading takes of a card stands in recipes",
    "pipeline.errors": "a message",
    "pipeline.files": "writes what it is given",
    "pipeline.runs.agreement": "refuses records",
    "pipeline.runs.checks": "refuses recipes",
    "pipeline.runs.device": "the device and its allocator are no part of a recipe",
    "pipeline.runs.own_code": "finds what a recipe holds a digest of",
    "pipeline.runs.progress": "tells how far a job is",
    "pipeline.seals": "refuses damaged files",
}
# Packages of which every module is outside; of the others only the `__init__`.
WHOLE = ("pipeline.config.schema", "pipeline.jobs")


@cache
def code_digest(*entries: str) -> str:
    """Digest of what the modules do that are reached from `entries`, these among them."""
    total = hashlib.sha256()
    for module in reached(*entries):
        total.update(module.encode() + b"\0")
        total.update(_meaning(module).encode() + b"\0")
    return total.hexdigest()[:16]


@cache
def texts_digest(*patterns: str) -> str:
    """Digest of files that are no code, such as templates: globs below the project's folder."""
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in PACKAGE.parent.glob(pattern)}):
        total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


@cache
def reached(*entries: str, whole: bool = False) -> tuple[str, ...]:
    """Names of the modules that `entries` import, directly or not, in alphabetical order.

    Args:
        entries: modules such as `pipeline.data.ratings`, of which modules of the package count; or
            a person's own, of which those in the project's folder do.
        whole: all that have to be there to run them, those on which no number depends too.

    Raises:
        ValueError: for an entry that is no module of the package.
    """
    for entry in entries:
        if _file(entry) is None:
            raise ValueError(f"{entry} is no module of {NAME}.")
    waiting, seen = list(entries), set()
    while waiting:
        module = waiting.pop()
        if module in seen or (is_outside(module) and not whole):
            continue
        seen.add(module)
        waiting += _imports(module)
    return tuple(sorted(seen))


def is_outside(module: str) -> bool:
    """Whether no number depends on a module."""
    return module in OUTSIDE or any(module.startswith(f"{package}.") for package in WHOLE)


@cache
def _imports(module: str) -> frozenset[str]:
    """Modules of the package that a module imports, with the packages on the way to them."""
    names = set()
    for node in _statements(_tree(module)):
        if isinstance(node, ast.ImportFrom):
            source = ".".join(filter(None, [_package(module, node.level), node.module]))
            names |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    found = set()
    for name in names:
        parts = name.split(".")
        if (parts[0] == NAME) == (module.split(".")[0] == NAME):
            found |= {".".join(parts[:depth]) for depth in range(1, len(parts) + 1)}
    return frozenset(name for name in found if _file(name) is not None)


def _package(module: str, level: int) -> str:
    """What a relative import of so many dots starts from; empty for an absolute one."""
    file = _file(module)
    up = level - (file is not None and file.name == "__init__.py")
    parts = module.split(".")
    return ".".join(parts[: len(parts) - up]) if level else ""


@cache  # the digest of every method holds the same core modules
def _meaning(module: str) -> str:
    """The code without docstrings, in one layout."""
    tree = _tree(module)
    for node in _statements(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if (
                isinstance(first, ast.Expr)
                and isinstance(first.value, ast.Constant)
                and isinstance(first.value.value, str)
            ):
                node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)


def _statements(tree: ast.Module) -> Iterator[ast.AST]:
    """A module and the statements in it, at any depth: of all nodes the twentieth part."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            waiting += getattr(node, name, ())


@cache
def _tree(module: str) -> ast.Module:
    file = _file(module)
    assert file is not None
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, RecursionError) as error:  # no UTF-8 is a ValueError
        line = f"{file}:{error.lineno}" if isinstance(error, SyntaxError) else str(file)
        raise BadInput(
            f"{line}: found no Python ({error}); needed code that can be read, because recipes "
            "tell what it does. Mend it, or take the change back."
        ) from None


def _file(module: str) -> Path | None:
    """The file of a module or package below `PACKAGE`, or of one in the project's folder."""
    name, *rest = module.split(".")
    return _file_at(PACKAGE if name == NAME else Path.cwd() / name, *rest)


@cache
def _file_at(folder: Path, *names: str) -> Path | None:
    place = folder.joinpath(*names)
    for file in (place.with_suffix(".py"), place / "__init__.py"):
        if file.is_file():
            return file
    return None


def module_path(module: str) -> Path:
    """The file of a module that `reached` names."""
    file = _file(module)
    assert file is not None
    return file


def forget() -> None:
    """Read the code again: for tests that edit it."""
    for kept in (code_digest, texts_digest, reached, _imports, _meaning, _tree, _file_at):
        kept.cache_clear()
