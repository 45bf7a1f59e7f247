"""What the authors' code does in the paper's place: objective, way back, outer step."""

import math

import pytest
import torch
from torch import Tensor

from pipeline.core import TaskBatch, meta_gradient
from tests.unit.core import reference
from tests.unit.core.problems import make_batch, make_mlp, make_module
from tests.unit.core.test_meta_gradients import converged, one_task, relative

MODEL, THETA = make_mlp()
BATCH = make_batch()
TIGHT = {"rtol": 1e-8, "atol": 1e-10}


def amaml(batch: TaskBatch = BATCH, **settings) -> Tensor:
    return meta_gradient("amaml", MODEL, THETA, batch, **(TIGHT | settings)).gradient


@pytest.mark.parametrize("mu", [0.0, 0.7])
@pytest.mark.parametrize(
    ("form", "bound"),
    [
        ({"backward": "modified_euler", "step": 0.01}, 1e-4),
        ({"backward": "discrete"}, 1e-5),
        ({"backward": "backsolve", "horizon": 0.5}, 1e-5),
    ],
)
def test_the_outer_regulariser_is_part_of_the_objective(form, bound, mu):
    settings = {"horizon": 1.0, "regulariser": mu, "outer_regulariser": 0.8} | form

    def objective(support, query, theta):
        end = reference.flow(support, theta, settings["horizon"], 40, mu)[-1]
        return query(end) + 0.4 * ((end - theta) ** 2).sum()

    wanted = reference.mean_over_tasks(make_module(), THETA, BATCH, objective)
    assert relative(amaml(**settings), wanted) < bound
    assert relative(amaml(**settings | {"outer_regulariser": 0.0}), wanted) > 100 * bound


@pytest.mark.parametrize(("omega", "mu"), [(0.0, 0.0), (0.5, 0.0), (0.0, 0.7)])
def test_plain_euler_is_of_first_order(omega, mu):
    wanted = converged(2.0, omega=omega, mu=mu)
    errors = []
    for step in (0.01, 0.005):
        settings = {"backward": "euler", "step": step, "omega": omega, "regulariser": mu}
        errors.append(relative(amaml(horizon=2.0, **settings), wanted))
    assert errors[1] < 0.02
    assert math.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("mu", [0.0, 0.7])
@pytest.mark.parametrize(("backward", "more"), [("euler", 0), ("released", 1)])
def test_the_steps_back_are_those_on_dense_hessians(backward, more, mu):
    """States of six Euler steps; `released` takes a seventh step back, at u(0)."""
    batch, h, steps = one_task(BATCH, 1), 0.05, 6
    support = reference.task_loss(make_module(), batch.support, 0)
    query = reference.task_loss(make_module(), batch.query, 0)
    states = [THETA.clone().requires_grad_()]
    for _ in range(steps):
        u = states[-1]
        moved = u - h * (reference.slope(support, u) + mu * (u - THETA))
        states.append(moved.detach().requires_grad_())
    lam = reference.slope(query, states[-1]).detach()
    through_anchor = torch.zeros_like(lam)
    for u in [*states[:0:-1], *states[:1] * more]:
        hessian = torch.autograd.functional.hessian(support, u.detach())
        through_anchor += h * mu * lam
        lam = lam - h * (hessian @ lam + mu * lam)
    found = amaml(
        batch, horizon=h * steps, step=h, solver="euler", backward=backward, regulariser=mu
    )
    torch.testing.assert_close(found, lam + through_anchor, rtol=1e-10, atol=1e-13)


def test_a_running_cost_needs_a_way_back_that_has_it():
    with pytest.raises(ValueError, match="`released` has no running cost; set omega to 0"):
        amaml(horizon=1.0, backward="released", omega=0.5)


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf"), "1", None, True], ids=str)
@pytest.mark.parametrize(
    ("method", "name"),
    [("amaml", "outer_regulariser"), ("imaml", "cg_regulariser"), ("imaml", "cg_damping")],
)
def test_weights_that_must_not_be_negative(method, name, value):
    given = {"horizon": 1.0}
    if method == "imaml":
        given = {"inner_steps": 1, "inner_lr": 0.1, "proximal": 1.0, "cg_steps": 1}
    with pytest.raises(ValueError, match=f"{name} must be finite and not negative"):
        meta_gradient(method, MODEL, THETA, BATCH, **given, **{name: value})
