"""Build the tables of a small grid, and read them back as text."""

import csv
from pathlib import Path
from typing import Any

from pipeline.paper.build import write_claims
from pipeline.tables.build import build_tables

SETTING = "simulated-10shot-15val-50steps"


def build_with_claims(root: Path, *, grid: str, **of: Any) -> None:
    """What the command `build-tables` does."""
    write_claims(root, build_tables(root, grid=grid, **of), grid)


def build(root: Path, **changes: Any) -> Path:
    grid: dict[str, Any] = {"methods": ["fomaml", "amaml"], "settings": [SETTING], "seeds": [0, 1]}
    build_with_claims(root, grid="test", **(grid | changes))
    return root / "tables"


def read(tables: Path, name: str) -> list[dict[str, str]]:
    with (tables / f"{name}.csv").open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def row(rows: list[dict[str, str]], **wanted: object) -> dict[str, str]:
    (found,) = [r for r in rows if all(r[key] == str(value) for key, value in wanted.items())]
    return found
