"""Runs in MLflow while they train: seen growing, ended as they ended, completed from the record."""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.runs.progress import FILE, ProgressFile
from pipeline.runs.recipe import digest
from pipeline.runs.records import read_run, reference_file
from pipeline.tracking import live
from pipeline.tracking.live import Live
from tests import run_records
from tests.tracked_project import (
    NOTHING,
    SETTING,
    client,
    empty_store,
    history,
    log,
    parent,
    runs,
    write_runs,
)

NAMES = {label: f"{label}/{SETTING}/0" for label in ("maml", "amaml")}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in which no run has ended yet."""
    root = tmp_path / "my project"
    (root / "results/ci").mkdir(parents=True)
    shutil.copy(empty_store(tmp_path.parent), root / "mlflow.db")
    return root


def following(project: Path, **changes: Any) -> Live:
    given = {"uri": f"sqlite:///{project / 'mlflow.db'}", "patience": 0.0} | changes
    cells = [(label, SETTING, 0) for label in NAMES]
    return Live(project / "results/ci", grid="ci", cells=cells, **given)


def folder(project: Path, label: str) -> Path:
    return project / "results/ci/runs" / label / SETTING / "0"


def training(project: Path, label: str, **changes: Any) -> ProgressFile:
    """The progress file of a training that has begun."""
    spec = run_records.spec(label, SETTING, 0, 50) | changes
    of = {key: spec[key] for key in ("label", "setting", "seed")}
    start = {"recipe": digest(spec), **of, "updates": 20, "spec": spec}
    file = ProgressFile(folder(project, label), start)
    file.open()
    return file


def rows(label: str) -> list[dict[str, float]]:
    """Rows of the curve that the run's record will have."""
    return run_records.curve(label, SETTING, 0, 20).to_dict("records")  # type: ignore[return-value]


def note(file: ProgressFile, label: str, first: int, last: int) -> None:
    for row in rows(label)[first:last]:
        file._due = 0.0  # each as if two seconds had passed
        file.note(row)


def test_a_run_is_seen_growing_and_completed_once(project: Path) -> None:
    seen = following(project)
    file = training(project, "maml")
    note(file, "maml", 0, 3)
    seen.step()
    run = runs(project)[NAMES["maml"]]
    assert run.info.status == parent(project).info.status == "RUNNING"
    assert run.data.tags["method"] == "maml"
    assert run.data.params["support"] == "10"
    assert set(history(project, run, "meta_loss")) == {1, 2, 3}

    note(file, "maml", 3, 9)
    seen.step()
    assert set(history(project, run, "meta_loss")) == set(range(1, 10))

    write_runs(project, methods=["maml"])
    file.close(None)
    seen.step()
    assert runs(project)[NAMES["maml"]].info.run_id == run.info.run_id
    ended = runs(project)[NAMES["maml"]]
    assert ended.info.status == "FINISHED"
    record = read_run(folder(project, "maml"))
    assert ended.data.metrics["nrmse"] == pytest.approx(record.metrics["nrmse"])
    assert history(project, run, "meta_loss") == pytest.approx(
        dict(zip(record.curve["update"], record.curve["meta_loss"], strict=True))
    )

    write_runs(project, methods=["amaml"])
    seen.end()
    assert log(project) == NOTHING | {"completed": 1, "logged": 1}
    assert log(project) == NOTHING | {"unchanged": 2}
    assert runs(project)[NAMES["maml"]].info.run_id == run.info.run_id
    store = client(project)
    for key in runs(project)[NAMES["maml"]].data.metrics:
        steps = [m.step for m in store.get_metric_history(run.info.run_id, key)]
        assert len(steps) == len(set(steps)), f"{key} has a point twice"
    assert parent(project).info.status == "FINISHED"


@pytest.mark.parametrize(
    ("ended", "status"), [("failed", "FAILED"), ("killed", "KILLED"), (None, "KILLED")]
)
def test_a_job_that_ends_without_a_record(project: Path, ended: str | None, status: str) -> None:
    seen = following(project)
    file = training(project, "maml")
    note(file, "maml", 0, 1)
    seen.step()
    if ended:
        file.close(ended)
    else:  # SIGKILL: the kernel closes the file
        assert file._handle is not None
        file._handle.close()
    seen.step()
    run = runs(project)[NAMES["maml"]]
    assert run.info.status == status

    note(again := training(project, "maml"), "maml", 0, 4)  # the same command, once more
    seen.step()
    assert runs(project)[NAMES["maml"]].info.run_id == run.info.run_id
    assert runs(project)[NAMES["maml"]].info.status == "RUNNING"
    assert len(client(project).get_metric_history(run.info.run_id, "meta_loss")) == 4
    again.close("failed")


def test_the_workflow_ends_before_its_runs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "LAST_S", 0.1)
    seen = following(project)
    file = training(project, "maml")
    seen.step()
    seen.end()
    assert runs(project)[NAMES["maml"]].info.status == "KILLED"
    assert parent(project).info.status == "KILLED"
    file.close(None)
    write_runs(project)
    assert log(project) == NOTHING | {"completed": 1, "logged": 1}
    assert runs(project)[NAMES["maml"]].info.status == "FINISHED"


def test_a_stale_run_of_another_recipe_is_removed(project: Path) -> None:
    seen = following(project)
    file = training(project, "maml", support=5)
    seen.step()
    stale = runs(project)[NAMES["maml"]].info.run_id
    file.close("killed")
    file = training(project, "maml")
    following(project).step()
    file.close(None)
    assert runs(project)[NAMES["maml"]].info.run_id != stale
    write_runs(project)
    assert log(project) == NOTHING | {"completed": 1, "logged": 1}


def lock(project: Path) -> Callable[[], object]:
    """Another process writes to the database and does not come to an end."""
    code = "import sqlite3, sys, time; c = sqlite3.connect(sys.argv[1]);"
    code += "c.execute('BEGIN EXCLUSIVE'); print('held', flush=True); time.sleep(600)"
    command = [sys.executable, "-c", code, str(project / "mlflow.db.lock")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"held\n"

    def unlock() -> None:
        process.kill()
        process.communicate()

    return unlock


def break_file(project: Path) -> Callable[[], object]:
    """The database is no database for a while."""
    kept = project / "kept.db"
    (project / "mlflow.db").rename(kept)
    (project / "mlflow.db").write_text("no database at all" * 99)
    return lambda: kept.replace(project / "mlflow.db")


def delete(project: Path) -> Callable[[], object]:
    """The database is deleted for good."""
    shutil.copy(empty_store(project.parents[1]), project / "mlflow.db")
    shutil.rmtree(project / "mlartifacts", ignore_errors=True)
    return lambda: None


@pytest.mark.parametrize("away", [lock, break_file, delete])
def test_a_store_that_goes_away_in_training(
    project: Path,
    away: Callable[[Path], Callable[[], object]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("pipeline.tracking.store.LOCK_WAIT_S", 0.1)
    monkeypatch.setattr(live, "AWAY_S", 0.0)
    seen = following(project)
    files = {label: training(project, label) for label in NAMES}
    note(files["maml"], "maml", 0, 2)
    seen.step()
    come_back = away(project)
    for update in range(2, 6):
        note(files["maml"], "maml", update, update + 1)
        note(files["amaml"], "amaml", update, update + 1)
        seen.step()
    said = capsys.readouterr().err
    assert said.count("\n") == (0 if away is delete else 1), "one line, however often it is tried"
    come_back()
    write_runs(project, methods=["maml"])
    files["maml"].close(None)
    seen.step()
    assert ("reached again" in capsys.readouterr().err) == (away is not delete)
    assert runs(project)[NAMES["maml"]].info.status == "FINISHED"
    assert runs(project)[NAMES["amaml"]].info.status == "RUNNING"
    write_runs(project)
    files["amaml"].close(None)
    seen.end()
    assert log(project) == NOTHING | {"completed": 2}
    assert set(runs(project)) == set(NAMES.values())


def test_short_trainings_never_load_mlflow(project: Path) -> None:
    seen = following(project, uri="sqlite:////nowhere/mlflow.db", patience=60.0)
    file = training(project, "maml")
    seen.step()
    write_runs(project)
    file.close(None)
    seen.step()
    seen.end()
    assert runs_or_none(project) == {}


def runs_or_none(project: Path) -> dict[str, Any]:
    return runs(project) if client(project).get_experiment_by_name("ci") else {}


def test_a_run_without_reference_is_shown_and_completed_later(project: Path) -> None:
    seen = following(project)
    file = training(project, "maml")
    seen.step()
    write_runs(project)
    kept = reference_file(project / "results/ci", SETTING, 0)
    aside = kept.rename(kept.with_suffix(".aside"))
    file.close(None)
    seen.step()
    assert "nrmse" in runs(project)[NAMES["maml"]].data.metrics
    assert "untrained_nrmse" not in runs(project)[NAMES["maml"]].data.metrics
    aside.rename(kept)
    log(project)
    assert "untrained_nrmse" in runs(project)[NAMES["maml"]].data.metrics


def test_the_process_ends_with_the_one_that_started_it(project: Path) -> None:
    """A shell starts it and is killed; the run in training is marked, and nothing is left."""
    file = training(project, "maml")
    note(file, "maml", 0, 2)
    code = (
        "import sys; from pathlib import Path; from pipeline.tracking.live import log_live;"
        "log_live(Path(sys.argv[1]), uri=sys.argv[2], grid='ci', methods=['maml', 'amaml'],"
        f"settings=['{SETTING}'], seeds=[0], every=0.2, patience=0.0); print('ended', flush=True)"
    )
    uri = f"sqlite:///{project / 'mlflow.db'}"
    inner = [sys.executable, "-c", code, str(project / "results/ci"), uri]
    outer = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    with subprocess.Popen(
        [sys.executable, "-c", outer, *inner], stdout=subprocess.PIPE, text=True
    ) as starter:
        _wait_until(lambda: NAMES["maml"] in runs_or_none(project))
        starter.kill()
        assert starter.stdout is not None
        assert starter.stdout.read() == "ended\n", "the pipe closes when the last of them ends"
    assert runs(project)[NAMES["maml"]].info.status == "KILLED"
    assert (folder(project, "maml") / FILE).exists()


def _wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.2)


def test_stores_of_the_version_before_are_brought_up_to_date(project: Path) -> None:
    """Its runs had no parent and no recipe; those of the grid lay beside a run `tables`."""
    write_runs(project)
    log(project)
    store = client(project)
    for run in [*runs(project).values(), parent(project)]:
        for tag in ("recipe", "mlflow.parentRunId"):
            if tag in run.data.tags:
                store.delete_tag(run.info.run_id, tag)
        store.set_tag(run.info.run_id, "content_digest", "of layout 2")
    store.update_run(parent(project).info.run_id, name="tables")
    assert log(project) == NOTHING | {"replaced": 2, "removed": 1}
    assert log(project) == NOTHING | {"unchanged": 2}


def test_a_refused_store_is_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(live, "LAST_S", 0.1)
    seen = following(project, uri="http://127.0.0.1:9")
    file = training(project, "maml")
    seen.step()
    seen.step()
    seen.end()
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "no server that answers" in said
    assert "Trainings go on" in said
    file.close("killed")
