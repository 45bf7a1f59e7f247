"""The experiment of a grid: its store is opened, it is found or made, and shows a table of runs."""

import json
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.config.measures import NUMBERS, Measure
from pipeline.errors import of_system
from pipeline.files import replacing
from pipeline.tracking.store import (
    Unusable,
    locked,
    probe,
    refusal,
    set_environment,
    store_path,
)

if TYPE_CHECKING:  # importing mlflow takes seconds: only a call pays for it
    from mlflow import MlflowClient
    from mlflow.entities import Run

NOTE = (
    "The runs of grid `{grid}`, from their records: `python -m pipeline log-tracking`.\n\n"
    "[Table of all runs, best first](#/experiments/{id}/runs?viewStateShareKey={view}"
    "&workflowType=machine_learning)"
)
PARENT = "build_tables"  # the rule of the run that all others lie below; it has the grid's tables
PARENT_TAG = "mlflow.parentRunId"
# MLflow's own tags: which of its two kinds of pages an experiment opens on, and a stored view,
# which the address of that page names.
KIND = {"mlflow.experimentKind": "custom_model_development"}
VIEW = "runs"
VIEW_TAG = f"mlflow.sharedViewState.{VIEW}"
COLUMNS = ("tags.`method`", "tags.`setting`", "tags.`seed`")


@dataclass(frozen=True)
class Experiment:
    """An open experiment; `artifacts` is its folder, None on a tracking server."""

    client: "MlflowClient"
    id: str
    artifacts: Path | None


@contextmanager
def opened(uri: str, grid: str, measure: Measure | None = None) -> Iterator[Experiment]:
    """Open the experiment of a grid, creating store and experiment where they are missing.

    Args:
        measure: of the errors that its table of runs shows; None: as they are shown.
    """
    path = store_path(uri)
    probe(uri, path)
    set_environment()
    with locked(path):
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        try:
            with _database(path) as address:
                client = MlflowClient(address or uri)
                artifacts = path.parent / "mlartifacts" / grid if path else None
                number = _experiment_id(client, grid, artifacts, measure)
                yield Experiment(client, number, artifacts)
        except (MlflowException, SQLAlchemyError, sqlite3.Error) as error:
            raise refusal(uri, path, str(error)) from error
        except OSError as error:
            if error.errno is None:
                raise
            raise Unusable(str(of_system(error))) from error


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


def _experiment_id(
    client: "MlflowClient", grid: str, artifacts: Path | None, measure: Measure | None
) -> str:
    from mlflow.entities import LifecycleStage

    location = artifacts.as_uri() if artifacts else None
    found = client.get_experiment_by_name(grid)
    if found and found.lifecycle_stage == LifecycleStage.DELETED:
        client.restore_experiment(found.experiment_id)
    if found and location in (None, found.artifact_location):
        number, known = str(found.experiment_id), dict(found.tags)
    else:
        if found:
            # the project was moved: its artifacts are looked for at the old place. A deleted
            # experiment keeps its name, so it is renamed before
            client.rename_experiment(found.experiment_id, f"{grid} (moved, {found.experiment_id})")
            client.delete_experiment(found.experiment_id)
        number, known = str(client.create_experiment(grid, artifact_location=location)), {}
    note = NOTE.format(grid=grid, id=number, view=VIEW)
    shown = known.get(VIEW_TAG) if measure is None else None
    for key, value in (
        {"mlflow.note.content": note, VIEW_TAG: shown or view(measure or NUMBERS)} | KIND
    ).items():
        if known.get(key) != value:
            client.set_experiment_tag(number, key, value)
    return number


def view(measure: Measure = NUMBERS) -> str:
    """State of MLflow's page of runs: who they are and how good, the best first."""
    return json.dumps(
        {
            "searchFilter": "tags.rule = 'meta_train'",
            "orderByKey": f"metrics.`{measure.name}`",
            "orderByAsc": True,
            "selectedColumns": ["attributes.`Created`", *COLUMNS, f"metrics.`{measure.name}`"],
            "columnOrder": [],
        }
    )


def address_of(uri: str, experiment: Experiment) -> str:
    """Of the page that shows the table of all runs; `mlflow ui` answers for a local store."""
    server = "http://127.0.0.1:5000" if experiment.artifacts else uri.rstrip("/")
    page = f"/#/experiments/{experiment.id}/runs"
    return f"{server}{page}?viewStateShareKey={VIEW}&workflowType=machine_learning"


def parent_run(experiment: Experiment, grid: str) -> "Run":
    """The run that the runs of a grid lie below; made where there is none."""
    found = experiment.client.search_runs(
        [experiment.id], f"tags.rule = '{PARENT}' and attributes.run_name = '{grid}'"
    )
    if found:
        return found[0]
    return experiment.client.create_run(experiment.id, tags={"rule": PARENT}, run_name=grid)
