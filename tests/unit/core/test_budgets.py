"""`memory_mb`: the same gradient under any budget, and never more than it at any moment."""

import re
from functools import cache

import pytest
import torch

from pipeline.core import MLP, meta_gradient
from pipeline.runs.profile import tensor_peak
from tests.unit.core.problems import BUDGETED, item_batch, make_batch

CPU = torch.device("cpu")
# where points, states, the query rows or the inputs are what takes most
SHAPES = {
    "points": lambda tasks=3: (MLP(2, (12, 12)), make_batch(tasks=tasks, support=50, query=50)),
    "states": lambda tasks=3: (MLP(60, (24, 24)), item_batch(tasks=tasks, support=6, items=60)),
    "query": lambda tasks=3: (MLP(2, (10,)), make_batch(tasks=tasks, support=5, query=300)),
    "inputs": lambda tasks=3: (MLP(40, (6,)), make_batch(tasks=tasks, support=40, features=40)),
}


def run(form: str, shape: str, memory_mb: float | None, tasks: int = 3, seeds: int = 0):
    """The meta-gradient, and the bytes of tensors at its worst moment."""
    method, settings = BUDGETED[form]
    model, batch = SHAPES[shape](tasks)
    g = torch.Generator().manual_seed(1)
    theta = torch.stack([model.init(g, dtype=torch.float64) for _ in range(seeds or 1)])
    theta = 1.5 * (theta if seeds else theta[0])
    made = []
    peak = tensor_peak(
        lambda: made.append(
            meta_gradient(method, model, theta, batch, **settings, memory_mb=memory_mb)
        ),
        CPU,
    )
    return made[0], peak


@cache
def least(form: str, shape: str, seeds: int = 0) -> float:
    """The budget that errors lead to: the first that is taken."""
    memory_mb = 1e-6
    for _ in range(4):  # a Chebyshev solve may find that it needs more stages on its way
        said = refusal(form, shape, memory_mb, seeds)
        if said is None:
            return memory_mb
        found = re.search(r"memory_mb must be at least ([\d.]+) here", said)
        assert found, said
        assert float(found[1]) > memory_mb
        memory_mb = float(found[1])
    raise AssertionError(f"{memory_mb} was named, and is not enough")


def refusal(form: str, shape: str, memory_mb: float, seeds: int) -> str | None:
    try:
        run(form, shape, memory_mb, 3, seeds)
    except ValueError as error:
        return str(error)
    return None


@pytest.mark.parametrize(
    ("form", "shape"),
    [(form, "points") for form in BUDGETED]
    + [(form, "states") for form in BUDGETED if not form.endswith("0.0")],
)
def test_any_budget_gives_the_same_gradient_and_is_kept(form, shape):
    whole, unbounded = run(form, shape, 1000.0)
    for factor in (1.0, 3.0):
        memory_mb = factor * least(form, shape)
        out, peak = run(form, shape, memory_mb)
        error = (out.gradient - whole.gradient).norm() / whole.gradient.norm()
        assert float(error) < 1e-9
        assert peak <= memory_mb * 1e6, factor
        assert 0 < out.work.kept_bytes <= memory_mb * 1e6, factor
        assert peak > 0.2 * min(memory_mb * 1e6, unbounded), factor  # no room is wasted


@pytest.mark.parametrize("shape", ["query", "inputs"])
@pytest.mark.parametrize(
    "form", ["maml_sweep", "amaml_rkc-0.5", "amaml_rkc-early-0.5", "dopri5-discrete-0.5"]
)
def test_rows_of_the_query_and_wide_inputs_are_counted(form, shape):
    for factor in (1.0, 2.5):
        memory_mb = factor * least(form, shape)
        assert run(form, shape, memory_mb)[1] <= memory_mb * 1e6


@pytest.mark.parametrize(
    "form",
    ["amaml_rkc-0.5", "amaml_rkc-early-0.5", "rk4-discrete-0.0", "dopri5-modified_euler-0.5"],
)
def test_seeds_share_a_budget(form):
    memory_mb = least(form, "points", seeds=3)
    whole, _ = run(form, "points", 1000.0, tasks=3, seeds=3)
    for factor in (1.0, 3.0):
        out, peak = run(form, "points", factor * memory_mb, tasks=3, seeds=3)
        torch.testing.assert_close(out.gradient, whole.gradient, rtol=1e-8, atol=1e-11)
        assert peak <= factor * memory_mb * 1e6


@pytest.mark.parametrize("form", ["maml_sweep", "amaml_rkc-0.5", "rk4-discrete-0.0"])
def test_the_usual_budget_is_in_proportion_to_tasks_and_does_not_grow_with_the_horizon(
    form, monkeypatch
):
    peaks = [run(form, "points", None, tasks=tasks)[1] for tasks in (2, 4)]
    assert peaks[1] < 2.6 * peaks[0]
    method, settings = BUDGETED[form]
    longer = {name: 4 * settings[name] for name in ("inner_steps", "horizon") if name in settings}
    monkeypatch.setitem(BUDGETED, form, (method, settings | longer))
    out, peak = run(form, "points", None, tasks=2)
    point = 2 * 50 * 8 * (2 * 24 + 2 + 2 * 3 + 2)
    state = 2 * 205 * 8
    assert max(peak, out.work.kept_bytes) < 24 * point + 280 * state
