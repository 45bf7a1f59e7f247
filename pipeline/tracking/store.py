"""Where the tracking store is, and how to reach it without waiting for ever or in each other's way.

What can be refused is refused before mlflow is imported, which takes seconds.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from pipeline.config.schema import DEFAULT_STORE, store_address
from pipeline.errors import BadInput

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

LOCK_WAIT_S = 300.0
SOUND = "What it holds is sound: keep it."
# What SQLite and MLflow say of a store that cannot be used -> what to do. Only a damaged file is
# one to part with, and then it is moved away: people may have logged runs of their own in it.
REMEDIES = (
    (
        ("is locked", "locking protocol"),
        f"Another program is writing to it. {SOUND} End that program (an `mlflow` or `sqlite3` of "
        "yours), or wait for it.",
    ),
    (("disk is full", "No space left"), f"The disk is full. {SOUND} Make room on the disk."),
    (
        ("readonly database", "unable to open", "disk I/O error", "Permission denied"),
        f"It cannot be read and written. {SOUND} Correct the permissions of {{path}} and of its "
        "folder, and look whether the disk is well.",
    ),
    (
        ("database schema", "Can't locate revision"),
        f"Another version of MLflow has written it. {SOUND} Use that version, or bring a copy of "
        "it to this one's: `mlflow db upgrade {uri}`.",
    ),
    (
        ("malformed", "not a database", "encrypted"),
        "The file is damaged. Move it away: `mv {path} {path}.damaged`. This project's runs are "
        "rebuilt from the results; what was logged by other means is in that file only.",
    ),
)
PROBE_TIMEOUT_S = 5.0
ENVIRONMENT = {  # what the user has set stands
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # a server that stops answering ends the command within two minutes, not after twenty
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
}


class Unusable(BadInput):
    """A store that cannot be used now; results and records have no need of it."""


def store_path(uri: str) -> Path | None:
    """Database file of a `sqlite:///` store, None for a tracking server.

    Raises:
        BadInput: when the address is of neither kind.
    """
    try:
        store_address(uri)
    except ValueError as error:
        raise BadInput(f"tracking uri: {error}") from None
    if uri.startswith(("http://", "https://")):
        return None
    name = uri.removeprefix("sqlite:///")
    if name == ":memory:":
        raise BadInput(
            "tracking uri: found a store in memory, which ends with the command; needed "
            f"sqlite:///FILE. The default is {DEFAULT_STORE}."
        )
    return Path(name).resolve()


def set_environment() -> None:
    """Set MLflow's variables, before its import: it reads some of them only then."""
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)


def probe(uri: str, path: Path | None) -> None:
    """Ask for a sign of life: MLflow's own client would try again for minutes.

    Raises:
        Unusable: when no server answers, or the file is no database or held by a writer.
    """
    if path is None:
        try:
            requests.get(f"{uri.rstrip('/')}/health", timeout=PROBE_TIMEOUT_S)
        except requests.RequestException as error:
            raise Unusable(
                f"{uri}: found no server that answers within {PROBE_TIMEOUT_S:g} s "
                f"({type(error).__name__}); needed an MLflow server. Start one with `mlflow "
                f"server`, correct the address, or use the default `{DEFAULT_STORE}`. The "
                "results are complete without it."
            ) from error
    elif path.exists():
        try:
            with closing(sqlite3.connect(path, timeout=PROBE_TIMEOUT_S)) as database:
                database.execute("PRAGMA schema_version")
        except sqlite3.Error as error:
            raise refusal(uri, path, str(error)) from error


def refusal(uri: str, path: Path | None, reason: str) -> Unusable:
    """Say why a store cannot be used, and what to do."""
    remedy = "Check the server, or use the default store."
    if path is not None:
        known = (text for signs, text in REMEDIES if any(sign in reason for sign in signs))
        remedy = next(known, f"{SOUND} Ask MLflow what it lacks: `mlflow db upgrade --help`.")
        remedy = f"{remedy.format(path=path, uri=uri)} Then give the command again."
    first_line = (reason.splitlines() or [""])[0]
    return Unusable(
        f"{uri}: found an unusable store ({first_line}); needed an MLflow one. {remedy}"
    )


@contextmanager
def locked(path: Path | None) -> Iterator[None]:
    """Hold the store for one writer. The lock is SQLite's own: portable, and freed on a crash."""
    if path is None:
        yield
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    try:
        holder = sqlite3.connect(lock, timeout=LOCK_WAIT_S, isolation_level=None)
    except sqlite3.OperationalError as error:
        raise Unusable(
            f"{lock}: {error}; needed a folder in which files can be written. Give another --uri, "
            f"or use the default `{DEFAULT_STORE}`."
        ) from error
    with closing(holder):
        try:
            holder.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "is locked" not in str(error):
                raise refusal(str(lock), lock, str(error)) from error
            raise Unusable(
                f"{lock}: {error}: another `log-tracking` has held the store for "
                f"{LOCK_WAIT_S:g} s. Wait for it to end, then run this one again."
            ) from error
        yield


def runs_by_name(client: "MlflowClient", experiment: str) -> dict[str, list["Run"]]:
    """Runs by name; those that people logged here themselves carry no rule and are not ours."""
    known: dict[str, list[Run]] = {}
    token = None
    while True:
        before = token
        page = client.search_runs([experiment], page_token=token)
        for run in page:
            if "rule" in run.data.tags:
                known.setdefault(str(run.info.run_name), []).append(run)
        token = page.token
        if not token or token == before:  # a server that stays on its page would go on for ever
            return known


def logged_ids(database: Path, grid: str, names: Iterable[str]) -> dict[str, str]:
    """Ids of the MLflow runs of a grid, by their name.

    Args:
        database: `mlflow.db`; when there is none, nothing was logged.
        grid: name of the experiment.
        names: `label/setting/seed` of the runs that are looked for.

    Returns:
        The id of each run that is logged; others are left out.

    Raises:
        BadInput: when the file is no MLflow store of this version.
    """
    if not database.is_file():
        return {}
    uri = f"sqlite:///{database.resolve().as_posix()}"
    probe(uri, database)
    set_environment()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        client = MlflowClient(uri)
        experiment = client.get_experiment_by_name(grid)
        known = runs_by_name(client, experiment.experiment_id) if experiment else {}
    except MlflowException as error:
        raise refusal(uri, database, str(error)) from error
    return {
        name: run.info.run_id
        for name in names
        for run in known.get(name, [])
        if "content_digest" in run.data.tags
    }
