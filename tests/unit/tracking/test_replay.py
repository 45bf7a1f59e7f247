"""Replay into MLflow: what a run shows, as its record has it."""

import json
import time
from pathlib import Path

import pandas as pd
import pytest

from pipeline.runs.records import METRICS, read_reference, read_run, reference_file
from pipeline.seals import read_sealed
from tests import tracked_project
from tests.tracked_project import (
    NOTHING,
    SETTING,
    STEPS,
    K,
    artifacts,
    history,
    log,
    parent,
    rewrite,
    runs,
    write_runs,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tracked_project.make(tmp_path)


def test_histories_come_back_as_recorded(project: Path) -> None:
    assert log(project) == NOTHING | {"logged": 2}

    run = runs(project)[f"amaml/{SETTING}/0"]
    record = read_run(project / "results/ci/runs/amaml" / SETTING / "0")
    reference = read_reference(reference_file(project / "results/ci", SETTING, 0))
    rows = pd.concat([record.test_rows, reference])
    for predictor, key in (("meta_init", "nrmse"), ("untrained", "untrained_nrmse")):
        of = rows[rows["predictor"] == predictor]
        expected = of.groupby("step")["nrmse"].mean().to_dict()
        to_k = {step: value for step, value in expected.items() if step <= K}
        assert history(project, run, key) == pytest.approx(to_k)
        beyond = {step: value for step, value in expected.items() if step > K}
        assert history(project, run, f"{key}_beyond") == pytest.approx(beyond)
        assert set(expected) == {*STEPS}
        assert set(beyond) == {100}
    for name in METRICS[1:]:
        assert history(project, run, name) == {0: pytest.approx(record.metrics[name])}
    assert run.data.metrics["nrmse"] == pytest.approx(record.metrics["nrmse"])
    names = run.data.metrics
    assert not any(name.startswith("test_") for name in names), "no second name for a metric"
    updates = record.curve.set_index("update")
    for key in ("meta_loss", "gradient_norm", "validation_nrmse"):
        expected = updates[key].dropna().to_dict()
        assert history(project, run, key) == pytest.approx(expected)
    assert len(history(project, run, "validation_nrmse")) == 10


def test_cost_profile_is_drawn_against_inner_steps(project: Path) -> None:
    log(project)

    entries = read_sealed(project / "results/ci/profile/maml.json")["entries"]
    run = runs(project)[f"maml/{SETTING}/0"]
    expected = {e["inner_steps"]: e["seconds"] for e in entries if e["status"] == "ok"}
    assert history(project, run, "cost_seconds") == pytest.approx(expected)
    assert 500 not in expected, "the unrolled graph did not fit there"
    peak = {e["inner_steps"]: e["peak_bytes"] / 2**20 for e in entries if e["status"] == "ok"}
    assert history(project, run, "cost_peak_mb") == pytest.approx(peak)


def test_run_carries_parameters_tags_times_data_and_files(project: Path) -> None:
    directory = project / "results/ci/runs/maml" / SETTING / "0"
    record = read_run(directory)
    recipe = record.spec | {"settings": {"inner_steps": 5, "inner_lr": 0.01}, "hidden": [40, 40]}
    rewrite(directory, spec=recipe)
    (project / "results/ci/figures").mkdir()
    (project / "results/ci/figures" / "curves.png").write_bytes(b"one")
    (project / "results/ci/figures" / "cost.png").write_bytes(b"two")
    (project / "results/ci/tables").mkdir()
    (project / "results/ci/tables" / "main.csv").write_text("a,b\n", encoding="utf-8")

    assert log(project) == NOTHING | {"logged": 2}

    logged = runs(project)
    run = logged[f"maml/{SETTING}/0"]
    assert run.data.params["settings.inner_lr"] == "0.01"
    assert run.data.params["hidden"] == "[40, 40]"
    assert run.data.params["setting"] == SETTING
    expected = {
        "rule": "meta_train",
        "status": "ok",
        "label": "maml",
        "setting": SETTING,
        "seed": "0",
        "device": "cpu",
        "git_commit": "0" * 40,
        "data_fingerprint": "f" * 64,
    }
    assert expected.items() <= run.data.tags.items()
    assert run.info.end_time - run.info.start_time == 14_000, "12.5 s of training, 1.5 s of test"
    assert abs(run.info.end_time / 1000 - time.time()) < 60
    assert run.inputs is not None
    [data] = [given.dataset for given in run.inputs.dataset_inputs]
    assert data.name == "simulated"
    assert data.digest == "f" * 36
    assert json.loads(data.profile or "{}")["fingerprint"] == "f" * 64
    files, names = artifacts(run), ("meta_init.safetensors", "metrics.json", "spec.json")
    assert {path.name for path in files.iterdir()} == {*names, "figures"}
    for name in names:
        assert (files / name).read_bytes() == (directory / name).read_bytes()
    assert [path.name for path in (files / "figures").iterdir()] == ["curves.png"]
    tables = artifacts(parent(project))
    assert len(list((tables / "figures").iterdir())) == 2
    assert (tables / "tables/main.csv").read_text(encoding="utf-8") == "a,b\n"


def test_failed_run_is_marked_failed(project: Path) -> None:
    write_runs(project, failed=[("maml", SETTING, 0)])
    log(project)

    run = runs(project)[f"maml/{SETTING}/0"]
    assert run.info.status == "FAILED"
    assert run.data.tags["status"] == "failed"
    assert "3.1e+09" in run.data.tags["message"]
    assert "nrmse_beyond" not in run.data.metrics
    assert "nrmse" not in run.data.metrics
    assert runs(project)[f"amaml/{SETTING}/0"].info.status == "FINISHED"
