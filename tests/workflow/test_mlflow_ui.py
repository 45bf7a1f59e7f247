"""A real `mlflow ui` on the default store, looked at by a real browser; and replay over HTTP."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient

from pipeline.tracking.replay import log_tracking
from tests import tracked_project
from tests.tracked_project import GRID, SETTING, artifacts, log, runs

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--window-size=2000,1200", "--virtual-time-budget=25000", "--dump-dom"),
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tracked_project.make(tmp_path_factory.mktemp("ui"))
    log(root)
    return root


@pytest.fixture(scope="module")
def address(project: Path) -> Iterator[str]:
    """Address of a plain `mlflow ui`, started in the project's root without naming a store."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mlflow = Path(sys.executable).with_name("mlflow")
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    with (project / "ui.log").open("w") as out:
        server = subprocess.Popen(
            [mlflow, "ui", "--port", str(port), "--workers", "1"],
            cwd=project,
            env=environment | {"MLFLOW_DISABLE_TELEMETRY": "true"},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(url, server, project / "ui.log")
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_two_runs_compare_as_curves(project: Path, address: str, tmp_path: Path) -> None:
    compared = [runs(project)[f"{label}/{SETTING}/0"] for label in ("maml", "amaml")]
    ids = json.dumps([run.info.run_id for run in compared]).replace(" ", "")
    experiments = json.dumps([compared[0].info.experiment_id])

    page = _dom(f"{address}/#/compare-runs?runs={ids}&experiments={experiments}", tmp_path)
    assert "Comparing 2 Runs from 1 Experiment" in page
    for run in compared:
        assert run.info.run_name in page
    assert "nrmse" in page

    # where a click on `nrmse` in that page leads
    page = _dom(
        f'{address}/#/metric?runs={ids}&metric="nrmse"&experiments={experiments}'
        '&plot_metric_keys=["nrmse"]&plot_layout={}&x_axis=step&y_axis_scale=linear'
        "&line_smoothness=1&show_point=false&deselected_curves=[]&last_linear_y_axis_range=[]",
        tmp_path,
    )
    for run in compared:
        assert f"{run.info.run_name} (nrmse)" in page
    assert page.count('class="js-line"') >= 2, "a curve a run; the legend draws lines, too"
    assert ">Step<" in page


def test_replay_over_http_shows_the_same(project: Path, address: str) -> None:
    other = GRID | {"grid": "over-http"}
    counts = log_tracking(project / "results/ci", uri=address, **other)
    assert counts["logged"] == 2
    assert log_tracking(project / "results/ci", uri=address, **other)["unchanged"] == 2

    server = MlflowClient(address)
    experiment = server.get_experiment_by_name("over-http")
    assert experiment is not None
    embedded = runs(project)
    found = {run.info.run_name: run for run in server.search_runs([experiment.experiment_id])}
    parent = found.pop("over-http")  # the run of the grid has its name
    assert found.keys() == embedded.keys()
    for run in found.values():
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        same = embedded[str(run.info.run_name)]
        assert run.data.metrics == same.data.metrics
        names = {file.path for file in server.list_artifacts(run.info.run_id)}
        assert names == {path.name for path in artifacts(same).iterdir()}


def _wait_for(url: str, server: subprocess.Popen[bytes], said: Path) -> None:
    limit = time.monotonic() + 90
    while time.monotonic() < limit and server.poll() is None:
        try:
            if requests.get(f"{url}/health", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.3)
    raise AssertionError(f"mlflow ui did not start:\n{said.read_text(encoding='utf-8')}")


def _dom(url: str, profile: Path) -> str:
    """Text of a page after its scripts have run."""
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={profile / 'browser'}", url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout
