"""The ledger of a run: when it is written, what stands in it, and what it leaves alone."""

import dataclasses
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core import MLP, Diverged, MetaTrainer, TaskBatch, meta_gradient
from pipeline.core.fidelity import compare, converged_gradient
from pipeline.data.episodes import load_episodes
from pipeline.runs import training as meta_training
from pipeline.runs.job import run, run_seeds
from pipeline.runs.ledger import Fidelity, Ledger
from pipeline.runs.recipe import Recipe
from pipeline.runs.records import FIDELITY, RunRecord, read_run
from tests.unit.tiny_runs import INNER_STEPS, METHODS, make_files, recipe

Files = tuple[Path, Path]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("synthetic"))


def train(given: Recipe, files: Files, folder: Path, **options: Any) -> RunRecord:
    run(given, *files, folder, device="cpu", **options)
    return read_run(folder)


def measured(record: RunRecord) -> list[int]:
    """Updates with an entry: all four numbers, or none of them."""
    there = record.curve[list(FIDELITY)].notna()
    assert (there.all(axis=1) == there.any(axis=1)).all()
    return record.curve.loc[there.all(axis=1), "update"].tolist()


def entry(record: RunRecord) -> Fidelity:
    """The last one."""
    return Fidelity(*record.curve[list(FIDELITY)].iloc[-1])


# --- when


@pytest.mark.parametrize(
    ("training", "wanted"),
    [
        ({"ledger_every": 2}, [1, 2, 4, 5]),
        ({"ledger_every": 5}, [1, 5]),
        ({"ledger_every": 100}, [1, 5]),
        ({"ledger_every": None}, []),
        ({"ledger_every": 100, "stop_change": 1e9}, [1]),
    ],
)
def test_entries_stand_at_the_first_every_nth_and_last_update(training, wanted, files, tmp_path):
    assert measured(train(recipe(**training), files, tmp_path)) == wanted


# --- what


@pytest.mark.parametrize("method", METHODS)
def test_an_entry_compares_the_meta_gradient_on_the_probe(method, files, tmp_path):
    given = recipe(method, meta_updates=2, ledger_every=1)
    found = train(given, files, tmp_path)
    arrays = load_episodes(*files).train.draw(3, 8, 6, np.random.default_rng([0, 4]))
    model, theta = MLP(2, given["hidden"]), torch.tensor(found.theta)
    single, double = (
        TaskBatch.from_arrays(*arrays, dtype=dtype) for dtype in (torch.float32, torch.float64)
    )
    gradient = meta_gradient(given["method"], model, theta, single, **given["settings"]).gradient
    wanted = []
    for omega in (0.0, 0.5 if method == "amaml_anytime" else 0.0):
        horizon = 0.01 * INNER_STEPS  # of the setting, also where K is another
        truth = converged_gradient(model, theta, double, horizon=horizon, omega=omega)
        wanted += compare(gradient, truth)
    assert entry(found) == pytest.approx(tuple(wanted), rel=1e-9)


def test_methods_are_as_true_as_they_should_be(files, tmp_path):
    found = {
        method: entry(train(recipe(method, inner_lr=0.2), files, tmp_path / method))
        for method in METHODS
    }
    for method, (cosine, error, own_cosine, own_error) in found.items():
        assert -1 <= cosine <= 1 + 1e-9
        assert ((cosine, error) == (own_cosine, own_error)) is (method != "amaml_anytime"), method
    for method in ("amaml", "amaml_rkc"):
        assert found[method].relative_error < 0.02
        assert found[method].relative_error < 0.2 * found["fomaml"].relative_error
    anytime = found["amaml_anytime"]
    assert anytime.own_relative_error < 0.02 < anytime.relative_error
    assert anytime.own_cosine > anytime.cosine


def test_each_seed_has_a_probe_of_training_tasks(files):
    given, pool = recipe(), load_episodes(*files).train
    first, again, other = (
        Ledger(given | {"seed": seed}, pool)._probe for seed in (0, 0, 1)
    )  # fmt: skip
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])
    assert np.isin(first[1], pool.y).all()
    for update in (0, 4):  # no meta-batch is the probe
        drawn = pool.draw(3, 8, 6, np.random.default_rng([0, 3, update]))
        assert not np.array_equal(first[1], drawn[1])


# --- alone, together, and after a stop


@pytest.mark.parametrize("method", ["maml", "amaml_rkc", "amaml_anytime"])
def test_a_seed_has_the_same_ledger_alone_and_in_a_block(method, files, tmp_path):
    tasks, others = files[0], [files, make_files(tmp_path, seed=1)]
    given = [
        recipe(method, seed=seed, ledger_every=2) | {"dtype": "float64"} for seed in (0, 1)
    ]  # fmt: skip
    folders = [tmp_path / "block" / str(seed) for seed in (0, 1)]
    run_seeds(given, tasks, [pair[1] for pair in others], folders, device="cpu")
    for own, pair, folder in zip(given, others, folders, strict=True):
        block = read_run(folder)
        single = train(own, (tasks, pair[1]), tmp_path / "alone" / folder.name)
        assert measured(block) == measured(single) == [1, 2, 4, 5]
        pd.testing.assert_frame_equal(
            block.curve[list(FIDELITY)], single.curve[list(FIDELITY)], rtol=1e-7
        )
    assert entry(read_run(folders[0])) != entry(read_run(folders[1]))


def test_a_stopped_run_has_the_ledger_of_a_whole_one(files, tmp_path, monkeypatch):
    given = recipe("amaml_rkc", ledger_every=2)
    whole = train(given, files, tmp_path / "whole")
    step = MetaTrainer.step

    def stopping(self: MetaTrainer, batch: TaskBatch) -> Any:
        progress = step(self, batch)
        if progress[0].update == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return progress

    with monkeypatch.context() as patch:
        patch.setattr(MetaTrainer, "step", stopping)
        with pytest.raises(SystemExit):
            train(given, files, tmp_path / "cut")
    again = train(given, files, tmp_path / "cut")
    names = list(FIDELITY)
    pd.testing.assert_frame_equal(again.curve[names], whole.curve[names], check_exact=True)
    assert measured(again) == [1, 2, 4, 5]
    for name in ("seconds", "process_seconds"):
        assert (again.curve[name].diff().dropna() > 0).all(), name
        assert again.curve[name].iloc[-1] == again.metrics[f"train_{name}"]


# --- what it leaves alone


@pytest.mark.parametrize("method", METHODS)
def test_training_is_the_same_with_and_without(method, files, tmp_path):
    on, off = (
        train(recipe(method, ledger_every=every), files, tmp_path / str(every))
        for every in (1, None)
    )
    assert on.theta.tobytes() == off.theta.tobytes()
    assert on.metrics["work"] == off.metrics["work"]
    clocks = ["seconds", "process_seconds"]
    pd.testing.assert_frame_equal(
        on.curve.drop(columns=[*FIDELITY, *clocks]),
        off.curve.drop(columns=[*FIDELITY, *clocks]),
        check_exact=True,
    )


def test_its_seconds_are_not_those_of_training(files, tmp_path, monkeypatch):
    """Clocks that stand still, but for an update of 1 and an entry of 1000 seconds."""
    clock = {"wall": 0.0, "process": 0.0}

    def passing(seconds: float) -> None:
        clock["wall"] += seconds
        clock["process"] += 3 * seconds

    step, measure = MetaTrainer.step, Ledger.entry

    def slow_step(self: MetaTrainer, batch: TaskBatch) -> Any:
        passing(1.0)
        return step(self, batch)

    def slow_entry(self: Ledger, *given: Any) -> Fidelity:
        passing(1000.0)
        return measure(self, *given)

    monkeypatch.setattr(MetaTrainer, "step", slow_step)
    monkeypatch.setattr(Ledger, "entry", slow_entry)
    monkeypatch.setattr(meta_training.time, "perf_counter", lambda: clock["wall"])
    monkeypatch.setattr(meta_training.time, "process_time", lambda: clock["process"])
    found = train(recipe(ledger_every=2), files, tmp_path)
    assert clock["wall"] > 4000
    assert found.curve["seconds"].tolist() == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert found.curve["process_seconds"].tolist() == [3.0, 6.0, 9.0, 12.0, 15.0]
    assert found.metrics["train_seconds"] == 5.0
    assert found.metrics["train_process_seconds"] == 15.0


@pytest.mark.parametrize("how", ["raises", "not finite"])
def test_what_diverges_on_the_probe_is_null_and_training_goes_on(how, files, tmp_path, monkeypatch):
    def diverging(*given: Any, **settings: Any) -> Any:
        if how == "raises":
            raise Diverged("the flow", 0)
        out = meta_gradient(*given, **settings)
        return dataclasses.replace(out, gradient=out.gradient * math.inf)

    monkeypatch.setattr("pipeline.runs.ledger.meta_gradient", diverging)
    found = train(recipe("amaml_anytime", ledger_every=1), files, tmp_path)
    assert found.metrics["status"] == "ok"
    assert len(found.curve) == 5
    assert measured(found) == []


def test_a_truth_that_diverges_is_null(files, tmp_path, monkeypatch):
    def diverging(*args: Any, **settings: Any) -> None:
        raise Diverged("the flow", 0)

    monkeypatch.setattr("pipeline.runs.ledger.converged_gradient", diverging)
    found = train(recipe("fomaml", ledger_every=1), files, tmp_path)
    assert found.metrics["status"] == "ok"
    assert measured(found) == []
