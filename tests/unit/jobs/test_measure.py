"""Measuring: shapes of what is timed, and what is counted, on a clock that the test moves."""

import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.core import MetaTrainer
from pipeline.data.episodes import load_episodes
from pipeline.errors import BadInput
from pipeline.jobs import measure as plan_measure
from pipeline.jobs.measure import Measured, random_episodes
from pipeline.jobs.recipes import profile_recipe
from pipeline.runs.seed import SeedTraining
from tests.unit.seed_runs import watched
from tests.unit.tiny_runs import METHODS, RATINGS, SYNTHETIC, make_files, recipe, tiny_params


@pytest.mark.parametrize("setting", [SYNTHETIC, RATINGS])
def test_random_episodes_have_the_shape_of_real_ones(setting, tmp_path):
    real = load_episodes(*make_files(tmp_path, setting))
    fake = random_episodes(tiny_params(), recipe("fomaml", setting))
    assert fake.n_items == real.n_items
    for part in ("validation", "test"):
        ours, theirs = getattr(fake, part), getattr(real, part)
        assert ours.sx.shape == theirs.sx.shape
        assert ours.sx.dtype == theirs.sx.dtype
        assert ours.tasks.shape == theirs.tasks.shape
        if setting == SYNTHETIC:
            assert ours.qx.shape == theirs.qx.shape
        else:  # real tasks are padded to the user who rated most
            assert ours.qx.shape[1] >= theirs.qx.shape[1]
    draws = [of.train.draw(3, 6, 4, np.random.default_rng(0)) for of in (fake, real)]
    assert [a.shape for a in draws[0]] == [a.shape for a in draws[1]]
    assert [a.dtype for a in draws[0]] == [a.dtype for a in draws[1]]
    if setting == RATINGS:
        items = np.concatenate([draws[0][0], draws[0][2]], axis=1)
        assert all(len(set(row)) == len(row) for row in items)


@pytest.mark.parametrize("loss", ["binary", "cross_entropy"])
def test_classes_can_be_timed(loss):
    found = Measured(tiny_params(), device="cpu").run(recipe() | {"loss": loss}, 1)
    assert min(found.update, found.validation, found.test) > 0


@pytest.mark.parametrize("setting", [SYNTHETIC, RATINGS])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_and_kind_of_data_can_be_timed(method, setting, monkeypatch):
    seen = watched(monkeypatch)
    costs = Measured(tiny_params(), device="cpu")
    found = costs.run(recipe(method, setting), 2)
    assert min(found.update, found.validation, found.test) > 0
    batch, progresses = seen[0]
    assert len(batch) == 2 * 3  # seeds x meta_batch
    assert len(progresses) == 2
    assert batch.support.y.shape[1] == (8 if setting == SYNTHETIC else 6)
    assert 3 <= len(seen) <= 1 + plan_measure.REPEATS


def moved(monkeypatch: pytest.MonkeyPatch, **seconds: list[float]) -> None:
    """Let calls of a step, a validation and a meta-test take these seconds, one after another."""
    now = [0.0]

    def taking(function: Callable[..., Any], costs: list[float]) -> Callable[..., Any]:
        left = iter(costs)

        def call(*arguments: Any) -> Any:
            now[0] += next(left)
            return function(*arguments)

        return call

    monkeypatch.setattr(time, "process_time", lambda: now[0])
    for owner, name in (
        (MetaTrainer, "step"),
        (SeedTraining, "validate"),
        (plan_measure, "meta_test"),
    ):
        if name in seconds:
            monkeypatch.setattr(owner, name, taking(getattr(owner, name), seconds[name]))


def test_the_median_without_the_first_update_counts(monkeypatch):
    moved(
        monkeypatch,
        step=[9.0, 0.05, 0.01, 0.03, 0.02, 0.04],
        validate=[9.0, 0.2, 0.4, 0.6],
        meta_test=[7.0],
    )
    found = Measured(tiny_params(), device="cpu").run(recipe(), 1)
    assert found.update == pytest.approx(0.03)
    assert found.validation == pytest.approx(0.3)  # two are enough: they took 0.6 s
    assert found.test == pytest.approx(7.0)


def test_dear_updates_are_timed_twice(monkeypatch):
    moved(monkeypatch, step=[50.0, 10.0, 20.0])
    assert Measured(tiny_params(), device="cpu").run(recipe(), 1).update == pytest.approx(15.0)


def test_methods_share_validation_and_meta_test(monkeypatch):
    moved(monkeypatch, meta_test=[7.0, 8.0])
    costs = Measured(tiny_params(), device="cpu")
    tests = [costs.run(recipe(*of), 1).test for of in (("fomaml",), ("reptile",))]
    assert tests == pytest.approx([7.0, 7.0])
    assert costs.run(recipe("fomaml", RATINGS), 1).test == pytest.approx(8.0)


def test_a_profile_has_its_repeats_of_every_number_of_steps(monkeypatch):
    given = profile_recipe(tiny_params(), "fomaml")
    assert (sorted(given["settings"]), given["repeats"]) == (["1", "5"], 1)
    moved(monkeypatch, step=[9.0, 1.0, 1.0, 9.0, 4.0, 4.0])
    # a warm-up, a recorded and a timed update of each
    assert Measured(tiny_params(), device="cpu").profile(given) == pytest.approx(3 * (1 + 4))


def test_a_start_takes_time(monkeypatch):
    """What a process that has a job's libraries loaded says of itself."""

    def done(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        python, flag, code = command
        assert (python, flag) == (sys.executable, "-c")
        assert "import time, pipeline.runs.job;" in code
        assert options["check"]
        # the code itself, with a module that takes no time in place of the libraries
        code = code.replace("pipeline.runs.job", "json")
        return run(
            [python, flag, f"import time; time.process_time = lambda: 2.5\n{code}"], **options
        )

    run = subprocess.run
    monkeypatch.setattr(plan_measure.subprocess, "run", done)
    assert Measured(tiny_params(), device="cpu").start() == 2.5


def test_too_few_items():
    given = recipe("fomaml", RATINGS) | {"support": 18}
    with pytest.raises(BadInput, match=r"data\.items: found 20, but a task needs 22 different"):
        random_episodes(tiny_params(), given)


def test_settings_that_the_method_refuses():
    given = recipe("amaml")
    given["settings"] |= {"omega": 2.0}
    with pytest.raises(BadInput, match=r"params\.yaml: amaml: omega must lie in"):
        Measured(tiny_params(), device="cpu").run(given, 1)


def test_divergence_names_the_method_and_the_way_out():
    given = recipe("maml")
    given["settings"] |= {"inner_lr": 1e30}
    with pytest.raises(BadInput, match=r"maml: diverged on random data.*--no-measure"):
        Measured(tiny_params(), device="cpu").run(given, 1)
