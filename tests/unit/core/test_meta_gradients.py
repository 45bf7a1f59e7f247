"""Every method's meta-gradient against an independent float64 reference."""

import math
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from pipeline.core import METHODS, Diverged, ModuleModel, TaskBatch, meta_gradient
from tests.unit.core import reference
from tests.unit.core.problems import FLOWS, METHOD_SETTINGS, make_batch, make_mlp, make_module

BACKENDS = ("closed_form", "module")
GD = {"inner_steps": 20, "inner_lr": 0.05}
FLOW_STEPS = 60  # RK4 steps of the reference over T = 2: converged to about 1e-7


def relative(found: Tensor, wanted: Tensor) -> float:
    return float((found - wanted).norm() / wanted.norm())


@cache
def converged(horizon: float, omega: float = 0.0, mu: float = 0.0) -> Tensor:
    """The reference gradient on the shared batch."""
    theta, batch = make_mlp()[1], make_batch()
    settings = {"horizon": horizon, "steps": FLOW_STEPS, "omega": omega, "mu": mu}
    return reference.flow_gradient(make_module(), theta, batch, **settings)


@pytest.fixture(params=BACKENDS)
def model(request: pytest.FixtureRequest) -> object:
    return make_mlp()[0] if request.param == "closed_form" else ModuleModel(make_module())


@pytest.fixture
def theta() -> Tensor:
    return make_mlp()[1]


@pytest.fixture
def batch() -> TaskBatch:
    return make_batch()


def test_the_shared_list_names_every_method():
    assert set(METHOD_SETTINGS) == set(METHODS)


@pytest.mark.parametrize(("method", "steps"), [("maml", 20), ("maml_sweep", 20), ("maml1", 1)])
def test_exact_methods_equal_autograd_through_the_unrolled_steps(
    method, steps, model, theta, batch
):
    out = meta_gradient(method, model, theta, batch, inner_steps=steps, inner_lr=0.05)
    wanted = reference.mean_over_tasks(
        make_module(), theta, batch, lambda s, q, u: q(reference.descend(s, u, steps, 0.05))
    )
    assert relative(out.gradient, wanted) < 1e-10


@pytest.mark.parametrize("method", ["maml", "maml_sweep"])
def test_exact_methods_equal_finite_differences(method, model, theta, batch):
    module, draw = make_module(), torch.Generator().manual_seed(7)
    direction = torch.randn(theta.shape, generator=draw, dtype=theta.dtype)

    def objective(u: Tensor) -> float:
        losses = []
        for task in range(len(batch)):
            support = reference.task_loss(module, batch.support, task)
            query = reference.task_loss(module, batch.query, task)
            start = u.clone().requires_grad_()
            losses.append(float(query(reference.descend(support, start, 20, 0.05))))
        return sum(losses) / len(losses)

    h = 1e-5
    wanted = (objective(theta + h * direction) - objective(theta - h * direction)) / (2 * h)
    out = meta_gradient(method, model, theta, batch, **GD)
    assert float(out.gradient @ direction) == pytest.approx(wanted, rel=1e-6)


def test_fomaml_is_the_query_gradient_at_the_trained_parameters(model, theta, batch):
    out = meta_gradient("fomaml", model, theta, batch, **GD)
    module, wanted = make_module(), []
    for task in range(len(batch)):
        support = reference.task_loss(module, batch.support, task)
        start = theta.clone().requires_grad_()
        psi = reference.descend(support, start, 20, 0.05).detach().requires_grad_()
        wanted.append(reference.slope(reference.task_loss(module, batch.query, task), psi))
    assert relative(out.gradient, torch.stack(wanted).mean(0).detach()) < 1e-10


def test_reptile_is_the_way_back_from_the_trained_parameters(model, theta, batch):
    out = meta_gradient("reptile", model, theta, batch, **GD)
    module, wanted = make_module(), []
    for task in range(len(batch)):
        support = reference.task_loss(module, batch.support, task)
        start = theta.clone().requires_grad_()
        wanted.append(theta - reference.descend(support, start, 20, 0.05).detach())
    assert relative(out.gradient, torch.stack(wanted).mean(0)) < 1e-10


def test_joint_training_is_the_gradient_of_all_rows(model, theta, batch):
    out = meta_gradient("joint", model, theta, batch)
    wanted = reference.mean_over_tasks(
        make_module(), theta, batch, lambda s, q, u: (s(u) + q(u)) / 2
    )
    assert relative(out.gradient, wanted) < 1e-10
    assert torch.equal(out.adapted, theta.expand(len(batch), -1))


@pytest.mark.parametrize(("rho", "delta"), [(0.0, 0.0), (1.0, 10.0)])
def test_imaml_with_many_cg_steps_solves_the_dense_system(rho, delta, model, theta, batch):
    system = {"proximal": 2.0, "cg_regulariser": rho, "cg_damping": delta}
    out = meta_gradient("imaml", model, theta, batch, **GD, **system, cg_steps=200)
    module, wanted = make_module(), []
    for task in range(len(batch)):
        support = reference.task_loss(module, batch.support, task)
        query = reference.task_loss(module, batch.query, task)

        def regularised(u, support=support):
            return support(u) + 1.0 * ((u - theta) ** 2).sum()  # lambda/2 = 1

        start = theta.clone().requires_grad_()
        psi = reference.descend(regularised, start, 20, 0.05).detach()
        hessian = torch.autograd.functional.hessian(support, psi)
        right = reference.slope(query, psi.requires_grad_()).detach()
        identity = torch.eye(len(theta), dtype=theta.dtype)
        matrix = (1 + rho) * identity + hessian / (2.0 + delta)
        wanted.append(torch.linalg.solve(matrix, right))
    assert relative(out.gradient, torch.stack(wanted).mean(0)) < 1e-8


def test_imaml_survives_more_cg_steps_than_it_needs(theta, batch):
    model = make_mlp()[0]
    out = meta_gradient("imaml", model, theta, batch, **GD, proximal=1e6, cg_steps=50)
    assert torch.isfinite(out.gradient).all()


@pytest.mark.parametrize("omega", [0.0, 0.5])
def test_amaml_reaches_the_converged_flow_gradient_at_second_order(omega, model, theta, batch):
    wanted = converged(2.0, omega=omega)
    errors = [
        relative(
            meta_gradient(
                *("amaml", model, theta, batch),
                **{"horizon": 2.0, "step": step, "rtol": 1e-8, "atol": 1e-10, "omega": omega},
            ).gradient,
            wanted,
        )
        for step in (0.02, 0.01)
    ]
    assert errors[1] < 1e-4
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.15)


def test_amaml_with_a_regulariser_reaches_the_converged_flow_gradient(model, theta, batch):
    wanted = converged(2.0, mu=0.7)
    settings = {"horizon": 2.0, "step": 0.01, "rtol": 1e-8, "atol": 1e-10, "regulariser": 0.7}
    out = meta_gradient("amaml", model, theta, batch, **settings)
    assert relative(out.gradient, wanted) < 1e-4
    settings |= {"backward": "backsolve", "horizon": 0.5}
    wanted = converged(0.5, mu=0.7)
    out = meta_gradient("amaml", model, theta, batch, **settings)
    assert relative(out.gradient, wanted) < 1e-5


def test_amaml_takes_a_horizon_per_task(model, theta, batch):
    horizons = torch.tensor([0.5, 2.0, 1.0], dtype=theta.dtype)
    settings = {"step": 0.01, "rtol": 1e-8, "atol": 1e-10}
    out = meta_gradient("amaml", model, theta, batch, horizon=horizons, **settings)
    wanted = torch.stack(
        [
            reference.flow_gradient(
                make_module(), theta, one_task(batch, task), horizon=float(t), steps=FLOW_STEPS
            )
            for task, t in enumerate(horizons)
        ]
    ).mean(0)
    assert relative(out.gradient, wanted) < 1e-4


def one_task(batch: TaskBatch, task: int) -> TaskBatch:
    s, q = batch.support, batch.query
    pick = slice(task, task + 1)
    return TaskBatch.from_arrays(s.x[pick], s.y[pick], q.x[pick], q.y[pick])


def test_backsolve_is_right_over_short_horizons_and_wrong_over_long_ones(theta, batch):
    model, settings = make_mlp()[0], {"rtol": 1e-5, "atol": 1e-7}
    errors = {}
    for horizon in (0.5, 6.0):
        kept = meta_gradient(
            "amaml", model, theta, batch, horizon=horizon, step=horizon / 400, **settings
        )
        try:
            back = meta_gradient(
                "amaml", model, theta, batch, horizon=horizon, backward="backsolve", **settings
            )
            errors[horizon] = relative(back.gradient, kept.gradient)
        except Diverged:
            errors[horizon] = math.inf
    assert errors[0.5] < 1e-3
    assert errors[6.0] > 1.0


class TestLinearTask:
    """A linear model has L_S = 1/2 (u - u*)' A (u - u*) + c: everything is closed-form."""

    @pytest.fixture
    def setup(self):
        batch = make_batch(features=3, seed=4)
        model = ModuleModel(nn.Linear(3, 1, dtype=torch.float64))
        theta = torch.randn(4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
        return model, theta, batch

    @staticmethod
    def quadratic(rows, task):
        """A, u* of 1/2 (u - u*)' A (u - u*), bias column last."""
        x = torch.cat([rows.x[task], torch.ones_like(rows.y[task]).unsqueeze(1)], 1)
        weight = rows.weight[task].unsqueeze(1)
        a = x.T @ (weight * x)
        return a, torch.linalg.solve(a, x.T @ (weight.squeeze(1) * rows.y[task]))

    def solve(self, theta, batch, transition):
        gradients, ends = [], []
        for task in range(len(batch)):
            a, best = self.quadratic(batch.support, task)
            aq, best_q = self.quadratic(batch.query, task)
            end = best + transition(a) @ (theta - best)
            gradients.append(transition(a).T @ aq @ (end - best_q))
            ends.append(end)
        return torch.stack(gradients).mean(0), torch.stack(ends)

    def test_flow(self, setup):
        model, theta, batch = setup
        settings = {"horizon": 2.0, "step": 0.005, "rtol": 1e-10, "atol": 1e-12}
        out = meta_gradient("amaml", model, theta, batch, **settings)
        gradient, ends = self.solve(theta, batch, lambda a: torch.linalg.matrix_exp(-2.0 * a))
        assert relative(out.adapted, ends) < 1e-9
        assert relative(out.gradient, gradient) < 1e-4

    @pytest.mark.parametrize("method", ["maml", "maml_sweep"])
    def test_gradient_descent(self, setup, method):
        model, theta, batch = setup
        out = meta_gradient(method, model, theta, batch, inner_steps=30, inner_lr=0.1)
        identity = torch.eye(4, dtype=theta.dtype)
        gradient, ends = self.solve(
            theta, batch, lambda a: torch.linalg.matrix_power(identity - 0.1 * a, 30)
        )
        assert relative(out.adapted, ends) < 1e-12
        assert relative(out.gradient, gradient) < 1e-12


@pytest.mark.parametrize("method", METHODS)
class TestEveryMethod:
    def test_both_backends_agree(self, method, theta, batch):
        settings = METHOD_SETTINGS[method]
        closed = meta_gradient(method, make_mlp()[0], theta, batch, **settings)
        module = meta_gradient(method, ModuleModel(make_module()), theta, batch, **settings)
        assert relative(closed.gradient, module.gradient) < 1e-10
        assert relative(closed.adapted, module.adapted) < 1e-10

    def test_tasks_do_not_see_one_another(self, method, theta, batch):
        """The mean of single-task gradients; adaptive steps agree to their tolerance."""
        model, settings = make_mlp()[0], METHOD_SETTINGS[method]
        together = meta_gradient(method, model, theta, batch, **settings)
        alone = [
            meta_gradient(method, model, theta, one_task(batch, task), **settings).gradient
            for task in range(len(batch))
        ]
        bound = {"amaml": 1e-6, "amaml_rkc": 1e-3, "amaml_anytime": 1e-3}.get(method, 1e-12)
        assert relative(together.gradient, torch.stack(alone).mean(0)) < bound

    def test_padding_rows_change_nothing(self, method, theta, batch):
        model, settings = make_mlp()[0], METHOD_SETTINGS[method]
        s, q = batch.support, batch.query
        pad = torch.full_like(s.y[:, :3], 7.0)
        padded = TaskBatch.from_arrays(
            torch.cat([s.x, s.x[:, :3] + 5], 1),
            torch.cat([s.y, pad], 1),
            torch.cat([q.x, q.x[:, :3] + 5], 1),
            torch.cat([q.y, pad], 1),
            support_weight=torch.cat([torch.ones_like(s.y), 0 * pad], 1),
            query_weight=torch.cat([torch.ones_like(q.y), 0 * pad], 1),
        )
        plain = meta_gradient(method, model, theta, batch, **settings)
        with_padding = meta_gradient(method, model, theta, padded, **settings)
        assert relative(with_padding.gradient, plain.gradient) < 1e-10

    def test_item_indices_equal_one_hot_rows(self, method):
        model, theta = make_mlp(features=7)
        g = torch.Generator().manual_seed(3)
        sx, qx = torch.randint(7, (3, 10), generator=g), torch.randint(7, (3, 8), generator=g)
        sy = torch.randn(3, 10, generator=g, dtype=theta.dtype)
        qy = torch.randn(3, 8, generator=g, dtype=theta.dtype)
        hot = [nn.functional.one_hot(x, 7).to(theta.dtype) for x in (sx, qx)]
        indexed = TaskBatch.from_arrays(sx, sy, qx, qy)
        dense = TaskBatch.from_arrays(hot[0], sy, hot[1], qy)
        settings = METHOD_SETTINGS[method]
        found = meta_gradient(method, model, theta, indexed, **settings)
        wanted = meta_gradient(method, model, theta, dense, **settings)
        assert relative(found.gradient, wanted.gradient) < 1e-12

    def test_float32_follows_theta(self, method, theta, batch):
        s, q = batch.support, batch.query
        single = TaskBatch.from_arrays(s.x, s.y, q.x, q.y, dtype=torch.float32)
        settings = METHOD_SETTINGS[method]
        wanted = meta_gradient(method, make_mlp()[0], theta, batch, **settings)
        if method in FLOWS:
            settings = settings | {"rtol": 1e-5, "atol": 1e-6}
        found = meta_gradient(method, make_mlp()[0], theta.float(), single, **settings)
        assert found.gradient.dtype == found.adapted.dtype == torch.float32
        assert relative(found.gradient.double(), wanted.gradient) < 1e-3

    def test_same_input_same_bits(self, method, theta, batch):
        settings = METHOD_SETTINGS[method]
        one, two = (meta_gradient(method, make_mlp()[0], theta, batch, **settings) for _ in "ab")
        assert torch.equal(one.gradient, two.gradient)

    def test_nothing_keeps_a_graph_and_theta_stays(self, method, theta, batch):
        before, start = theta.clone(), theta.clone().requires_grad_()
        out = meta_gradient(method, make_mlp()[0], start, batch, **METHOD_SETTINGS[method])
        assert not out.gradient.requires_grad
        assert not out.adapted.requires_grad
        assert torch.equal(start.detach(), before)

    def test_unknown_settings_are_refused(self, method, theta, batch):
        with pytest.raises(ValueError, match="found inner_speed"):
            meta_gradient(
                method, make_mlp()[0], theta, batch, **METHOD_SETTINGS[method], inner_speed=1
            )


@pytest.mark.parametrize(
    ("method", "change", "message"),
    [
        ("amaml", {"horizon": 0.0}, "horizon must be positive"),
        ("amaml", {"horizon": float("nan")}, "horizon must be positive"),
        ("amaml", {"rtol": 0.0}, "rtol must be positive"),
        ("amaml", {"atol": -1.0}, "atol must be positive"),
        ("amaml", {"step": 0.0}, "step must be positive"),
        ("amaml", {"solver": "rk5"}, "solver must be one of"),
        ("amaml", {"omega": 1.5}, r"omega must lie in \[0, 1\]"),
        ("amaml", {"backward": "backsolve", "omega": 0.5}, "keeps no states"),
        ("maml", {"inner_steps": 0}, "inner_steps must be a whole number"),
        ("maml", {"inner_lr": -0.1}, "inner_lr must be positive"),
        ("imaml", {"proximal": 0.0}, "proximal must be positive"),
        ("mamm", {}, "method 'mamm' is none of"),
    ],
)
def test_settings_out_of_bounds_are_refused(method, change, message, theta, batch):
    settings = METHOD_SETTINGS.get(method, {}) | change
    with pytest.raises(ValueError, match=message):
        meta_gradient(method, make_mlp()[0], theta, batch, **settings)


def test_missing_settings_are_named(theta, batch):
    with pytest.raises(ValueError, match="`imaml` needs proximal, cg_steps"):
        meta_gradient("imaml", make_mlp()[0], theta, batch, **GD)


def test_bad_theta_is_refused(theta, batch):
    model = make_mlp()[0]
    with pytest.raises(ValueError, match="theta must have shape"):
        meta_gradient("fomaml", model, theta[:-1], batch, **GD)
    with pytest.raises(ValueError, match="NaN or infinity"):
        meta_gradient("fomaml", model, theta * float("nan"), batch, **GD)
    with pytest.raises(ValueError, match="the batch is torch"):
        meta_gradient("fomaml", model, theta.float(), batch, **GD)


def test_a_flow_that_explodes_says_so(theta, batch):
    with pytest.raises(Diverged, match="smaller step"):
        meta_gradient(
            "amaml", make_mlp()[0], 1e3 * theta, batch, horizon=1e6, step=1e4, solver="euler"
        )


def test_work_counts_what_was_done(theta, batch):
    model = make_mlp()[0]
    sweep = meta_gradient("maml_sweep", model, theta, batch, **GD).work
    assert (sweep.gradients, sweep.hvps, sweep.kept_states) == (21, 20, 21)
    amaml = meta_gradient("amaml", model, theta, batch, horizon=1.0, step=0.1, solver="rk4").work
    assert (amaml.gradients, amaml.hvps, amaml.kept_states, amaml.accepted) == (41, 20, 11, 10)
    adaptive = meta_gradient("amaml", model, theta, batch, horizon=1.0, rtol=1e-6).work
    assert adaptive.accepted > 0
    assert adaptive.gradients >= 6 * adaptive.accepted
