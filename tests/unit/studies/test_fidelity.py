"""Methods against the truth: exact ones agree, and each with the objective it has."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import BadInput
from pipeline.seals import read_sealed
from pipeline.studies.fidelity import study_fidelity
from tests.unit.studies.small import SHIPPED, recipe

LABELS = list(SHIPPED["grids"]["ci"]["studies"]["fidelity"]["methods"])


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("study") / "fidelity.json"
    study_fidelity(recipe("fidelity", inner_steps=[100, 1], batches=2), out)
    return read_sealed(out)


def errors(study: dict[str, Any], label: str, steps: int, what: str = "relative_error") -> list:
    return [r[what] for r in study["records"] if (r["label"], r["inner_steps"]) == (label, steps)]


def test_the_record_holds_every_case(study):
    cases = {
        (r["initialisation"], r["inner_steps"], r["batch"], r["label"]) for r in study["records"]
    }
    assert len(cases) == len(study["records"]) == 2 * 2 * 2 * len(LABELS)
    assert {r["status"] for r in study["records"]} == {"ok"}


def test_adjoints_follow_the_horizon_and_shortcuts_do_not(study):
    for label in ("amaml", "amaml_rkc", "maml_sweep"):
        assert max(errors(study, label, 100)) < 0.05, label
    for label in ("maml", "maml1", "fomaml", "reptile", "imaml"):
        assert min(errors(study, label, 100)) > 0.2, label


def test_one_step_is_one_step_to_every_unrolled_method(study):
    assert errors(study, "maml", 1) == errors(study, "maml1", 1)
    assert errors(study, "maml_sweep", 1) == pytest.approx(errors(study, "maml1", 1), rel=1e-3)


def test_a_running_cost_is_compared_with_its_own_truth_too(study):
    own = errors(study, "amaml_anytime", 100, "own_relative_error")
    assert max(own) < 0.05
    assert min(errors(study, "amaml_anytime", 100)) > 2 * max(own)
    assert set(errors(study, "amaml_rkc", 100, "own_relative_error")) == {None}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"inner_steps": [10, 50, 70]}, "found none for the inner steps [70]"),
        ({"batches": 0}, "batches: found 0"),
        (
            {"methods": {"x": {"method": "nope", "settings": {"10": {}, "50": {}}}}},
            "methods.x.settings.10",
        ),
    ],
)
def test_a_recipe_that_cannot_work(change, found, tmp_path: Path):
    with pytest.raises(BadInput) as caught:
        study_fidelity(recipe("fidelity") | change, tmp_path / "out.json")
    assert found in str(caught.value)
    assert not (tmp_path / "out.json").exists()
