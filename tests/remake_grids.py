"""Remake committed grids from their evidence and compare every number with the tables in git.

    python -m tests.remake_grids [GRID ...] [--against FOLDER]

Works in a temporary folder and trains nothing: a run that evidence cannot give back is a
failure. Columns that a table no longer has stand in `DROPPED`; all others have to be equal.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[1]
TABLES = ("main", "per_seed", "comparisons", "curves", "training", "costs", "equal_cost", "audit")
EXTRA = (
    "ablation",
    "horizons",
    "early_stopping",
    "choices",
    "fidelity",
    "noise",
    "stability",
    "stiffness",
)
# Columns that left their table on purpose, and why: none of them holds a measured number.
DROPPED: dict[str, str] = {
    "paper_nrmse": "empty in every row: no number of the paper's tables was ever checked",
}


def remake(grid: str, root: Path) -> None:
    """Records and tables of a grid below `root`, from the evidence in git."""
    from pipeline.config.schema import load_params, on_grid
    from pipeline.config.variants import told
    from pipeline.errors import BadInput
    from pipeline.jobs.restore import restore_records
    from pipeline.tables.build import build_tables

    params = on_grid(load_params(ROOT / "params.yaml"), grid)
    active = params.active
    for other in (grid, *active.companions):
        for part in ("evidence", "tables"):
            found = ROOT / "results" / other / part
            if found.is_dir() and (other != grid or part == "evidence"):
                shutil.copytree(found, root / "results" / other / part, dirs_exist_ok=True)
    try:
        restored = restore_records(params, root).files
    except BadInput as error:
        raise SystemExit(f"{grid}: {error}") from None
    wanted = len(active.methods) * (len(active.settings) * len(active.seeds) + 1)
    wanted += len(active.studies.names) + len(active.settings) * len(active.seeds)
    if len(restored) != wanted:
        raise SystemExit(f"{grid}: {len(restored)} of {wanted} records are in evidence")
    with told(params.variants()):
        build_tables(
            root / "results" / grid,
            grid=grid,
            methods=active.methods,
            settings=active.settings,
            seeds=active.seeds,
            companions=active.companions,
        )


def differences(made: Path, committed: Path) -> list[str]:
    """One line for each table and column that is not the same; `made` and `committed` are
    folders of tables.
    """
    found = []
    for name in (*TABLES, *EXTRA):
        old, new = committed / f"{name}.csv", made / f"{name}.csv"
        if not old.is_file():
            continue
        if not new.is_file():
            found.append(f"{name}: not made")
            continue
        before, after = (pd.read_csv(path, dtype=str, keep_default_na=False) for path in (old, new))
        if len(before) != len(after):
            found.append(f"{name}: {len(after)} rows, committed {len(before)}")
            continue
        for column in before:
            if column not in after:
                if column not in DROPPED:
                    found.append(f"{name}.{column}: gone")
            elif (differs := before[column] != after[column]).any():
                row = int(differs.idxmax())
                found.append(
                    f"{name}.{column}: {int(differs.sum())} differ, row {row}: "
                    f"{after[column][row]!r}, committed {before[column][row]!r}"
                )
    return found


def committed_grids() -> list[str]:
    """Grids that have both evidence and tables in git."""
    return sorted(path.parent.name for path in ROOT.glob("results/*/evidence"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grids", nargs="*", default=committed_grids())
    parser.add_argument("--against", type=Path, default=ROOT / "results")
    given = parser.parse_args()
    worst = 0
    for grid in given.grids:
        with tempfile.TemporaryDirectory() as folder:
            remake(grid, Path(folder))
            lines = differences(
                Path(folder, "results", grid, "tables"), given.against / grid / "tables"
            )
        print(f"{grid}: {'the same' if not lines else 'differs'}", *lines, sep="\n  ", flush=True)
        worst |= bool(lines)
    return worst


if __name__ == "__main__":
    sys.exit(main())
