"""The MLflow runs of run records are found by name, and only those that were replayed."""

from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.report.explain import explain
from pipeline.tracking.store import logged_ids
from tests import table_files, tracked_project

NAME = f"amaml/{tracked_project.SETTING}/0"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tracked_project.make(tmp_path)


def test_ids_are_those_of_the_store(project: Path) -> None:
    database = project / "mlflow.db"
    assert logged_ids(database, "ci", [NAME]) == {}, "nothing was logged yet"
    tracked_project.log(project)
    runs = tracked_project.runs(project)
    found = logged_ids(database, "ci", [NAME, "other/setting/0"])
    assert found == {NAME: runs[NAME].info.run_id}
    assert logged_ids(database, "other grid", [NAME]) == {}


def test_runs_that_people_logged_are_not_taken_for_ours(project: Path) -> None:
    tracked_project.log(project)
    mine = logged_ids(project / "mlflow.db", "ci", [NAME])
    store = tracked_project.client(project)
    experiment = store.get_experiment_by_name("ci")
    assert experiment is not None
    store.create_run(experiment.experiment_id, run_name=NAME)
    assert logged_ids(project / "mlflow.db", "ci", [NAME]) == mine


def test_without_a_store_none_is_made(tmp_path: Path) -> None:
    assert logged_ids(tmp_path / "mlflow.db", "ci", [NAME]) == {}
    assert not (tmp_path / "mlflow.db").exists()


def test_broken_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database at all")
    with pytest.raises(BadInput, match=r"unusable store.*`mv "):
        logged_ids(tmp_path / "mlflow.db", "ci", [NAME])


def test_explain_names_the_run(project: Path) -> None:
    results = project / "results/ci"
    table_files.build(results, methods=["maml", "amaml"], seeds=[0])
    tracked_project.log(project)
    row = f"{tracked_project.SETTING}/amaml"
    said = explain(results, "main", row, "nrmse", database=project / "mlflow.db")
    assert f"MLflow   {tracked_project.runs(project)[NAME].info.run_id}" in said
