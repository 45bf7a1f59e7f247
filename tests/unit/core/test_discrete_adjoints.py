"""Discrete adjoints: the gradient of the very steps that a solver took, and steps as published."""

from functools import cache
from itertools import accumulate, pairwise

import pytest
import torch
from torch import Tensor
from torchdiffeq import odeint

from pipeline.core import SOLVERS, ModuleModel, Work, meta_gradient
from pipeline.core.solvers.chebyshev import solve_chebyshev
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.runge_kutta import FIXED_STEP, first_step, solve_flow
from pipeline.core.solvers.runge_kutta_step import RungeKuttaScheme
from tests.unit.core import reference
from tests.unit.core.problems import (
    ADAPTIVE_SOLVERS,
    DISCRETE_SOLVERS,
    discrete_settings,
    make_batch,
    make_mlp,
    make_module,
)

BATCH = make_batch(tasks=2)
MODEL, THETA = make_mlp()


def flow(mu: float = 0.0) -> Flow:
    start = THETA.repeat(2, 1)
    return Flow(MODEL.loss(BATCH.support), start, torch.ones(2, 1, dtype=THETA.dtype), mu)


def solve(solver: str, mu: float = 0.0):
    """Recording and end of the solve that `discrete_settings` ask for."""
    _, settings = discrete_settings(solver)
    tolerance = {"rtol": settings["rtol"], "atol": settings["atol"]}
    if solver == "amaml_rkc":
        return solve_chebyshev(flow(mu), 1.0, **tolerance, works=[Work()], memory=ChebyshevMemory())
    count = round(1 / settings["step"])
    times = torch.linspace(0, 1, count + 1, dtype=torch.float64)
    return solve_flow(flow(mu), times, solver=solver, **tolerance, work=Work(), points=True)


@cache
def steps_of(solver: str, mu: float) -> list[tuple[float, int]]:
    """Sizes and stages of the steps."""
    plans = [step.plan for step in solve(solver, mu)[0].steps]
    if solver == "amaml_rkc":
        return [(plan.sizes[0], plan.stages[0]) for plan in plans]
    return [(float(plan), 0) for plan in plans]


def objective(solver: str, omega: float, mu: float):
    """(support, query, theta) -> J of one task along the recorded steps."""
    steps = steps_of(solver, mu)
    return lambda s, q, u: reference.objective_along(solver, steps, s, q, u, omega, mu)


@cache
def by_autograd(solver: str, omega: float, mu: float) -> Tensor:
    return reference.mean_over_tasks(make_module(), THETA, BATCH, objective(solver, omega, mu))


def gradient(solver: str, omega: float, mu: float, model=MODEL) -> Tensor:
    method, settings = discrete_settings(solver, omega=omega, regulariser=mu)
    return meta_gradient(method, model, THETA, BATCH, **settings).gradient


def test_the_shared_list_names_every_solver():
    assert set(DISCRETE_SOLVERS) == {*SOLVERS, "amaml_rkc"}


@pytest.mark.parametrize("mu", [0.0, 0.7])
@pytest.mark.parametrize("omega", [0.0, 0.5])
@pytest.mark.parametrize("solver", DISCRETE_SOLVERS)
class TestTheGradient:
    @pytest.mark.parametrize("backend", ["closed_form", "module"])
    def test_is_autograd_through_the_same_steps(self, solver, omega, mu, backend):
        model = MODEL if backend == "closed_form" else ModuleModel(make_module())
        wanted = by_autograd(solver, omega, mu)
        found = gradient(solver, omega, mu, model)
        assert float((found - wanted).norm() / wanted.norm()) < 1e-10

    def test_is_the_slope_of_the_objective_along_the_same_steps(self, solver, omega, mu):
        """Central differences at two widths; Richardson leaves an error of h⁴."""
        direction = torch.randn(
            len(THETA), dtype=THETA.dtype, generator=torch.Generator().manual_seed(3)
        )
        direction /= direction.norm()
        value = objective(solver, omega, mu)

        def total(shift: float) -> float:
            start = (THETA + shift * direction).requires_grad_()
            losses = [
                value(
                    reference.task_loss(make_module(), BATCH.support, task),
                    reference.task_loss(make_module(), BATCH.query, task),
                    start,
                ).detach()
                for task in range(2)
            ]
            return float(sum(losses)) / 2

        def central(h: float) -> float:
            return (total(h) - total(-h)) / (2 * h)

        wanted = (4 * central(5e-4) - central(1e-3)) / 3
        assert float(gradient(solver, omega, mu) @ direction) == pytest.approx(wanted, rel=1e-8)


def published(solver: str, times: Tensor) -> Tensor:
    """torchdiffeq's states at `times`, with the same first step and end."""
    problem, options = flow(), {}
    if solver in ADAPTIVE_SOLVERS:
        _, settings = discrete_settings(solver)
        tolerance = {"rtol": settings["rtol"], "atol": settings["atol"]}
        start = first_step(problem, solver, **tolerance)
        options = {"first_step": start, "step_t": torch.ones(1, dtype=torch.float64)}
    else:
        tolerance = {}
    right = lambda t, u: problem.slope(u)  # noqa: E731
    return odeint(right, problem.anchor, times, method=solver, options=options, **tolerance)


@pytest.mark.parametrize("solver", SOLVERS)
class TestTheSteps:
    def test_are_torchdiffeqs(self, solver):
        """Their starts, and what the tableau makes of them when a step is computed again."""
        recording, end = solve(solver)
        scheme, problem = RungeKuttaScheme(solver), flow()
        ends = accumulate(step.plan for step in recording.steps)
        times = torch.tensor([0.0, *ends], dtype=torch.float64)
        if solver in FIXED_STEP:
            times = torch.linspace(0, 1, len(recording.steps) + 1, dtype=torch.float64)
        wanted = published(solver, times)
        assert len(recording.steps) > 2
        starts = [step.start for step in recording.steps]
        torch.testing.assert_close(torch.stack([*starts, end]), wanted, rtol=1e-12, atol=1e-12)
        for step, (start, after) in zip(recording.steps, pairwise(wanted), strict=True):
            again = scheme.advance(problem, start, step.plan, keep=False)
            torch.testing.assert_close(again.end, after, rtol=1e-12, atol=1e-12)
            assert len(again.inner) == len(step.inner)
            for found, kept in zip(again.inner, step.inner, strict=True):
                torch.testing.assert_close(found, kept, rtol=1e-10, atol=1e-12)

    def test_have_torchdiffeqs_states_between(self, solver):
        recording, _ = solve(solver)
        scheme, shares = RungeKuttaScheme(solver), (0.0, 0.17, 0.5, 0.83)
        begin = 0.0
        for step in recording.steps:
            some = shares if solver in ADAPTIVE_SOLVERS else shares[:1]
            found = scheme.between(step.start, step.inner, step.plan, some)
            inside = [begin + share * step.plan for share in some]
            times = torch.tensor([0.0, *(t for t in inside if t > 0), 1.0], dtype=torch.float64)
            if solver in ADAPTIVE_SOLVERS:
                wanted = published(solver, times)[(0 if begin == 0 else 1) : -1]
                torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-12)
            else:
                assert torch.equal(found[0], step.start)  # states are asked for at starts alone
            begin += step.plan
