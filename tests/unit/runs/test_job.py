"""One run: its record is whole, the same twice, and the same through any stop."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core import METHODS as CORE_METHODS
from pipeline.core import MetaTrainer, TaskBatch
from pipeline.data import schemas
from pipeline.errors import BadInput
from pipeline.runs.job import run
from pipeline.runs.progress import Lines, ProgressFile
from pipeline.runs.recipe import Recipe, canonical
from pipeline.runs.records import FILES, METRICS, RunRecord, read_run
from pipeline.runs.reference import build_reference
from tests.unit.tiny_runs import (
    INNER_STEPS,
    METHODS,
    RATINGS,
    ROOT,
    SHIPPED,
    SYNTHETIC,
    make_files,
    recipe,
)

Files = tuple[Path, Path]
CLOCK = ["seconds", "process_seconds"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("synthetic"))


@pytest.fixture(scope="module")
def rating_files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("ratings"), RATINGS)


@pytest.fixture(scope="module")
def uninterrupted(
    files: Files, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], RunRecord]:
    """The record of a method's run that nothing stopped."""

    @cache
    def of(method: str) -> RunRecord:
        return train(recipe(method), files, tmp_path_factory.mktemp("whole"))

    return of


def train(given: Recipe, files: Files, folder: Path, **options: Any) -> RunRecord:
    run(given, *files, folder, device="cpu", **options)
    return read_run(folder)


def assert_same(a: RunRecord, b: RunRecord) -> None:
    """Equal bit for bit, but for what a clock measured."""
    assert a.theta.tobytes() == b.theta.tobytes()
    pd.testing.assert_frame_equal(a.test_rows, b.test_rows, check_exact=True)
    pd.testing.assert_frame_equal(
        a.curve.drop(columns=CLOCK), b.curve.drop(columns=CLOCK), check_exact=True
    )
    assert a.metrics["work"] == b.metrics["work"]
    assert a.metrics["nrmse"] == b.metrics["nrmse"]


# --- the record


def test_methods_are_those_of_the_core():
    own = {label: given for label, given in SHIPPED["methods"].items() if "like" not in given}
    named = {given.get("method", label) for label, given in own.items()}
    assert named == CORE_METHODS.keys()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("setting", [SYNTHETIC, RATINGS])
def test_every_method_makes_a_whole_record(method, setting, files, rating_files, tmp_path, capsys):
    own = files if setting == SYNTHETIC else rating_files
    found = train(recipe(method, setting), own, tmp_path / "run")
    assert sorted(p.name for p in found.directory.iterdir()) == sorted(FILES)
    assert found.spec == recipe(method, setting)
    assert found.metrics["status"] == "ok", found.metrics["message"]
    assert np.isfinite(found.theta).all()
    assert found.theta.dtype == np.float32
    rows = found.test_rows
    steps = {0, 1, 3, INNER_STEPS}
    assert set(rows.loc[rows["predictor"] == "meta_init", "step"]) == steps
    assert set(rows["predictor"]) == {"meta_init"}
    assert not rows.duplicated(["predictor", "step", "task"]).any()
    n_tasks = rows["task"].nunique()
    assert n_tasks == found.metrics["n_test_tasks"] == (4 if setting == SYNTHETIC else 5)
    assert len(rows) == n_tasks * len(steps)
    assert f"{method} {setting} seed 0: nRMSE" in capsys.readouterr().out


def test_metrics_follow_from_the_rows(files, tmp_path):
    found = train(recipe("imaml"), files, tmp_path)
    rows, metrics = found.test_rows, found.metrics
    own = rows[(rows["predictor"] == "meta_init") & (rows["step"] == INNER_STEPS)]
    for name in METRICS:
        assert metrics[name] == pytest.approx(own[name].mean())
    assert metrics["nrmse_stderr"] == pytest.approx(own["nrmse"].std(ddof=1) / len(own) ** 0.5)
    np.testing.assert_allclose(rows["rmse"] / metrics["target_std"], rows["nrmse"])
    np.testing.assert_allclose(rows["rmse"] / metrics["target_range"], rows["rmse_over_range"])
    assert metrics["horizon"] == pytest.approx(0.05)
    assert (metrics["meta_updates"], metrics["threads"], metrics["device"]) == (5, 1, "cpu")
    assert set(rows["n_query"]) == {10}


def test_statistics_are_those_of_the_training_tasks(files, tmp_path):
    found = train(recipe(), files, tmp_path)
    y = rows_of("train", *files)
    assert found.metrics["target_std"] == pytest.approx(y.std())
    assert found.metrics["target_range"] == pytest.approx(y.max() - y.min())


def test_the_range_of_ratings_is_that_of_the_scale(rating_files, tmp_path):
    assert train(recipe("maml1", RATINGS), rating_files, tmp_path).metrics["target_range"] == 4.0


def test_the_curve_has_a_row_per_update(files, tmp_path):
    curve = train(recipe("maml_sweep"), files, tmp_path).curve
    assert curve["update"].tolist() == [1, 2, 3, 4, 5]
    assert curve["validation_nrmse"].notna().tolist() == [False, True, False, True, True]
    assert (curve["seconds"].diff().dropna() > 0).all()
    assert curve["gradients"].tolist() == [6 * k for k in range(1, 6)]  # K, and the query's
    assert curve["hvps"].tolist() == [5 * k for k in range(1, 6)]
    assert np.isfinite(curve[["meta_loss", "gradient_norm"]]).all(axis=None)


def test_what_training_tells_costs_little(files, tmp_path, monkeypatch):
    """Lines of the log and of the progress file, of the smallest updates that there are."""
    spent = []

    def timed(told: Callable[..., None]) -> Callable[..., None]:
        def of(*given: Any, **named: Any) -> None:
            began = time.perf_counter()
            told(*given, **named)
            spent.append(time.perf_counter() - began)

        return of

    for kind, names in ((ProgressFile, ("open", "note", "trained")), (Lines, ("tell",))):
        for name in names:
            monkeypatch.setattr(kind, name, timed(getattr(kind, name)))
    found = train(recipe("fomaml", meta_updates=300), files, tmp_path / "run")
    assert len(spent) > 600, "each update tells both"
    assert sum(spent) < 0.02 * found.metrics["train_seconds"]


def test_training_learns(files, tmp_path):
    given = recipe("maml_sweep", meta_updates=150, outer_lr=0.01)
    found = train(given, files, tmp_path)
    start = build_reference(given, *files, tmp_path / "reference.parquet")
    start = start[(start["predictor"] == "untrained") & (start["step"] == INNER_STEPS)]
    assert found.metrics["nrmse"] < 0.7 * start["nrmse"].mean()


# --- the same again


def test_the_same_recipe_gives_the_same_bytes(files, tmp_path):
    first, second = (train(recipe("imaml"), files, tmp_path / name) for name in "ab")
    assert_same(first, second)
    for name in ("meta_init.safetensors", "test_rows.parquet", "spec.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_another_seed_gives_another_start(files, tmp_path):
    other = make_files(tmp_path, seed=1)
    first = train(recipe(meta_updates=1), files, tmp_path / "a")
    second = train(recipe(seed=1, meta_updates=1), other, tmp_path / "b")
    assert not np.allclose(first.theta, second.theta, atol=1e-2)


class Killed(BaseException):
    """Stands for SIGKILL in this process."""


def stop_at(monkeypatch: pytest.MonkeyPatch, update: int, *, how: str) -> None:
    """Make the meta-update with this number end in SIGTERM, or at once."""
    step = MetaTrainer.step

    def stopping(self: MetaTrainer, batch: TaskBatch) -> Any:
        progress = step(self, batch)
        if progress[0].update == update:
            if how == "kill":
                raise Killed
            os.kill(os.getpid(), signal.SIGTERM)
        return progress

    monkeypatch.setattr(MetaTrainer, "step", stopping)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", ["terminate", "kill"])
def test_a_stopped_run_goes_on_bit_for_bit(method, how, uninterrupted, files, tmp_path, capsys):
    whole = uninterrupted(method)
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 3, how=how)
        with pytest.raises((SystemExit, Killed)) as stopped:
            train(recipe(method), files, tmp_path / "cut", checkpoint_every=2)
    left = sorted(p.name for p in (tmp_path / "cut").iterdir())
    assert left == ["checkpoint.pt", "progress.jsonl"]
    if how == "terminate":
        assert stopped.value.code == 128 + signal.SIGTERM
        assert "stopped after 3 meta-updates, checkpoint written" in capsys.readouterr().err
    (tmp_path / "cut/.checkpoint.pt.1.tmp").write_text("left by a kill while saving")
    again = train(recipe(method), files, tmp_path / "cut")
    done = 3 if how == "terminate" else 2
    assert f"going on from meta-update {done}" in capsys.readouterr().err
    assert_same(again, whole)
    assert sorted(p.name for p in again.directory.iterdir()) == sorted(FILES)


def test_signal_handlers_are_given_back(files, tmp_path):
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    train(recipe(meta_updates=1), files, tmp_path)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def test_another_recipes_checkpoint_is_left_out(files, tmp_path, capsys):
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, 3, how="terminate")
        with pytest.raises(SystemExit):
            train(recipe("imaml"), files, tmp_path / "run")
    found = train(recipe("imaml", outer_lr=0.02), files, tmp_path / "run")
    assert "checkpoint of another recipe; starting anew" in capsys.readouterr().err
    assert_same(found, train(recipe("imaml", outer_lr=0.02), files, tmp_path / "fresh"))


@pytest.fixture(scope="module")
def long_run(files, tmp_path_factory) -> RunRecord:
    return train(recipe(**LONG), files, tmp_path_factory.mktemp("long"))


LONG = {"meta_updates": 500, "validate_every": 200}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_real_process_goes_on(number, files, long_run, tmp_path, capsys):
    folder = tmp_path / "run"
    command = [*(sys.executable, "-m", "pipeline", "meta-train"), *map(str, (*files, folder))]
    command += ["--spec", canonical(recipe(**LONG)), "--device", "cpu", "--checkpoint-every", "20"]
    environment = {k: v for k, v in os.environ.items() if k != "PIPELINE_PARENT_DEATH"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            while not (folder / "checkpoint.pt").exists():
                assert process.poll() is None, process.stderr.read()
                time.sleep(0.002)
            process.send_signal(number)
            process.wait(timeout=120)
        finally:
            process.kill()
        said = process.stderr.read()
    assert not (folder / "spec.json").exists()
    if number == signal.SIGTERM:
        assert process.returncode == 128 + signal.SIGTERM
        assert "the same command goes on from there" in said
    else:
        assert process.returncode == -signal.SIGKILL
    again = train(recipe(**LONG), files, folder)
    said = capsys.readouterr().err
    done = int(said.split("going on from meta-update ")[1].split()[0])
    assert 20 <= done < LONG["meta_updates"]
    assert_same(again, long_run)
    assert sorted(p.name for p in folder.iterdir()) == sorted(FILES)


# --- what is drawn


def batches_of(method: str, files: Files, folder: Path) -> list[TaskBatch]:
    seen: list[TaskBatch] = []
    step = MetaTrainer.step

    def watching(self: MetaTrainer, batch: TaskBatch) -> Any:
        seen.append(batch)
        return step(self, batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MetaTrainer, "step", watching)
        train(recipe(method, meta_updates=20), files, folder)
    return seen


def test_draws_do_not_depend_on_the_method(files, tmp_path):
    first, second = (batches_of(method, files, tmp_path / method) for method in ("fomaml", "amaml"))
    assert len(first) == len(second) == 20
    for a, b in zip(first, second, strict=True):
        for side in ("support", "query"):
            for part in ("x", "y", "weight"):
                assert torch.equal(getattr(getattr(a, side), part), getattr(getattr(b, side), part))
    assert not torch.equal(first[0].support.y, first[1].support.y)


def rows_of(role: str, tasks: Path, episodes: Path) -> np.ndarray:
    """Raw targets of the tasks with a role, read from the files themselves."""
    lines = schemas.read_rows(episodes, schemas.EPISODES)
    rows = schemas.read_rows(tasks, schemas.SYNTHETIC_TASKS)
    ids = np.unique(lines["task"][lines["role"] == role])
    chosen = (rows["seed"] == 0) & np.isin(rows["task"], ids)
    y = rows["y"][chosen].reshape(len(ids), -1)
    return y[:, :14].ravel() if role == "train" else y.ravel()


def test_no_validation_or_test_task_is_trained_on(files, tmp_path):
    """Every target that is drawn is one of a training task, and all of those are drawn."""
    about = schemas.read_metadata(files[1])["scaling"]
    drawn = np.concatenate(
        [
            part.y.numpy().ravel() * about["y_std"] + about["y_mean"]
            for batch in batches_of("maml1", files, tmp_path)
            for part in (batch.support, batch.query)
        ]
    )
    train_y, others = (
        rows_of("train", *files),
        np.concatenate([rows_of(role, *files) for role in ("validation", "test")]),
    )
    distance = np.abs(drawn[:, None] - train_y).min(1)
    assert distance.max() < 1e-6
    assert np.abs(drawn[:, None] - others).min() > 1e-6
    assert np.abs(train_y[:, None] - drawn).min(1).max() < 1e-6


# --- the end of a training


def test_training_stops_when_theta_hardly_moves(files, tmp_path):
    found = train(recipe(stop_change=1e9), files, tmp_path)
    assert found.metrics["meta_updates"] == 1
    assert found.curve["validation_nrmse"].notna().tolist() == [True]
    # Adam's first steps move theta by the learning rate in each of P coordinates
    size = 1e-3 * found.theta.size**0.5
    assert train(recipe(stop_change=0.5 * size), files, tmp_path / "b").metrics["meta_updates"] == 5


@pytest.mark.parametrize("method", ["maml", "amaml", "reptile"])
def test_a_divergence_is_a_record(method, files, tmp_path, capsys):
    found = train(recipe(method, gradient_limit=1e-9), files, tmp_path)
    assert found.metrics["status"] == "failed"
    assert "meta-update 1: the meta-gradient's norm is" in found.metrics["message"]
    assert found.metrics["nrmse"] is None
    assert found.metrics["meta_updates"] == 0
    assert len(found.curve) == 0
    assert found.test_rows.empty
    assert f"{method} {SYNTHETIC} seed 0: failed: meta-update 1" in capsys.readouterr().out


def test_a_later_divergence_keeps_its_curve(files, tmp_path):
    """A huge outer step throws theta so far that the next meta-gradient leaves the limit."""
    found = train(recipe("maml", outer_lr=1e4, gradient_limit=100.0), files, tmp_path)
    assert found.metrics["status"] == "failed"
    assert 1 <= found.metrics["meta_updates"] == len(found.curve) < 5


def test_inner_training_that_diverges_is_a_failure_of_the_run(files, tmp_path):
    found = train(recipe("fomaml", inner_lr=1e30), files, tmp_path)
    assert found.metrics["status"] == "failed"
    assert "diverged on task" in found.metrics["message"]


def test_meta_test_that_diverges_is_a_failure(files, tmp_path):
    given = recipe("maml1")
    given["evaluation"]["learning_rate"] = 1e20
    found = train(given, files, tmp_path)
    assert found.metrics["status"] == "failed"
    assert "meta-test training left the range" in found.metrics["message"]
    assert "meta_init" not in set(found.test_rows["predictor"])
    assert found.curve["validation_nrmse"].isna().all()


# --- what is refused


def change(path: str, value: Any) -> Recipe:
    given = json.loads(canonical(recipe()))
    *folders, last = path.split(".")
    place = given
    for name in folders:
        place = place[name]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return given


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("method", None, "recipe: method: missing"),
        ("hidden", None, "recipe: hidden: missing"),
        ("training.outer_lr", None, "recipe: training.outer_lr: missing"),
        ("training.meta_update", 1, "training.meta_update: unknown key"),
        ("evaluation.steps", None, "recipe: evaluation.steps: missing"),
        ("evaluation.optimiser", "sgd", "evaluation.optimiser: found 'sgd'"),
        ("dtype", "float16", "dtype: found 'float16'"),
        ("seed", "0", "seed: found '0'"),
        ("hidden", [6, 0], "hidden.1: found 0"),
        ("method", "magic", "recipe: settings: method 'magic' is none of "),
        ("settings.inner_steps", 0, "inner_steps must be a whole number of at least 1, found 0"),
        ("settings.inner_steps", None, "`fomaml` needs inner_steps"),
        ("settings.inner_lr", "fast", "recipe: settings: "),
        ("settings.rtol", 0.1, "`fomaml` takes inner_steps, inner_lr; found rtol"),
        ("seed", 1, "episodes: found seed 0, but the recipe says 1"),
        ("support", 9, "episodes: found support 8, but the recipe says 9"),
        ("dataset", "alpine", "episodes: found dataset 'cosmixture', but the recipe says 'alpine'"),
        ("episodes", "0" * 16, "made with other parameters or by other code"),
        ("training.meta_batch", 99, "found 9 with at least 14 rows"),
    ],
)
def test_a_recipe_that_cannot_work(path, value, found, files, tmp_path):
    with pytest.raises(BadInput) as caught:
        run(change(path, value), *files, tmp_path / "run")
    assert found in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("method", "name", "value"),
    [("amaml", "horizon", 0), ("amaml", "step", 0.0), ("amaml", "solver", "none")],
)
def test_settings_that_the_method_refuses(method, name, value, files, tmp_path):
    given = recipe(method)
    given["settings"][name] = value
    with pytest.raises(BadInput, match=rf"^recipe: (settings: )?{name} must be"):
        run(given, *files, tmp_path / "run")


def test_tasks_of_another_kind(files, rating_files, tmp_path):
    with pytest.raises(BadInput, match="Freeze the episodes again"):
        run(recipe(), rating_files[0], files[1], tmp_path / "run")
