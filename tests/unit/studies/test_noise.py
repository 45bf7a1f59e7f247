"""Agreement of directions between meta-batches: known vectors, and real meta-gradients."""

from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import BadInput
from pipeline.seals import read_sealed
from pipeline.studies.noise import agreement, study_noise
from tests.unit.studies.small import recipe

LABELS = ["fomaml", "reptile", "amaml_rkc"]


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("study") / "noise.json"
    study_noise(recipe("noise", inner_steps=[100, 1], batches=4), out)
    return read_sealed(out)


def test_the_record_holds_every_case(study):
    cases = {(r["initialisation"], r["inner_steps"], r["label"]) for r in study["records"]}
    assert len(cases) == len(study["records"]) == 2 * 2 * len(LABELS)
    for record in study["records"]:
        assert (record["n_batches"], record["n_diverged"]) == (4, 0)
        assert -1 <= record["pairwise_cosine"] <= 1
        assert 0 < record["signal"] <= 1
        assert record["norm"] > 0


def test_directions_of_one_step_agree_at_the_untrained_start(study):
    """Far from any solution all tasks pull the same way, whatever the method."""
    first = [
        r for r in study["records"] if r["initialisation"] == "untrained" and r["inner_steps"] == 1
    ]
    assert min(r["pairwise_cosine"] for r in first) > 0.5


@pytest.mark.parametrize(
    ("gradients", "cosine", "signal"),
    [
        ([[1.0, 0.0], [1.0, 0.0]], 1.0, 1.0),
        ([[1.0, 0.0], [3.0, 0.0]], 1.0, 2 / 5**0.5),  # lengths count in the signal alone
        ([[1.0, 0.0], [-1.0, 0.0]], -1.0, 0.0),
        ([[1.0, 0.0], [0.0, 2.0]], 0.0, 1.25**0.5 / 2.5**0.5),
        ([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], 1 / 3, 5**0.5 / 3),
    ],
)
def test_agreement_of_known_directions(gradients, cosine, signal):
    found = agreement([torch.tensor(g) for g in gradients])
    assert found["pairwise_cosine"] == pytest.approx(cosine, abs=1e-12)
    assert found["signal"] == pytest.approx(signal, abs=1e-12)


def test_independent_directions_have_nothing_in_common():
    draw = torch.Generator().manual_seed(0)
    found = agreement(list(torch.randn(40, 5000, generator=draw)))
    assert found["pairwise_cosine"] == pytest.approx(0.0, abs=2e-3)
    assert found["signal"] == pytest.approx(40**-0.5, rel=0.02)
    assert found["norm"] == pytest.approx(5000**0.5, rel=0.01)


@pytest.mark.parametrize("gradients", [[], [[1.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
def test_what_cannot_be_compared_is_blank(gradients):
    found = agreement([torch.tensor(g) for g in gradients])
    assert set(found.values()) == {None}


def test_a_direction_that_diverged_is_counted_and_left_out(tmp_path: Path):
    given = recipe("noise", inner_steps=[10], batches=3, methods=["reptile", "amaml_rkc"])
    given["methods"]["reptile"]["settings"]["10"]["inner_lr"] = 1e30
    study_noise(given, tmp_path / "out.json")
    rows = {r["label"]: r for r in read_sealed(tmp_path / "out.json")["records"][:2]}
    assert rows["reptile"]["n_diverged"] == 3
    assert rows["reptile"]["pairwise_cosine"] is None
    assert rows["amaml_rkc"]["n_diverged"] == 0


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"inner_steps": [5, 70]}, "found none for the inner steps [70]"),
        ({"batches": 1}, "found 1"),
    ],
)
def test_a_recipe_that_cannot_work(change, found, tmp_path: Path):
    with pytest.raises(BadInput) as caught:
        study_noise(recipe("noise") | change, tmp_path / "out.json")
    assert found in str(caught.value)
    assert not (tmp_path / "out.json").exists()
