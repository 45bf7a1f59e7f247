"""Records of studies, written as the commands `study-*` write them."""

from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.seals import write_sealed
from pipeline.tables.files import write_table
from pipeline.tables.studies import STUDY_COLUMNS, study_rows

COUNTS = {
    **{"gradients": 20, "hvps": 10, "accepted": 5, "rejected": 0},
    **{"kept_states": 4, "kept_bytes": 1000},
}


def stability_record(
    errors: dict[str, dict[float, float | None]] | None = None,
) -> dict[str, Any]:
    """Relative errors by way back and T, from both initialisations; None: diverged."""
    given = errors or {
        "amaml": {1.0: 0.002, 50.0: 0.03},
        "amaml_rkc": {1.0: 0.008, 50.0: 0.01},
        "backsolve": {1.0: 0.007, 50.0: None},
        "backsolve_float64": {1.0: 0.006, 50.0: 2e15},
    }
    records = [
        {
            **{"family": "cosmixture", "initialisation": start, "method": method},
            **{"horizon": horizon, "status": "diverged" if error is None else "ok"},
            **{"relative_error": error, "cosine": None if error is None else 0.9},
            **{"message": "gave up" if error is None else None, "reference_gap": 1e-4},
            **(dict.fromkeys(COUNTS) if error is None else COUNTS),
        }
        for start in ("untrained", "trained")
        for method, by_horizon in given.items()
        for horizon, error in by_horizon.items()
    ]
    return {"records": records, "stiffness": stiffness_entries()}


def stiffness_entries(slopes: dict[str, float] | None = None) -> list[dict[str, Any]]:
    """Evaluations that follow power laws of rho T exactly, and one solve given up."""
    entries = []
    for solver, slope in (slopes or {"dopri5": 1.0, "rkc": 0.5}).items():
        for horizon in (1.0, 4.0, 16.0, 64.0):
            rho_t = 10.0 * horizon
            total = round(1000 * rho_t**slope)
            gone = solver == "dopri5" and horizon == 64.0
            entries.append(
                {
                    **{"family": "cosmixture", "standardised": True, "scale": 1.0},
                    **{"horizon": horizon, "solver": solver, "rho_t": rho_t},
                    **{"gradients": total - 7, "radius_hvps": 7, "accepted": 5, "rejected": 1},
                    **{"status": "diverged" if gone else "ok", "message": None},
                }
            )
    return entries


def fidelity_record(errors: dict[str, list[float | None]] | None = None) -> dict[str, Any]:
    """Relative errors of each label's batches at K = 100 and, halved, at 10; None: diverged."""
    given = errors or {"fomaml": [2.0, 3.0, 4.0], "amaml_rkc": [0.01, 0.02, 0.03]}
    records = [
        {
            **{"family": "cosmixture", "initialisation": start, "inner_steps": steps},
            **{"batch": batch, "label": label, "omega": 0.0},
            **{"status": "diverged" if error is None else "ok", "message": None},
            **{"relative_error": None if error is None else error * (0.5 if steps == 10 else 1)},
            **{"cosine": None if error is None else 1 / (1 + error)},
            **{"own_cosine": None, "own_relative_error": None},
            **COUNTS,
        }
        for start in ("untrained", "trained")
        for steps in (10, 100)
        for label, batches in given.items()
        for batch, error in enumerate(batches)
    ]
    return {"records": records}


def noise_record(cosines: dict[str, float | None] | None = None) -> dict[str, Any]:
    """Cosines of each label at K = 100 and, nearer to 1, at 10; None: nothing to compare."""
    given = cosines or {"reptile": 0.8, "fomaml": 0.05, "amaml_rkc": 0.1}
    records = [
        {
            **{"family": "cosmixture", "initialisation": start, "inner_steps": steps},
            **{"label": label, "n_batches": 3, "n_diverged": 3 if cosine is None else 0},
            "pairwise_cosine": cosine and (cosine if steps == 100 else (1 + cosine) / 2),
            **{"signal": cosine and 0.5, "norm": cosine and 0.1},
        }
        for start in ("untrained", "trained")
        for steps in (10, 100)
        for label, cosine in given.items()
    ]
    return {"records": records}


def study_tables(root: Path, **records: dict[str, Any]) -> dict[str, pd.DataFrame]:
    """Tables read back from the CSV that `build-tables` would write of these records."""
    for name, record in records.items():
        write_sealed(root / "studies" / f"{name}.json", record)
    found = {}
    for name, rows in study_rows(root).items():
        write_table(root / "tables", name, STUDY_COLUMNS[name], rows)
        found[name] = pd.read_csv(root / "tables" / f"{name}.csv")
    return found
