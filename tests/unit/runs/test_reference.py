"""The reference of a setting and seed: rows of the untrained start and of trivial predictors."""

import pandas as pd
import pytest

from pipeline.config.predictors import ASKED_FOR
from pipeline.config.schema import check_params
from pipeline.data.schemas import read_metadata
from pipeline.jobs.recipes import reference_recipe
from pipeline.runs.recipe import canonical
from pipeline.runs.records import read_reference
from pipeline.runs.reference import build_reference
from tests.unit.tiny_runs import (
    INNER_STEPS,
    RATINGS,
    SYNTHETIC,
    make_files,
    recipe,
    tiny_config,
)


@pytest.mark.parametrize("setting", [SYNTHETIC, RATINGS])
def test_rows_are_those_of_what_no_method_changes(setting, tmp_path):
    own = make_files(tmp_path, setting)
    given, out = recipe("maml", setting), tmp_path / "reference.parquet"
    rows = build_reference(given, *own, out)
    steps = {0, 1, 3, INNER_STEPS}
    assert set(rows.loc[rows["predictor"] == "untrained", "step"]) == steps
    trivial = {"global_mean", "support_mean"}
    if setting == RATINGS:
        trivial = {"global_mean", "item_mean", "item_user_offset"}
    assert set(rows["predictor"]) == {"untrained"} | trivial
    assert len(rows) == rows["task"].nunique() * (len(steps) + len(trivial))
    assert read_metadata(out) == {"spec": canonical(given)}
    pd.testing.assert_frame_equal(
        read_reference(out), rows.reset_index(drop=True), check_exact=True, check_dtype=False
    )


@pytest.mark.parametrize("setting", [SYNTHETIC, RATINGS])
def test_predictors_that_a_grid_asks_for_stand_beside(setting, tmp_path):
    raw = tiny_config()
    raw["grids"]["tiny"]["predictors"] = [*ASKED_FOR]
    given = reference_recipe(check_params(raw), setting, 0)
    (name,) = given["predictors"]  # of this kind of data
    rows = build_reference(given, *make_files(tmp_path, setting), tmp_path / "reference.parquet")
    asked = rows[rows["predictor"] == name]
    assert sorted(asked["task"]) == sorted(set(rows["task"]))
    assert set(asked["step"]) == {0}
    means = rows.groupby(["predictor", "step"])["nrmse"].mean()
    assert means[name, 0] < means["global_mean", 0]


def test_methods_have_one_reference(tmp_path):
    files = make_files(tmp_path)
    first, other = (
        build_reference(recipe(method), *files, tmp_path / f"{method}.parquet")
        for method in ("maml", "amaml")
    )
    pd.testing.assert_frame_equal(first, other, check_exact=True)
