"""A throw-away project with finished runs and an MLflow store, for the tests of tracking."""

import shutil
from functools import cache
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.file_utils import local_file_uri_to_path

from pipeline.runs.records import read_run, write_run
from pipeline.tracking.replay import log_tracking
from tests import run_records

SETTING = "simulated-10shot-15val-50steps"
STEPS, K = (0, 5, 50, 100), 50
GRID: dict[str, Any] = {
    "grid": "ci",
    "methods": ["maml", "amaml"],
    "settings": [SETTING],
    "seeds": [0],
}
NOTHING = {"logged": 0, "completed": 0, "replaced": 0, "unchanged": 0, "removed": 0, "missing": 0}


@cache
def empty_store(folder: Path) -> Path:
    """A migrated database: creating one takes seconds, copying it none."""
    root = folder / "empty_store"
    root.mkdir()
    none = GRID | {"grid": "none", "methods": []}
    log_tracking(root, uri=f"sqlite:///{root / 'mlflow.db'}", **none)
    return root / "mlflow.db"


def make(tmp_path: Path) -> Path:
    """A project with two finished runs and an empty store; its name needs quoting in a URL."""
    root = tmp_path / "my project"
    write_runs(root)
    shutil.copy(empty_store(tmp_path.parent), root / "mlflow.db")
    return root


def write_runs(root: Path, **changes: Any) -> Path:
    given = {"methods": GRID["methods"], "settings": [SETTING], "seeds": [0], "steps": STEPS}
    return run_records.write_grid(root / "results/ci", n_tasks=4, updates=20, **(given | changes))


def log(project: Path, **changes: Any) -> dict[str, Any]:
    uri = f"sqlite:///{project / 'mlflow.db'}"
    counts = log_tracking(project / "results/ci", uri=uri, **(GRID | changes))
    assert counts.pop("experiment") == GRID["grid"]
    assert "viewStateShareKey=runs" in counts.pop("page")
    stored = counts.pop("stored")
    assert all((project / name).stat().st_size == size for name, size in stored.items())
    return counts


def client(project: Path) -> MlflowClient:
    return MlflowClient(f"sqlite:///{project / 'mlflow.db'}")


def runs(project: Path) -> dict[str, Run]:
    store = client(project)
    experiment = store.get_experiment_by_name("ci")
    assert experiment is not None
    found = store.search_runs([experiment.experiment_id])
    names = [run.info.run_name for run in found]
    assert len(names) == len(set(names)), "each run is there once"
    of_grid = dict(zip(names, found, strict=True))
    parent = of_grid.pop("ci", None)  # all that the pipeline logged lies below it
    for run in of_grid.values():
        if "rule" in run.data.tags:
            assert parent is not None
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
    return of_grid


def parent(project: Path) -> Run:
    """The run that the runs of the grid lie below."""
    store = client(project)
    experiment = store.get_experiment_by_name("ci")
    assert experiment is not None
    [found] = store.search_runs([experiment.experiment_id], "tags.rule = 'build_tables'")
    return found


def history(project: Path, run: Run, key: str) -> dict[int, float]:
    return {m.step: m.value for m in client(project).get_metric_history(run.info.run_id, key)}


def artifacts(run: Run) -> Path:
    return Path(local_file_uri_to_path(run.info.artifact_uri))


def rewrite(directory: Path, **changes: Any) -> None:
    """Write a run again with some of its parts exchanged."""
    record = read_run(directory)
    names = ("spec", "metrics", "curve", "test_rows", "theta")
    write_run(directory, **({name: getattr(record, name) for name in names} | changes))
