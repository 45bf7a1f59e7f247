"""Records of the studies to rows of their tables (pipeline/config/studies.py)."""

import math
import statistics
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.methods import WAYS
from pipeline.config.studies import NO_REFERENCE, STIFF, STUDIES
from pipeline.config.titles import DATASETS, label_order
from pipeline.errors import BadInput
from pipeline.seals import Damaged, read_sealed
from pipeline.tables.files import Row

INITIALISATIONS = ("untrained", "trained")
SOLVERS = ("dopri5", "rkc")
STABILITY_COLUMNS = (
    *("family", "initialisation", "horizon", "method", "status", "cosine", "relative_error"),
    *("gradients", "hvps", "accepted", "rejected", "kept_states", "kept_bytes"),
    *("reference_gap", "message"),
)
STIFFNESS_COLUMNS = (
    *("family", "standardised", "scale", "horizon", "solver", "status", "rho_t"),
    *("gradients", "radius_hvps", "accepted", "rejected", "message"),
)
FIDELITY_COLUMNS = (
    *("family", "initialisation", "inner_steps", "label", "n_batches", "n_diverged"),
    *("cosine", "relative_error", "own_cosine", "own_relative_error", "gradients", "hvps"),
)
NOISE_COLUMNS = (
    *("family", "initialisation", "inner_steps", "label", "n_batches", "n_diverged"),
    *("pairwise_cosine", "signal", "norm"),
)
_MEDIANS = FIDELITY_COLUMNS[6:]
GAP_LIMIT = 0.05  # of the reference to a second solution, as a share of it: beyond, none


STUDY_COLUMNS = {
    "stability": STABILITY_COLUMNS,
    "stiffness": STIFFNESS_COLUMNS,
    "fidelity": FIDELITY_COLUMNS,
    "noise": NOISE_COLUMNS,
}


def study_rows(results_dir: Path) -> dict[str, list[Row]]:
    """Rows of the tables whose study lies in `results_dir/studies/`, by name.

    Raises:
        BadInput: when a record is there and cannot be read.
    """
    tables: dict[str, list[Row]] = {}
    for study in STUDIES:
        path = results_dir / "studies" / f"{study}.json"
        if not path.is_file():
            continue
        try:
            tables |= _TABLES[study](read_sealed(path))
        except Damaged:
            raise
        except (ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"{path}: unreadable study ({error!r}); needed what `study-{study}` wrote. "
                "Delete the file and run `snakemake` again."
            ) from error
    return tables


def _stability(record: dict[str, Any]) -> dict[str, list[Row]]:
    ways = [_judged(row) for row in _picked(record["records"], STABILITY_COLUMNS)]
    ways.sort(
        key=lambda row: (_start_order(row), row["horizon"], _place(tuple(WAYS), row["method"]))
    )
    solves = _picked(record["stiffness"], STIFFNESS_COLUMNS)
    solves.sort(
        key=lambda row: (
            *(_place(tuple(DATASETS), row["family"]), not row["standardised"], row["scale"]),
            *(row["horizon"], _place(SOLVERS, row["solver"])),
        )
    )
    return {"stability": ways, "stiffness": solves}


def _judged(row: Row) -> Row:
    """The row; without its errors where the reference itself has not converged."""
    gap = row["reference_gap"]
    if row["status"] != "ok" or (gap is not None and gap <= GAP_LIMIT):
        return row
    message = f"the reference and a second solution of it differ by {gap}"
    return row | {
        "status": NO_REFERENCE,
        "cosine": None,
        "relative_error": None,
        "message": message,
    }


def _fidelity(record: dict[str, Any]) -> dict[str, list[Row]]:
    """Medians over the probe batches, one that diverged counting as an infinite error."""
    cells: dict[tuple[Any, ...], list[Row]] = {}
    for entry in record["records"]:
        key = tuple(entry[name] for name in FIDELITY_COLUMNS[:4])
        cells.setdefault(key, []).append(entry)
    rows = []
    for key, entries in cells.items():
        row: Row = dict(zip(FIDELITY_COLUMNS, key, strict=False))
        row["n_batches"] = len(entries)
        row["n_diverged"] = sum(entry["status"] != "ok" for entry in entries)
        rows.append(row | {name: _median(name, entries) for name in _MEDIANS})
    rows.sort(key=_method_order)
    return {"fidelity": rows}


def _noise(record: dict[str, Any]) -> dict[str, list[Row]]:
    rows = sorted(_picked(record["records"], NOISE_COLUMNS), key=_method_order)
    return {"noise": rows}


_TABLES: dict[str, Callable[[dict[str, Any]], dict[str, list[Row]]]] = {
    "stability": _stability,
    "fidelity": _fidelity,
    "noise": _noise,
}


def _median(name: str, entries: list[Row]) -> float | None:
    """None where the median batch diverged, or where there is nothing to measure."""
    worst = -math.inf if name.endswith("cosine") else math.inf
    if all(entry["status"] == "ok" and entry[name] is None for entry in entries):
        return None
    values = sorted(worst if entry[name] is None else float(entry[name]) for entry in entries)
    middle = statistics.median(values)
    return middle if math.isfinite(middle) else None


def _picked(entries: Iterable[Row], columns: tuple[str, ...]) -> list[Row]:
    return [{name: entry[name] for name in columns} for entry in entries]


def _method_order(row: Row) -> tuple[Any, ...]:
    return _start_order(row), row["inner_steps"], label_order(row["label"])


def _start_order(row: Row) -> tuple[int, int]:
    family = _place(tuple(DATASETS), row["family"])
    return family, _place(INITIALISATIONS, row["initialisation"])


def _place(order: tuple[str, ...], name: str) -> int:
    """Position of a name; a ValueError for one that is not there."""
    return order.index(name)


# What `stiffness.csv` says of a solver.


def stiffness_slope(table: pd.DataFrame, solver: str) -> float | None:
    """Exponent of evaluations in rho T among stiff solves: least squares in logarithms.

    None with fewer than two different rho T.
    """
    rows = finished_solves(table, solver)
    rows = rows[rows["rho_t"] >= STIFF]
    if rows["rho_t"].nunique() < 2:
        return None
    slope, _ = np.polyfit(np.log(rows["rho_t"]), np.log(rows["evaluations"]), 1)
    return float(slope)


def with_evaluations(table: pd.DataFrame) -> pd.DataFrame:
    """Gradients and the products that estimate the spectral radius, as `evaluations`."""
    return table.assign(evaluations=table["gradients"] + table["radius_hvps"])


def finished_solves(table: pd.DataFrame, solver: str) -> pd.DataFrame:
    """Those of one solver whose rho T is known."""
    rows = with_evaluations(table)
    return rows[(rows["solver"] == solver) & (rows["status"] == "ok") & rows["rho_t"].notna()]
