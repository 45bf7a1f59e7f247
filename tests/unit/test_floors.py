"""Rooms of `pipeline/` stand on floors: each imports from rooms below its own, never from above.

Of two rooms on one floor, one may import the other. What is said of the paper is needed by no
room but `cli`: another paper is another `paper/`.
"""

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pipeline"
FLOORS = (  # from the ground up
    ("errors", "files", "seals"),
    ("core",),
    ("data",),
    ("config",),
    ("runs", "studies"),
    ("jobs",),
    ("tables", "tracking"),
    ("paper",),
    ("figures", "report"),
    ("cli",),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
FLAT = {"__init__", "__main__", *FLOORS[0]}

# Imports that go up, that go to `paper`, that go round: to be opened one by one. The list may only
# shrink.
STILL_TO_OPEN = {}


@cache
def modules() -> dict[str, Path]:
    """Dotted names below `pipeline`, of packages too -> file."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts).removesuffix(".__init__")
        found[name] = path
    return found


def statements(path: Path) -> Iterator[str]:
    """Dotted names of what is imported, wherever in the file, with the names taken from modules."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not followed here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


@cache
def imports() -> dict[str, set[str]]:
    """Module -> modules of `pipeline` that it imports."""
    found: dict[str, set[str]] = {}
    for name, path in modules().items():
        found[name] = set()
        for imported in statements(path):
            if not imported.startswith("pipeline."):
                continue
            place = imported.removeprefix("pipeline.")
            if place not in modules():
                place = place.rpartition(".")[0]  # a name in a module
            assert place in modules() or imported == "pipeline.__version__", f"{name}: {imported}"
            found[name].add(place)
        found[name] -= {name, ""}
    return found


def room_of(module: str) -> str:
    return module.partition(".")[0]


def across() -> set[tuple[str, str]]:
    """Imports from one room into another."""
    return {
        (name, other)
        for name, others in imports().items()
        for other in others
        if room_of(name) != room_of(other) and room_of(name) in FLOOR_OF
    }


def upward() -> set[str]:
    """Imports of what stands higher, or of a neighbour that imports this room."""
    rooms = {(room_of(name), room_of(other)) for name, other in across()}
    found = set()
    for name, other in across():
        own, theirs = room_of(name), room_of(other)
        step = FLOOR_OF[theirs] - FLOOR_OF[own]
        if step > 0 or (step == 0 and (theirs, own) in rooms):
            found.add(f"{name} -> {other}")
    return found


def to_paper() -> set[str]:
    """Imports of `paper` by a room other than `cli`."""
    return {
        f"{name} -> {other}"
        for name, other in across()
        if room_of(other) == "paper" and room_of(name) != "cli"
    }


def circles() -> set[str]:
    """Modules that import one another, perhaps by others: `a <-> b`, sorted."""
    reached: dict[str, set[str]] = {}
    for name in imports():
        waiting, seen = [*imports()[name]], set()
        while waiting:
            other = waiting.pop()
            if other not in seen:
                seen.add(other)
                waiting += imports()[other]
        reached[name] = seen
    rings = {
        tuple(sorted({name, *(other for other in seen if name in reached[other])}))
        for name, seen in reached.items()
        if name in seen
    }
    return {" <-> ".join(ring) for ring in rings}


def foreign_to_core() -> set[str]:
    """What `core` imports besides its own modules, torch, torchdiffeq and the standard library."""
    allowed = {"torch", "torchdiffeq", *sys.stdlib_module_names}
    return {
        f"{name} -> {imported}"
        for name, path in modules().items()
        if room_of(name) == "core"
        for imported in statements(path)
        if not imported.startswith("pipeline.core.") and imported.partition(".")[0] not in allowed
    }


def violations() -> set[str]:
    return upward() | to_paper() | circles() | foreign_to_core()


def test_every_room_has_a_floor() -> None:
    rooms = {room_of(name) for name in modules()} - {""}
    assert rooms - {"__init__", "__main__"} == FLOOR_OF.keys()


def test_nothing_else_lies_in_the_root() -> None:
    assert {path.stem for path in PACKAGE.glob("*.py")} == FLAT


def test_rooms_import_from_below_and_nothing_goes_round() -> None:
    new = sorted(violations() - STILL_TO_OPEN.keys())
    assert new == [], "move what is shared to the lower room, or hand it over as an argument"


@pytest.mark.parametrize("known", STILL_TO_OPEN)
def test_what_is_still_to_open_is_still_closed(known: str) -> None:
    assert known in violations(), "it is open now: take it off the list"
