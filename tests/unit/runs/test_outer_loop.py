"""What a run may ask of its outer loop: another aggregate, a schedule, an average, the best."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.config.schema import USUAL_TRAINING
from pipeline.core.aggregate import Spread
from pipeline.errors import BadInput
from pipeline.runs.recipe import outer_loop
from pipeline.runs.records import NORMS, read_run, validation_error
from tests.sealed_frames import write_frame
from tests.unit.runs.test_seed_jobs import cut_short
from tests.unit.seed_runs import SEEDS, Paths, all_equal, alone, make, recipes, together
from tests.unit.tiny_runs import SYNTHETIC, recipe

AVERAGE = "average_validation_nrmse"
WILD = {"outer_lr": 0.3, "meta_updates": 12}  # validation errors go up and down
ALL = WILD | {
    "aggregate": "clip",
    "schedule": "cosine",
    "warm_up": 3,
    "weight_decay": 0.01,
    "outer_optimiser": "adamw",
    "average": 0.8,
    "keep": "best",
    "patience": 3,
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return make(tmp_path_factory.mktemp("files"), SYNTHETIC)


def trained(files: Paths, root: Any, **training: Any) -> dict[int, Any]:
    return together(recipes(**training), files, root)


def test_a_recipe_holds_only_what_is_not_as_usual():
    assert not recipe()["training"].keys() & USUAL_TRAINING.keys()
    assert outer_loop(recipe())["keep"] == "last"
    given = recipe(**ALL)
    assert {name: given["training"][name] for name in USUAL_TRAINING} == {
        name: ALL[name] for name in USUAL_TRAINING
    }


def test_readers_of_records_and_the_core_name_norms_alike():
    assert Spread._fields == NORMS


@pytest.mark.parametrize(
    "change",
    [
        {"aggregate": "unit"},
        {"schedule": "cosine"},
        {"warm_up": 3},
        {"weight_decay": 0.1},
    ],
)
def test_each_choice_changes_what_is_trained(change, files, tmp_path):
    plain = trained(files, tmp_path / "plain")
    found = trained(files, tmp_path / "other", **change)
    for seed in SEEDS:
        assert not np.allclose(found[seed].theta, plain[seed].theta, rtol=1e-6)
        assert "kept" not in found[seed].metrics


def test_the_best_is_the_theta_of_its_update(files, tmp_path):
    best = trained(files, tmp_path / "best", **WILD, keep="best")
    earlier = 0
    for seed, run in best.items():
        kept = run.metrics["kept"]
        errors = run.curve.set_index("update")["validation_nrmse"].dropna()
        assert (kept["update"], kept["error"]) == (errors.idxmin(), errors.min())
        assert validation_error(run) == kept["error"]
        until = WILD | {"meta_updates": kept["update"]}
        (same,) = alone([recipes(**until)[seed]], files, tmp_path / f"{seed}").values()
        np.testing.assert_allclose(run.theta, same.theta, rtol=1e-9, atol=1e-12)
        earlier += kept["update"] < WILD["meta_updates"]
    assert earlier  # else the last would do


def test_the_average_is_that_of_the_thetas(files, tmp_path):
    given = {"meta_updates": 4, "average": 0.5, "keep": "average"}
    run = trained(files, tmp_path / "average", **given)[1]
    average = trained(files, tmp_path / "0", meta_updates=1, outer_lr=1e-300)[1].theta
    for update in range(1, 5):
        theta = trained(files, tmp_path / f"{update}", meta_updates=update)[1].theta
        decay = min(0.5, (1 + update) / (10 + update))
        average = decay * average + (1 - decay) * theta
    np.testing.assert_allclose(run.theta, average, rtol=1e-7, atol=1e-10)
    last = run.curve[AVERAGE].iloc[-1]
    assert run.metrics["kept"] == {"update": 4, "of": "average", "error": last}
    assert last != run.curve["validation_nrmse"].iloc[-1]
    assert run.curve["validation_nrmse"].notna().equals(run.curve[AVERAGE].notna())


def test_training_ends_when_validations_bring_nothing_new(files, tmp_path):
    given = WILD | {"meta_updates": 30, "validate_every": 1}
    runs = trained(files, tmp_path, **given, keep="best", patience=4)
    for run in runs.values():
        assert run.metrics["meta_updates"] == run.metrics["kept"]["update"] + 4 == len(run.curve)
    ends = {run.metrics["meta_updates"] for run in runs.values()}
    assert len(ends) > 1  # each seed by itself
    assert max(ends) < 30


def test_seeds_trained_together_are_as_alone(files, tmp_path):
    given = recipes(**ALL)
    all_equal(together(given, files, tmp_path / "a"), alone(given, files, tmp_path / "b"))


@pytest.mark.parametrize("keep", ["best", "average"])
def test_a_stopped_job_goes_on_bit_for_bit(keep, files, tmp_path):
    given = recipes(**ALL | {"keep": keep, "patience": None})
    whole = together(given, files, tmp_path / "whole")
    cut_short(given, files, tmp_path / "cut", 7, "kill")
    again = together(given, files, tmp_path / "cut")
    all_equal(again, whole, rtol=0)
    for seed in SEEDS:
        assert again[seed].metrics["kept"] == whole[seed].metrics["kept"]


def test_the_curve_tells_how_norms_are_spread(files, tmp_path):
    run = trained(files, tmp_path)[0]
    assert (run.curve["norm_low"] <= run.curve["norm_median"]).all()
    assert (run.curve["norm_median"] <= run.curve["norm_largest"]).all()
    assert run.curve["largest_share"].between(1 / 3, 1).all()
    assert run.curve[AVERAGE].isna().all()


def test_a_record_from_before_has_no_norms(files, tmp_path):
    run = trained(files, tmp_path)[0]
    path = run.directory / "curve.parquet"
    write_frame(pd.read_parquet(path).drop(columns=[*NORMS, AVERAGE]), path)
    found = read_run(run.directory)
    assert found.curve.columns.tolist() == run.curve.columns.tolist()
    assert found.curve["norm_median"].isna().all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"warm_up": 99}, "recipe: training: warm_up is 99, above the 5 meta-updates"),
        ({"outer_optimiser": "rprop", "weight_decay": 0.1}, "recipe: training: optimiser 'rprop'"),
    ],
)
def test_values_that_do_not_go_together_are_told_before_training(change, said, files, tmp_path):
    given = recipes()
    for own in given:
        own["training"] = own["training"] | change
    with pytest.raises(BadInput, match=said):
        together(given, files, tmp_path)
    assert not list(tmp_path.rglob("spec.json"))
