"""Delete what no longer matches its recipe, and what left the grid.

Snakemake needs none of this: it looks at recipes itself (pipeline/jobs/look.py). It is for those
who want the folder to hold the grid and nothing else, before `dvc push`, say.
"""

import shutil
from pathlib import Path
from typing import Any

from pipeline.config.schema import Params
from pipeline.errors import BadInput
from pipeline.jobs import process
from pipeline.jobs.artifacts import Artifact, fault_of, grid_artifacts

MADE = ("reference", "runs", "profile", "studies")  # below results/{grid}
DATA = ("data/raw", "data/ratings", "data/tasks", "data/episodes")
VIEWED = ("tables", "figures", "report", "tracking")  # kinds that stay: git has them, or others


def reconcile(params: Params, *, root: Path = Path()) -> dict[str, Any]:
    """Make the records and data of the active grid agree with the parameters.

    Files of other grids, tables, figures, the report and the MLflow store are left alone: what
    is made of deleted records is stale by its recipe, and the next `snakemake` makes it.

    Args:
        root: the project's folder.

    Returns:
        Numbers of artifacts `kept`, `missing` and `removed`, and `reasons`: what was removed and
        why.

    Raises:
        BadInput: when a running Snakemake works in `root`.
    """
    if process.is_locked(root):
        raise BadInput(
            f"{root / '.snakemake/alive'}: found the lock of a running Snakemake; needed none. "
            "Wait for it to end."
        )
    artifacts = [a for a in grid_artifacts(params, root) if a.recipe["kind"] not in VIEWED]
    results = root / "results" / params.grid
    for folder in (*(root / name for name in DATA), *(results / name for name in MADE)):
        folder.mkdir(parents=True, exist_ok=True)  # a grid without studies has an empty one
    reasons = _remove_others(results, {root / a.files[-1] for a in artifacts}, artifacts, root)
    kept = 0
    for artifact in artifacts:
        fault = fault_of(artifact, root)
        if fault is None:
            kept += 1
        elif sum(_remove(root / path) for path in artifact.files):
            reasons[artifact.files[-1].as_posix()] = fault
            _remove(root / artifact.output)
    return {
        "grid": params.grid,
        "kept": kept,
        "missing": len(artifacts) - kept,
        "removed": len(reasons),
        "reasons": reasons,
    }


def _remove_others(
    results: Path, expected: set[Path], artifacts: list[Artifact], root: Path
) -> dict[str, str]:
    """Delete records that are not of the grid, and folders left empty."""
    blocks = {root / a.output for a in artifacts if a.recipe["kind"] == "run"}
    reasons = {}
    for folder in sorted(results.glob("runs/*/*/*")):
        if folder.is_dir() and folder / "spec.json" not in expected:
            shutil.rmtree(folder)
            reasons[folder.as_posix()] = "not in the grid"
        elif folder.is_file() and folder not in blocks:
            folder.unlink()
    kept = ("reference/*/*.parquet", "profile/*.json", "studies/*.json")
    for record in sorted(path for pattern in kept for path in results.glob(pattern)):
        if record not in expected:
            record.unlink()
            reasons[record.as_posix()] = "not in the grid"
    folders = ("runs/*/*", "runs/*", "reference/*")
    for folder in sorted((f for p in folders for f in results.glob(p)), reverse=True):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
    return reasons


def _remove(path: Path) -> bool:
    found = path.exists()
    path.unlink(missing_ok=True)
    return found
