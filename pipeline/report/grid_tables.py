"""The tables of a grid as text, and how a row of them is named.

A row's name is the values of its key columns, joined by `/`, such as
`SETTING/METHOD`; where these are long or not unique, `#3`: the third row.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from pipeline.config.measures import NUMBERS, Measure, measure_in
from pipeline.errors import BadInput

Values = dict[str, str]

# Key columns of the tables with a fixed layout; those of others are found (`GridTable.keys`).
KEYS = {
    "main": ("setting", "label"),
    "per_seed": ("setting", "label", "seed"),
    "curves": ("setting", "label", "step"),
    "training": ("setting", "label", "update"),
    "norms": ("setting", "label", "update"),
    "costs": ("label", "inner_steps"),
    "comparisons": ("setting", "step", "reference", "other"),
    "claims": ("claim", "setting"),
    "audit": ("setting", "label"),
    "equal_cost": ("setting", "label", "update"),
    "fidelity": ("family", "initialisation", "inner_steps", "label"),
    "noise": ("family", "initialisation", "inner_steps", "label"),
    "stability": ("family", "initialisation", "horizon", "method"),
    "stiffness": ("family", "standardised", "scale", "horizon", "solver"),
    "ablation": ("grid", "setting", "point", "label"),
    "horizons": ("grid", "setting", "label", "step"),
    "early_stopping": ("grid", "setting", "label", "step"),
    "aggregation": ("grid", "setting", "label"),
    "choices": ("grid", "setting", "label"),
}
# Columns that can name a row, most telling first.
_NAMING = (
    *("claim", "grid", "setting", "dataset", "family", "point", "switch", "label", "method"),
    *("reference", "other", "solver", "seed", "step", "update", "inner_steps", "horizon"),
)
_LONGEST_NAME = 100  # characters of a row's name; rows with longer ones are numbered
_SHOWN = 24  # row names in a refusal


@dataclass(frozen=True)
class GridTable:
    """`tables/{name}.csv`: every value a string, blank for what is missing."""

    name: str
    path: Path
    columns: tuple[str, ...]
    rows: Sequence[Values]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """Columns that name a row: fixed ones, else the fewest naming ones that tell rows apart."""
        if self.name in KEYS:
            return tuple(column for column in KEYS[self.name] if column in self.columns)
        keys: tuple[str, ...] = ()
        for column in (column for column in _NAMING if column in self.columns):
            if not keys or self._apart((*keys, column)) > self._apart(keys):
                keys += (column,)
            if self._apart(keys) == len(self.rows):
                break
        return keys or self.columns[:1]

    @cached_property
    def row_names(self) -> list[str]:
        """The name of each row, unique in the table."""
        joined = self._joined
        counts = Counter(joined)
        return [
            full if counts[full] == 1 and 0 < len(full) <= _LONGEST_NAME else f"#{number}"
            for number, full in enumerate(joined, 1)
        ]

    def find(self, selector: str) -> int:
        """Position of the row that `selector` names; the start of one's name is enough.

        Raises:
            BadInput: when no row has that name, or several do; with the rows there are.
        """
        exact = [
            place for place, full in enumerate(self._joined) if selector in (full, f"#{place + 1}")
        ]
        begun = [k for k, full in enumerate(self._joined) if full.startswith(f"{selector}/")]
        found = exact or begun
        if len(found) == 1:
            return found[0]
        near = [self.row_names[k] for k in found] or self._near(selector)
        raise BadInput(
            f"{self.path}: found {len(found) or 'no'} row{'s' if found else ''} named "
            f"'{selector}'; needed one of {len(self.rows)}, named by {'/'.join(self.keys)} or by "
            f"number (#1 is the first). {'Such as' if len(near) > _SHOWN else 'Rows'}: "
            f"{', '.join(near[:_SHOWN])}. Rows of another grid: --grid NAME."
        )

    @cached_property
    def _joined(self) -> list[str]:
        return ["/".join(row[key] for key in self.keys) for row in self.rows]

    def _apart(self, columns: Sequence[str]) -> int:
        """How many rows these columns tell apart."""
        return len({tuple(row[column] for column in columns) for row in self.rows})

    def _near(self, selector: str) -> list[str]:
        """Names that share the most parts with the selector; all when none shares any."""
        parts = set(selector.split("/"))
        shared = [len(parts & set(name.split("/"))) for name in self._joined]
        most = max(shared, default=0)
        pairs = zip(self.row_names, shared, strict=True)
        return [name for name, count in pairs if count == most]


def read_table(results_dir: Path, name: str) -> GridTable:
    """Read `tables/{name}.csv`.

    Raises:
        BadInput: when there is no such table, or it cannot be read.
    """
    path = results_dir / "tables" / f"{name}.csv"
    if not path.is_file():
        found = ", ".join(table_names(results_dir)) or "no table at all"
        raise BadInput(
            f"{path}: found no such table; needed one of: {found}. "
            "Run `snakemake` to make the tables of a grid."
        )
    try:
        frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path}: cannot be read ({error}); needed a CSV table with a header. "
            "Delete it and run `snakemake` again."
        ) from error
    columns = tuple(str(column) for column in frame.columns)
    rows = [dict(zip(columns, values, strict=True)) for values in frame.to_numpy().tolist()]
    return GridTable(name, path, columns, rows)


def grid_measure(results_dir: Path) -> Measure:
    """In what a grid compares predictors, by `main.csv`; of numbers where that is not here."""
    if "main" not in table_names(results_dir):
        return NUMBERS
    return measure_in(read_table(results_dir, "main").columns)


def table_names(results_dir: Path) -> list[str]:
    """The names of a grid's tables, sorted."""
    return sorted(path.stem for path in (results_dir / "tables").glob("*.csv"))
