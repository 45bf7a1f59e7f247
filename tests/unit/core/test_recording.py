"""Keeping less costs work, not accuracy."""

import pytest
import torch

from pipeline.core import MLP, ModuleModel, meta_gradient
from pipeline.core.recording import left_part
from pipeline.runs.profile import tensor_peak
from tests.unit.core.problems import make_batch, make_mlp, make_module

SETTINGS = {"horizon": 4.0, "rtol": 1e-5, "atol": 1e-7}


def run(memory_mb, omega=0.0, backend="closed_form"):
    model, theta = make_mlp()
    if backend == "module":
        model = ModuleModel(make_module())
    return meta_gradient(
        "amaml_rkc", model, theta, make_batch(tasks=2), **SETTINGS, memory_mb=memory_mb, omega=omega
    )


@pytest.mark.parametrize("omega", [0.0, 0.5])
@pytest.mark.parametrize("backend", ["closed_form", "module"])
def test_the_gradient_is_the_same_under_any_budget(omega, backend):
    whole = run(1000.0, omega, backend)
    gradients = {whole.work.gradients}
    for memory_mb in (0.2, 0.1, 0.06, 0.05):
        thinned = run(memory_mb, omega, backend)
        torch.testing.assert_close(thinned.gradient, whole.gradient, rtol=1e-9, atol=1e-12)
        assert thinned.work.kept_bytes <= memory_mb * 1e6
        gradients.add(thinned.work.gradients)
    assert len(gradients) >= (3 if backend == "closed_form" else 1)  # thinned runs computed again


def test_a_budget_too_small_for_one_step_is_refused():
    with pytest.raises(ValueError, match="memory_mb must be at least"):
        run(0.001)


@pytest.mark.parametrize("memory_mb", [4.0, 8.0, 30.0])
def test_measured_bytes_stay_below_the_budget(memory_mb):
    model = MLP(2, (32, 32))
    theta = model.init(torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = make_batch(tasks=5, support=60, query=60)
    settings = {"horizon": 20.0, "rtol": 1e-4, "atol": 1e-6, "memory_mb": memory_mb}
    made = []
    peak = tensor_peak(
        lambda: made.append(meta_gradient("amaml_rkc", model, theta, batch, **settings)),
        torch.device("cpu"),
    )
    assert peak <= memory_mb * 1e6
    assert made[0].work.kept_bytes <= memory_mb * 1e6
    assert peak > 0.2 * made[0].work.kept_bytes  # the prediction is of the right size


def test_binomial_splits_reverse_as_many_steps_as_theory_says():
    """With s slots and r repetitions C(s + r, s) steps: count advances of a treeverse."""

    def most(length: int, slots: int) -> int:
        if length == 1:
            return 0
        if slots < 1:
            return length - 1
        left = left_part(length, slots)
        return max(most(length - left, slots - 1), 1 + most(left, slots))

    assert most(10, 3) == 2  # C(5, 3) = 10 steps with 3 slots take 2 repetitions
    assert most(35, 4) == 3
    assert all(1 <= left_part(n, s) < n for n in range(2, 60) for s in range(1, 8))
