"""What the studies work on: seeded, scaled by meta-training tasks, alike in both types."""

import numpy as np
import torch

from pipeline.core import MLP
from pipeline.studies.problems import (
    TRAINING_TASKS,
    draw_study_tasks,
    initialisations,
    measured,
    truth,
)
from tests.unit.studies.small import recipe

SIZES = {"tasks": 3, "support": 10, "query": 6}


def test_meta_training_tasks_give_the_scale():
    known, probes = draw_study_tasks("alpine", 0, **SIZES)
    assert known.y.shape == (TRAINING_TASKS, 16)
    assert probes.x.shape == (3, 16, 2)
    np.testing.assert_allclose((known.y.mean(), known.y.std()), (0, 1), atol=1e-12)
    np.testing.assert_allclose(known.x.std((0, 1)), (1, 1))
    assert abs(probes.y.mean()) > 1e-3  # not by statistics of its own
    raw, _ = draw_study_tasks("alpine", 0, standardise=False, **SIZES)
    assert np.abs(raw.x).max() > 9


def test_the_seed_decides_and_types_agree():
    one, two, other = (draw_study_tasks("cosmixture", s, **SIZES)[1] for s in (0, 0, 1))
    np.testing.assert_array_equal(one.x, two.x)
    assert (one.x != other.x).all()
    single, double = (one.batch(slice(0, 2), d) for d in (torch.float32, torch.float64))
    assert len(single) == 2
    assert torch.equal(single.query.x.double(), double.query.x)


def test_more_probes_leave_the_training_tasks_distinct_from_them():
    known, probes = draw_study_tasks("cosmixture", 0, **SIZES)
    assert not (known.y[:, None] == probes.y[None]).all(-1).any()


def test_the_short_training_moves_theta_and_repeats():
    training = recipe("stability")["training"]
    known, _ = draw_study_tasks("cosmixture", 0, tasks=5, support=50, query=50)
    model = MLP(2, (6, 5))
    first, again = (initialisations(model, known, training, 0) for _ in range(2))
    assert list(first) == ["untrained", "trained"]
    assert torch.equal(first["trained"], again["trained"])
    moved = (first["trained"] - first["untrained"]).abs().max()
    assert 1e-3 < moved < 3e-3  # two updates of Adam at 1e-3


def test_gradients_that_are_not_finite_are_divergence():
    """Gradient descent far beyond its stability limit."""
    _, probes = draw_study_tasks("cosmixture", 0, **SIZES)
    model, batch = MLP(2, (6, 5)), probes.batch(slice(None), torch.float64)
    theta = model.init(torch.Generator().manual_seed(0), dtype=torch.float64)
    reference = truth(model, theta, batch, 0.5)
    settings = {"inner_steps": 500, "inner_lr": 1e6}
    found, gradient = measured("fomaml", settings, model, theta, batch, reference)
    assert (found["status"], found["relative_error"], gradient) == ("diverged", None, None)
    assert "not finite" in found["message"]
    assert found["gradients"] == 501
