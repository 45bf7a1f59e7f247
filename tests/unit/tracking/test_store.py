"""Stores that cannot be used: one clear message, soon, whatever is wrong."""

import socket
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from pipeline.errors import BadInput
from pipeline.tracking import store as tracking_store
from pipeline.tracking.replay import log_tracking
from tests import run_records

SETTING = "simulated-10shot-15val-50steps"
GRID: dict[str, Any] = {"grid": "ci", "methods": ["maml"], "settings": [SETTING], "seeds": [0]}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    names = {key: GRID[key] for key in ("methods", "settings", "seeds")}
    return run_records.write_grid(tmp_path / "results/ci", n_tasks=2, updates=4, **names)


def log(results: Path) -> dict[str, Any]:
    return log_tracking(results, uri=f"sqlite:///{results.parents[1] / 'mlflow.db'}", **GRID)


def test_store_held_too_long_is_refused(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracking_store, "LOCK_WAIT_S", 0.2)
    with (
        tracking_store.locked(results.parents[1] / "mlflow.db"),
        pytest.raises(BadInput, match=r"another `log-tracking` has held the store for 0\.2 s"),
    ):
        log(results)


@pytest.mark.parametrize("listening", [True, False], ids=["silent", "closed"])
def test_unreachable_server_is_refused_soon(
    results: Path, monkeypatch: pytest.MonkeyPatch, listening: bool
) -> None:
    monkeypatch.setattr(tracking_store, "PROBE_TIMEOUT_S", 0.5)
    send, waited = requests.Session.send, []

    def sending(self: requests.Session, *request: Any, **options: Any) -> Any:
        waited.append(options["timeout"])
        return send(self, *request, **options)

    monkeypatch.setattr(requests.Session, "send", sending)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if listening:
            server.listen()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BadInput, match=r"found no server that answers within 0\.5 s"):
            log_tracking(results, uri=uri, **GRID)
    assert waited == [0.5]  # once; MLflow's own client would try for minutes


@pytest.mark.parametrize("uri", ["mlruns", "file:///tmp/mlruns", "sqlite:///", "postgresql://x/y"])
def test_other_stores_are_refused(results: Path, uri: str) -> None:
    with pytest.raises(BadInput, match=r"needed sqlite:///FILE or the http:// address"):
        log_tracking(results, uri=uri, **GRID)


def test_file_that_is_no_database_is_refused(results: Path) -> None:
    (results.parents[1] / "mlflow.db").write_text("not a database " * 100, encoding="utf-8")
    with pytest.raises(tracking_store.Unusable, match=r"not a database.*`mv .*mlflow\.db"):
        log(results)


SAID = {  # by SQLite and MLflow
    "database is locked": "Another program",
    "database or disk is full": "Make room",
    "attempt to write a readonly database": "permissions",
    "unable to open database file": "permissions",
    "Detected out-of-date database schema (found version a, but expected b)": "mlflow db upgrade",
    "database disk image is malformed": "`mv ",
    "file is not a database": "`mv ",
    "something new": "keep it",
}


@pytest.mark.parametrize("reason", SAID)
def test_each_cause_has_its_own_remedy(reason: str, tmp_path: Path) -> None:
    """Only a damaged file is one to part with, and it is moved, not deleted."""
    said = str(tracking_store.refusal("sqlite:///mlflow.db", tmp_path / "mlflow.db", reason))
    assert SAID[reason] in said
    assert ("is sound: keep it" in said) is ("`mv " not in said)
    assert "elete" not in said


def test_a_store_that_another_program_holds_is_left_alone(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking_store, "PROBE_TIMEOUT_S", 0.1)
    store = results.parents[1] / "mlflow.db"
    with closing(sqlite3.connect(store, isolation_level=None)) as other:
        other.execute("CREATE TABLE mine (x)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(tracking_store.Unusable, match=r"database is locked.*keep it"):
            log(results)


def test_missing_results_are_refused(results: Path) -> None:
    with pytest.raises(BadInput, match="no such folder"):
        log_tracking(results / "nowhere", uri="sqlite:///mlflow.db", **GRID)


def test_a_place_where_no_store_can_be_made_is_named(results: Path) -> None:
    with pytest.raises(BadInput) as refused:
        log_tracking(results, uri="sqlite:////proc/x.db", **GRID)
    assert "/proc/x.db" in str(refused.value)
    assert "--uri" in str(refused.value)


@pytest.mark.timeout(20)
def test_a_server_that_stays_on_its_page_is_left() -> None:
    class Page(list[Any]):
        token = "again"

    class Client:
        def search_runs(self, *_: Any, **__: Any) -> Page:
            return Page()

    assert tracking_store.runs_by_name(Client(), "1") == {}  # type: ignore[arg-type]
