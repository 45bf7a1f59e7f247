"""A champion from the real server, started elsewhere, answers what `adapt` prints."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests

from pipeline.runs.initialisation import Initialisation
from pipeline.runs.job import run
from pipeline.runs.use import adapt_to
from pipeline.tracking.champions import register
from tests.unit.runs import test_model
from tests.workflow.project import Project

pytestmark = pytest.mark.slow

SETTING = "simulated-10shot-15val-50steps"


@pytest.fixture
def promoted(project: Project) -> Project:
    name = f"models:/ci.{SETTING}@champion, version 1"
    said = project.run("python", "-m", "pipeline", "promote", "ci")
    assert f"registered as {name}" in said
    again = project.run("python", "-m", "pipeline", "promote", "ci")
    assert f"as it was: {name}" in again
    return project


@pytest.fixture
def server(promoted: Project, tmp_path: Path) -> Iterator[str]:
    """Its address; the folder and the path of the process know nothing of the project."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "elsewhere").mkdir()
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{promoted.path('mlflow.db')}"
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    command = ["mlflow", "models", "serve", "-m", f"models:/ci.{SETTING}@champion"]
    with (tmp_path / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)],
            cwd=tmp_path / "elsewhere",
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(240):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            try:
                if requests.get(f"{url}/ping", timeout=5).ok:
                    break
            except requests.ConnectionError:
                time.sleep(0.5)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def ask(url: str, body: Any) -> requests.Response:
    headers = {"Content-Type": "application/json"}
    return requests.post(f"{url}/invocations", data=json.dumps(body), headers=headers, timeout=30)


def test_the_server_answers_what_adapt_prints(promoted: Project, server: str) -> None:
    tasks = pd.read_parquet(promoted.path("data/tasks/simulated.parquet"))
    names = range(1, 21)  # ids of the items stand in the champion; some of these are unknown
    rated = tasks.groupby("task").head(12).groupby("task").filter(lambda own: len(own) == 12)
    rated = rated[rated["task"].isin(rated["task"].unique()[:3])].reset_index(drop=True)
    rows = pd.DataFrame(
        {"user": rated["task"], "item": [names[i % 20] for i in rated.index], "rating": rated["y"]}
    )
    is_support = rows.groupby("user").cumcount() < 8
    rows[is_support].to_csv(promoted.path("support.csv"), index=False)
    rows[~is_support].drop(columns="rating").to_csv(promoted.path("query.csv"), index=False)
    printed = promoted.run(
        *("python", "-m", "pipeline", "adapt", f"ci/{SETTING}", "support.csv", "query.csv"),
        *("--steps", "20"),
    )
    wanted = pd.read_csv(io.StringIO(printed[printed.index("user,item") :]), nrows=12)

    mixed = rows.assign(part=is_support.map({True: "support", False: "query"}))
    mixed["rating"] = mixed["rating"].where(is_support)
    split = json.loads(mixed.to_json(orient="split", index=False))
    records = json.loads(mixed.to_json(orient="records"))
    for body in ({"dataframe_split": split}, {"dataframe_records": records}):
        started = time.monotonic()
        answered = ask(server, body | {"params": {"steps": 20}})
        assert time.monotonic() - started < 1
        assert answered.status_code == 200, answered.text
        found = pd.DataFrame(answered.json()["predictions"])
        pd.testing.assert_frame_equal(found, wanted, rtol=1e-5, check_dtype=False)

    for body in (
        {"dataframe_records": records[:1]},
        {"dataframe_records": [records[0] | {"part": "both"}]},
        {"dataframe_records": [{"part": "support", "rating": 1}]},
        {"dataframe_records": [records[0] | {"rating": "many"}, records[-1]]},
        {"dataframe_split": split, "params": {"steps": -1}},
        {"rows": []},
    ):
        refused = ask(server, body)
        assert refused.status_code == 400, refused.text
        assert set(refused.json()) <= {"error_code", "message", "sqlstate", "error_class"}
        assert "Traceback" not in refused.text


def test_a_model_of_ones_own_is_served_where_its_code_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_code.py").write_text(test_model.MODELS)
    given, tasks, episodes = test_model.made(tmp_path)
    run(given, tasks, episodes, tmp_path / "run", device="cpu")
    start, file = Initialisation.read(tmp_path / "run"), tmp_path / "champion.safetensors"
    chosen = {"grid": "own", "measure": "nrmse", "test": {"nrmse": 0.5}}
    about = start.about | chosen | {"validation": {"error": 0.5, "others": []}}
    Initialisation(file, start.theta, about).write(file)
    store = f"sqlite:///{tmp_path / 'mlflow.db'}"
    register([Initialisation.read(file)], uri=store, grid="own")

    rows = test_model.images().head(12).rename(columns={"camera": start.about["task"]})
    right = adapt_to(file, rows.head(7), rows.tail(5))["prediction"]
    rows["part"] = ["support"] * 7 + ["query"] * 5
    rows.to_parquet(tmp_path / "rows.parquet")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = (
        "import mlflow, pandas, sys\n"
        f"mlflow.set_tracking_uri({store!r})\n"
        "model = mlflow.pyfunc.load_model('models:/own.images@champion')\n"
        f"rows = pandas.read_parquet({str(tmp_path / 'rows.parquet')!r})\n"
        "print(sys.modules['pipeline'].__file__)\n"
        "print(model.predict(rows)['prediction'].to_json(orient='values', double_precision=15))\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    said = subprocess.run(
        [sys.executable, "-c", code],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert said.returncode == 0, said.stderr
    *_, place, printed = said.stdout.splitlines()
    assert "mlartifacts" in place, "its code comes with it"
    assert json.loads(printed) == pytest.approx(list(right), rel=1e-6)
    sys.modules.pop("my_code", None)
