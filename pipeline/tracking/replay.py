"""Replay of finished runs into MLflow: a view for people, rebuilt from `results/` at any time.

One experiment per grid, one run per method x setting x seed, and a run `tables` with the
figures and tables of the grid. The default store, `sqlite:///mlflow.db` with its artifacts in
`mlartifacts/`, is what a plain `mlflow ui` in the project's root opens; both may be deleted.
"""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track

from pipeline.errors import BadInput
from pipeline.files import read_json, replacing
from pipeline.runs.records import FILES, read_reference, read_run, reference_file
from pipeline.tracking.content import Content, content_digest, grid_files, run_content, run_figures
from pipeline.tracking.store import (
    locked,
    probe,
    refusal,
    runs_by_name,
    set_environment,
    store_path,
)

if TYPE_CHECKING:  # importing mlflow takes seconds: only a call pays for it
    from mlflow import MlflowClient
    from mlflow.entities import Run

METRICS_A_CALL, PARAMS_A_CALL = 1000, 100  # MLflow refuses more
NOTE = (
    "Replayed from the run records of grid `{grid}` by `python -m pipeline log-tracking`. Tick "
    "runs and compare them: `test_nrmse` is drawn against meta-test training steps."
)


@dataclass(frozen=True)
class Experiment:
    """An open experiment; `artifacts` is its folder, None on a tracking server."""

    client: "MlflowClient"
    id: str
    artifacts: Path | None


def log_tracking(
    results_dir: Path,
    *,
    uri: str,
    grid: str,
    methods: list[str],
    settings: list[str],
    seeds: list[int],
    progress: bool | None = None,
) -> dict[str, Any]:
    """Make the experiment `grid` show exactly the finished runs of a grid.

    A run whose record was logged before is left alone, one whose record changed is replaced,
    and one that left the grid is deleted. Calls on one SQLite store take turns.

    Args:
        results_dir: such as `results/quickstart`.
        uri: `sqlite:///FILE` or `http(s)://` of an MLflow server.
        grid: name of the experiment.
        methods, settings, seeds: the grid; `methods` are labels of params.yaml.
        progress: draw a progress bar on stderr; None: when stderr is a terminal.

    Returns:
        `experiment`, and how many runs were `logged` (new), `replaced`, `unchanged`, `removed`,
        and how many of the grid are `missing`: not finished.

    Raises:
        BadInput: no results, an unreadable record, or a store that cannot be used.
    """
    if not results_dir.is_dir():
        raise BadInput(
            f"{results_dir}: found no such folder; needed the results of grid '{grid}'. "
            "Run `snakemake` first."
        )
    counts = dict.fromkeys(("logged", "replaced", "unchanged", "removed", "missing"), 0)
    shown = sys.stderr.isatty() if progress is None else progress
    cells = list(product(methods, settings, seeds))
    with opened(uri, grid) as experiment:
        known = runs_by_name(experiment.client, experiment.id)
        bar = track(cells, "MLflow", console=Console(stderr=True), disable=not shown)
        for label, setting, seed in bar:
            directory = results_dir / "runs" / label / setting / str(seed)
            if not (directory / "spec.json").is_file():
                counts["missing"] += 1
                continue
            profile = results_dir / "profile" / f"{label}.json"
            reference = reference_file(results_dir, setting, seed)
            files = [directory / name for name in FILES]
            digest = content_digest([*files, reference, profile])
            old = known.pop(f"{label}/{setting}/{seed}", [])
            run = _keep_one(experiment, old, digest)
            if run is None:
                cost = read_json(profile) if profile.is_file() else None
                content = run_content(read_run(directory), read_reference(reference), cost)
                run = _log(experiment, content, digest)
                counts["replaced" if old else "logged"] += 1
            else:
                counts["unchanged"] += 1
            _attach(experiment, run, run_figures(results_dir))
        _log_tables(experiment, results_dir, known.pop("tables", []))
        for left in known.values():
            _keep_one(experiment, left, "")
            counts["removed"] += len(left)
    return {"experiment": grid, **counts}


@contextmanager
def opened(uri: str, grid: str) -> Iterator[Experiment]:
    """Open the experiment of a grid, creating store and experiment where they are missing."""
    path = store_path(uri)
    probe(uri, path)
    set_environment()
    with locked(path):
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        try:
            with _database(path) as address:
                client = MlflowClient(address or uri)
                artifacts = path.parent / "mlartifacts" / grid if path else None
                yield Experiment(client, _experiment_id(client, grid, artifacts), artifacts)
        except MlflowException as error:
            raise refusal(uri, path, str(error)) from error


@contextmanager
def _database(path: Path | None) -> Iterator[str | None]:
    """Yield the absolute address of a database; no connection to it outlives the block."""
    if path is None:
        yield None
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    root = (path.parent / "mlartifacts").as_uri()
    if not path.exists():
        # beside, then renamed: a half-migrated database can never be opened again
        with replacing(path) as beside:
            SqlAlchemyStore(f"sqlite:///{beside.as_posix()}", root).engine.dispose()
    address = f"sqlite:///{path.as_posix()}"
    engine = SqlAlchemyStore(address, root).engine  # the one that the client gets, too
    engine.dispose()  # what was open before may be a file that was deleted since
    try:
        yield address
    finally:
        engine.dispose()


def _experiment_id(client: "MlflowClient", grid: str, artifacts: Path | None) -> str:
    from mlflow.entities import LifecycleStage

    location = artifacts.as_uri() if artifacts else None
    found = client.get_experiment_by_name(grid)
    if found and found.lifecycle_stage == LifecycleStage.DELETED:
        client.restore_experiment(found.experiment_id)
    if found and location in (None, found.artifact_location):
        return str(found.experiment_id)
    if found:
        # the project was moved: its artifacts are looked for at the old place. A deleted
        # experiment keeps its name, so it is renamed before
        client.rename_experiment(found.experiment_id, f"{grid} (moved, {found.experiment_id})")
        client.delete_experiment(found.experiment_id)
    tags = {
        "mlflow.note.content": NOTE.format(grid=grid),
        "mlflow.experimentKind": "custom_model_development",
    }
    return str(client.create_experiment(grid, artifact_location=location, tags=tags))


def _keep_one(experiment: Experiment, runs: Sequence["Run"], digest: str) -> "Run | None":
    """Return the run that is logged whole under `digest`; delete every other one."""
    kept = None
    for run in runs:
        whole = run.data.tags.get("content_digest") == digest
        if whole and experiment.artifacts:
            whole = (experiment.artifacts / run.info.run_id / "artifacts").is_dir()
        if whole and kept is None:
            kept = run
        else:
            experiment.client.delete_run(run.info.run_id)
    return kept


def _log(experiment: Experiment, content: Content, digest: str) -> "Run":
    """Log one run; its digest comes last, so that a broken-off run is logged again."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    client = experiment.client
    run = client.create_run(experiment.id, content.start, content.tags, content.name)
    run_id = run.info.run_id
    metrics = [Metric(p.key, p.value, p.timestamp, p.step) for p in content.points]
    params = [Param(key, value) for key, value in content.params.items()]
    for few in _chunks(params, PARAMS_A_CALL):
        client.log_batch(run_id, params=few)
    for some in _chunks(metrics, METRICS_A_CALL):
        client.log_batch(run_id, metrics=some)
    if content.data:
        context = InputTag("mlflow.data.context", "training")
        client.log_inputs(run_id, [DatasetInput(Dataset(**asdict(content.data)), [context])])
    for path in content.files:
        client.log_artifact(run_id, path)
    client.set_terminated(run_id, content.status, content.end)
    client.set_tag(run_id, "content_digest", digest)
    return run


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _attach(experiment: Experiment, run: "Run", folders: Mapping[str, Sequence[Path]]) -> None:
    """Upload files that are redrawn from the records, where they differ from those uploaded."""
    digest = content_digest([path for paths in folders.values() for path in paths])
    if run.data.tags.get("attached_digest") == digest or not any(folders.values()):
        return
    for folder, paths in folders.items():
        for path in paths:
            experiment.client.log_artifact(run.info.run_id, path, folder)
    experiment.client.set_tag(run.info.run_id, "attached_digest", digest)


def _log_tables(experiment: Experiment, results_dir: Path, old: Sequence["Run"]) -> None:
    """Keep the grid's figures and tables on a run of their own, `tables`."""
    folders = grid_files(results_dir)
    if not any(folders.values()):
        _keep_one(experiment, old, "")
        return
    run = _keep_one(experiment, old, "tables")
    if run is None:
        tags = {"rule": "build_tables", "content_digest": "tables"}
        run = experiment.client.create_run(experiment.id, tags=tags, run_name="tables")
        experiment.client.set_terminated(run.info.run_id)
    _attach(experiment, run, folders)
