"""Replay into MLflow again: idempotence, replacement, pruning, rebuilding, two at once."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.runs.records import read_run
from pipeline.seals import read_sealed, write_sealed
from tests import tracked_project
from tests.tracked_project import (
    GRID,
    NOTHING,
    SETTING,
    artifacts,
    client,
    empty_store,
    log,
    rewrite,
    runs,
    write_runs,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tracked_project.make(tmp_path)


def test_redrawn_figures_are_exchanged_without_logging_the_run_again(project: Path) -> None:
    figure = project / "results/ci/figures" / "curves.png"
    figure.parent.mkdir()
    figure.write_bytes(b"one")
    log(project)
    before = {name: run.info.run_id for name, run in runs(project).items()}

    figure.write_bytes(b"another")
    assert log(project) == NOTHING | {"unchanged": 2}

    after = runs(project)
    assert {name: run.info.run_id for name, run in after.items()} == before
    for run in after.values():
        assert (artifacts(run) / "figures" / figure.name).read_bytes() == b"another"


def test_second_call_changes_nothing_and_a_changed_record_is_replaced(project: Path) -> None:
    log(project)
    first = {name: run.info.run_id for name, run in runs(project).items()}
    assert log(project) == NOTHING | {"unchanged": 2}
    assert {name: run.info.run_id for name, run in runs(project).items()} == first

    directory = project / "results/ci/runs/maml" / SETTING / "0"
    rewrite(directory, metrics=read_run(directory).metrics | {"mae": 0.25})
    assert log(project) == NOTHING | {"unchanged": 1, "replaced": 1}

    after = runs(project)
    assert after[f"maml/{SETTING}/0"].info.run_id != first[f"maml/{SETTING}/0"]
    assert after[f"maml/{SETTING}/0"].data.metrics["mae"] == 0.25
    assert after[f"amaml/{SETTING}/0"].info.run_id == first[f"amaml/{SETTING}/0"]

    profile = project / "results/ci/profile/amaml.json"
    write_sealed(profile, read_sealed(profile) | {"entries": []})
    assert log(project) == NOTHING | {"unchanged": 1, "replaced": 1}
    assert "cost_seconds" not in runs(project)[f"amaml/{SETTING}/0"].data.metrics


def test_runs_that_left_the_grid_are_removed_and_other_peoples_kept(project: Path) -> None:
    write_runs(project, seeds=[0, 1])
    assert log(project, seeds=[0, 1]) == NOTHING | {"logged": 4}
    store = client(project)
    experiment = store.get_experiment_by_name("ci")
    assert experiment is not None
    store.create_run(experiment.experiment_id, run_name="by hand")

    assert log(project) == NOTHING | {"unchanged": 2, "removed": 2}
    assert set(runs(project)) == {f"maml/{SETTING}/0", f"amaml/{SETTING}/0", "by hand"}
    shutil.rmtree(project / "results/ci/runs/maml")
    assert log(project) == NOTHING | {"unchanged": 1, "removed": 1, "missing": 1}


def test_broken_off_and_double_runs_are_mended(project: Path) -> None:
    log(project)
    store = client(project)
    run, other = (runs(project)[f"{label}/{SETTING}/0"] for label in ("maml", "amaml"))
    tags = dict(run.data.tags)
    store.create_run(run.info.experiment_id, tags=tags, run_name=run.info.run_name)
    del tags["content_digest"]
    store.create_run(run.info.experiment_id, tags=tags, run_name=run.info.run_name)
    shutil.rmtree(artifacts(other))

    assert log(project) == NOTHING | {"unchanged": 1, "replaced": 1}
    assert len(runs(project)) == 2


@pytest.mark.parametrize("also", ["mlartifacts", None])
def test_store_is_rebuilt_after_deletion(project: Path, also: str | None) -> None:
    log(project)
    before = {name: run.data.metrics for name, run in runs(project).items()}
    (project / "mlflow.db").unlink()
    if also:
        shutil.rmtree(project / also)
    shutil.copy(empty_store(project.parents[1]), project / "mlflow.db")

    assert log(project) == NOTHING | {"logged": 2}
    assert {name: run.data.metrics for name, run in runs(project).items()} == before


def test_moved_project_gets_artifacts_at_its_new_place(project: Path) -> None:
    log(project)
    moved = project.rename(project.with_name("moved"))

    assert log(moved) == NOTHING | {"logged": 2}
    for run in runs(moved).values():
        assert artifacts(run).is_relative_to(moved)
    assert log(moved) == NOTHING | {"unchanged": 2}


def test_experiment_deleted_by_hand_comes_back(project: Path) -> None:
    log(project)
    experiment = client(project).get_experiment_by_name("ci")
    assert experiment is not None
    client(project).delete_experiment(experiment.experiment_id)

    log(project)
    assert len(runs(project)) == 2


def test_broken_record_is_refused(project: Path) -> None:
    (project / "results/ci/runs/maml" / SETTING / "0" / "curve.parquet").write_bytes(b"cut")
    with pytest.raises(BadInput, match=r"curve\.parquet: no seal in it"):
        log(project)


def test_two_writers_take_turns(project: Path) -> None:
    """Two processes on one store: every run is there once, and nobody fails."""
    code = (
        "import json, sys; from pathlib import Path;"
        "from pipeline.tracking.replay import log_tracking;"
        "print(log_tracking(Path(sys.argv[1]), uri=sys.argv[2], **json.loads(sys.argv[3])))"
    )
    uri = f"sqlite:///{project / 'mlflow.db'}"
    command = [sys.executable, "-c", code, str(project / "results/ci"), uri, json.dumps(GRID)]
    writers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = sorted(writer.communicate(timeout=100)[0] for writer in writers)

    assert [writer.returncode for writer in writers] == [0, 0]
    assert "'logged': 2" in said[1] or "'logged': 2" in said[0]
    assert len(runs(project)) == 2
