"""Early stopping: each task's horizon is the step end at which its query loss is least."""

from collections.abc import Callable
from itertools import accumulate

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pipeline.core import ModuleModel, TaskBatch, Work, meta_gradient
from pipeline.core.seeds import take
from pipeline.core.solvers.chebyshev import solve_chebyshev
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.solvers.flow import Flow
from tests.unit.core import reference
from tests.unit.core.problems import make_batch, make_mlp, make_module

TOLERANCE = {"rtol": 1e-3, "atol": 1e-5}
HORIZON = 12.0
HORIZONS = {"one": HORIZON, "each": torch.tensor([12.0, 4.0, 9.0, 7.0], dtype=torch.float64)}
MODEL, THETA = make_mlp()


def overfitting(seed: int = 0) -> TaskBatch:
    """Few support rows; the query of the last task is its support, which never gets worse."""
    batch = make_batch(tasks=4, support=4, query=4, seed=seed)
    s, q = batch.support, batch.query
    qx, qy = q.x.clone(), q.y.clone()
    qx[-1], qy[-1] = s.x[-1], s.y[-1]
    return TaskBatch.from_arrays(s.x, s.y, qx, qy)


BATCH = overfitting()


def steps_of(rate: Tensor, mu: float) -> list[tuple[float, int]]:
    """Sizes and stages of the steps, in the time of the longest horizon."""
    flow = Flow(MODEL.loss(BATCH.support), THETA.repeat(4, 1), rate, mu, uniform=False)
    recording, _ = solve_chebyshev(
        flow, HORIZON, **TOLERANCE, works=[Work()], memory=ChebyshevMemory()
    )
    return [(step.plan.sizes[0], step.plan.stages[0]) for step in recording.steps]


def ends(support: Callable, steps: list[tuple[float, int]], mu: float) -> list[Tensor]:
    """States of one task after each step."""

    def f(u: Tensor) -> Tensor:
        return -reference.slope(support, u.requires_grad_()) - mu * (u - THETA)

    u, states = THETA.clone(), []
    for h, stages in steps:
        u = reference.chebyshev_step(f, u, h, stages).detach()
        states.append(u.clone())
    return states


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("mu", [0.0, 0.3])
@pytest.mark.parametrize("omega", [0.0, 0.5, 1.0])
def test_is_autograd_through_the_steps_up_to_the_best(omega, mu, horizon):
    """The states, the best of them and the gradient of each task by its own loop."""
    module, horizons = make_module(), torch.as_tensor(HORIZONS[horizon]).expand(4)
    rates = (horizons / HORIZON).unsqueeze(1)
    steps = steps_of(rates, mu)
    theta, total = THETA.clone().requires_grad_(), torch.zeros((), dtype=THETA.dtype)
    stopped, adapted = [], []
    for task, rate in enumerate(rates.flatten().tolist()):
        support, query = (
            reference.task_loss(module, rows, task) for rows in (BATCH.support, BATCH.query)
        )
        own = [(rate * h, stages) for h, stages in steps]
        states = ends(support, own, mu)
        best = int(np.argmin([float(query(state)) for state in states]))
        stopped.append(list(accumulate(h for h, _ in own))[best])
        adapted.append(states[best])
        total = total + reference.objective_along(
            "amaml_rkc", own[: best + 1], support, query, theta, omega, mu
        )
    (wanted,) = torch.autograd.grad(total / 4, theta)

    found = meta_gradient(
        *("amaml_rkc", MODEL, THETA, BATCH), horizon=HORIZONS[horizon], omega=omega,
        regulariser=mu, early_stopping=True, **TOLERANCE,
    )  # fmt: skip
    inside = [0 < t < T * (1 - 1e-9) for t, T in zip(stopped, horizons.tolist(), strict=True)]
    assert sum(inside) >= 2
    assert not inside[-1]
    torch.testing.assert_close(found.stopped, THETA.new_tensor(stopped), rtol=1e-12, atol=0)
    torch.testing.assert_close(found.adapted, torch.stack(adapted), rtol=1e-9, atol=1e-11)
    assert float((found.gradient - wanted).norm() / wanted.norm()) < 1e-10
    losses = MODEL.loss(BATCH.query).at(torch.stack(adapted)).value()
    torch.testing.assert_close(found.query_loss, losses, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("omega", [0.0, 0.5])
def test_a_loss_that_only_falls_stops_at_the_horizon(omega):
    s = BATCH.support
    batch = TaskBatch.from_arrays(s.x, s.y, s.x, s.y)
    settings = TOLERANCE | {"horizon": HORIZON, "omega": omega}
    early = meta_gradient("amaml_rkc", MODEL, THETA, batch, early_stopping=True, **settings)
    whole = meta_gradient("amaml_rkc", MODEL, THETA, batch, **settings)
    assert whole.stopped is None
    assert early.stopped.tolist() == pytest.approx([HORIZON] * 4, rel=1e-12)
    assert float(early.stopped.max()) <= HORIZON
    torch.testing.assert_close(early.gradient, whole.gradient, rtol=1e-12, atol=1e-14)
    assert torch.equal(early.adapted, whole.adapted)
    for name in ("hvps", "radius_hvps", "accepted", "rejected", "kept_states"):
        assert getattr(early.work, name) == getattr(whole.work, name), name
    # without early stopping the end's query gradient is taken again for the running cost
    assert early.work.gradients == whole.work.gradients - bool(omega)


def test_a_query_that_only_gets_worse_trains_for_one_step():
    s = BATCH.support
    at_start = MODEL.predict(THETA.repeat(4, 1), s.x)
    batch = TaskBatch.from_arrays(s.x, s.y, s.x, at_start)
    settings = TOLERANCE | {"horizon": HORIZON}
    out = meta_gradient("amaml_rkc", MODEL, THETA, batch, early_stopping=True, **settings)
    first = steps_of(torch.ones(4, 1, dtype=THETA.dtype), 0.0)[0][0]
    assert out.stopped.tolist() == pytest.approx([first] * 4, rel=1e-12)


class TestALinearTask:
    """L_S = 1/2 sum_i r_i (u_i - a_i)²: u(t) = a + exp(-r t) (theta - a)."""

    rates = torch.tensor([0.5, 2.0], dtype=torch.float64)
    theta = torch.tensor([1.0, -1.0], dtype=torch.float64)
    a = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    b = torch.tensor([0.2, 0.9], dtype=torch.float64)  # of the query; not on the way

    def test_stops_near_the_optimum_with_the_gradient_there(self):
        x = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]], dtype=torch.float64)  # r = (1, 4) / 2
        batch = TaskBatch.from_arrays(x, x @ self.a, x, x @ self.b)
        model = ModuleModel(nn.Sequential(nn.Linear(2, 1, bias=False), nn.Flatten(1)).double())
        found = meta_gradient(
            *("amaml_rkc", model, self.theta, batch),
            horizon=6.0, rtol=1e-5, atol=1e-7, early_stopping=True,
        )  # fmt: skip

        def state(t: Tensor) -> Tensor:
            return self.a + torch.exp(-self.rates * t) * (self.theta - self.a)

        times = torch.linspace(0, 6, 60_001, dtype=torch.float64).unsqueeze(1)
        losses = (self.rates * (state(times) - self.b) ** 2).sum(1)
        best = float(times[losses.argmin()])
        t = found.stopped[0]
        assert 0.5 < best < 5
        assert float(t) == pytest.approx(best, rel=0.03)  # to half a step
        torch.testing.assert_close(found.adapted[0], state(t), rtol=1e-3, atol=1e-4)
        wanted = torch.exp(-self.rates * t) * self.rates * (state(t) - self.b)
        torch.testing.assert_close(found.gradient, wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("memory_mb", [None, 0.3])
@pytest.mark.parametrize("method", ["amaml_rkc", "amaml_anytime"])
def test_each_seed_stops_as_if_alone(method, memory_mb):
    thetas = torch.stack([scale * make_mlp(seed=k)[1] for k, scale in enumerate((0.3, 1.0, 2.0))])
    parts = [overfitting(seed) for seed in range(3)]
    sides = [
        torch.cat([getattr(getattr(part, side), name) for part in parts])
        for side in ("support", "query")
        for name in ("x", "y")
    ]
    settings = TOLERANCE | {"horizon": HORIZON, "early_stopping": True}
    joined = TaskBatch.from_arrays(*sides)
    together = meta_gradient(method, MODEL, thetas, joined, memory_mb=memory_mb, **settings)
    assert len({work.accepted for work in together.works}) > 1
    for seed, (theta, batch) in enumerate(zip(thetas, parts, strict=True)):
        alone = meta_gradient(method, MODEL, theta, batch, **settings)
        for name in ("adapted", "query_loss", "stopped"):
            mine = take(getattr(together, name), (seed,), 3)
            torch.testing.assert_close(mine, getattr(alone, name), rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(together.gradient[seed], alone.gradient, rtol=1e-9, atol=1e-12)
        assert len(set(alone.stopped.tolist())) > 1
        for name in ("hvps", "accepted", "rejected", "kept_states"):
            assert getattr(together.works[seed], name) == getattr(alone.work, name), name


def test_in_single_precision():
    s, q = BATCH.support, BATCH.query
    batch = TaskBatch.from_arrays(s.x, s.y, q.x, q.y, dtype=torch.float32)
    settings = TOLERANCE | {"horizon": HORIZON, "early_stopping": True}
    out = meta_gradient("amaml_rkc", MODEL, THETA.float(), batch, **settings)
    exact = meta_gradient("amaml_rkc", MODEL, THETA, BATCH, **settings)
    assert out.stopped.dtype == out.gradient.dtype == torch.float32
    torch.testing.assert_close(out.gradient.double(), exact.gradient, rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("value", [1, 0, "yes", None])
def test_what_is_no_truth_value_is_refused(value):
    with pytest.raises(ValueError, match="early_stopping must be true or false"):
        meta_gradient("amaml_rkc", MODEL, THETA, BATCH, horizon=1.0, early_stopping=value)
