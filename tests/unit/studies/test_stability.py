"""Ways back: kept states hold over a long horizon where backward re-integration fails."""

import math
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import BadInput
from pipeline.seals import read_sealed
from pipeline.studies.stability import study_stability
from tests.unit.studies.small import recipe

WAYS = ("amaml", "amaml_discrete", "amaml_rkc", "backsolve", "backsolve_float64")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict[str, Any]:
    """T = 1 and 3 on CosMixture."""
    out = tmp_path_factory.mktemp("study") / "new/stability.json"
    given = recipe(
        "stability",
        inner_steps=[300, 100],
        stiffness={"inner_steps": [100], "scales": [1.0]},
    )
    study_stability(given, out)
    return read_sealed(out)


def error(study: dict[str, Any], method: str, horizon: float) -> list[float]:
    """Relative errors from both initialisations, infinite where the solver gave up."""
    found = [
        math.inf if record["status"] != "ok" else record["relative_error"]
        for record in study["records"]
        if (record["method"], record["horizon"]) == (method, horizon)
    ]
    assert len(found) == 2
    return found


def test_the_record_holds_every_case_and_its_recipe(study):
    assert study["spec"] == recipe(
        "stability", inner_steps=[100, 300], stiffness={"inner_steps": [100], "scales": [1.0]}
    )
    cases = {(r["initialisation"], r["horizon"], r["method"]) for r in study["records"]}
    assert len(cases) == len(study["records"]) == 2 * 2 * len(WAYS)
    for record in study["records"]:
        if record["status"] == "diverged":
            assert record["message"]
            assert record["relative_error"] is None
        else:
            assert record["message"] is None
            assert record["gradients"] > 0


def test_every_way_back_works_over_a_short_horizon(study):
    for method in WAYS:
        assert max(error(study, method, 1.0)) < 0.05, method


def test_over_a_long_one_kept_states_hold_and_backsolve_fails(study):
    for method in ("amaml", "amaml_rkc"):
        assert max(error(study, method, 3.0)) < 0.05, method
    for method in ("backsolve", "backsolve_float64"):
        assert min(error(study, method, 3.0)) > 1.0, method


def test_two_solutions_of_the_reference_agree(study):
    assert all(record["reference_gap"] < 1e-3 for record in study["records"])


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"horizons": []}, "horizons: found []"),
        ({"families": ["sphere"]}, "families"),
        ({"dtype": "float16"}, "dtype: found 'float16'"),
        ({"training": None}, "training: found None"),
        (
            {"methods": {"x": {"method": "amaml", "settings": {"steep": 1}, "dtype": "float32"}}},
            "methods.x.settings",
        ),
    ],
)
def test_a_recipe_that_cannot_work(change, found, tmp_path: Path):
    with pytest.raises(BadInput) as caught:
        study_stability(recipe("stability") | change, tmp_path / "out.json")
    assert found in str(caught.value)
    assert not (tmp_path / "out.json").exists()
