"""Steps and evaluations of RK45 and of the Chebyshev solver as curvature grows.

Inputs are scaled up, which raises the Hessian's eigenvalues, and the horizon is lengthened. The
stiffness of a solve is the integral of rho(t) over [0, T], rho the largest eigenvalue (by size)
of the tasks' support Hessians along the flow: mean rho times T. A solver whose steps are limited
by stability needs evaluations in proportion to it, stabilised stages to its square root.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from pipeline.core import MLP, Diverged, TaskBatch, Work
from pipeline.core.problem import Problem, flow_of
from pipeline.core.solvers.chebyshev import solve_chebyshev
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.solvers.flow import Flow
from pipeline.core.solvers.runge_kutta import solve_flow
from pipeline.core.solvers.spectral import MARGIN, SpectralRadius
from pipeline.core.work import Counted
from pipeline.runs.device import DTYPES
from pipeline.runs.recipe import Recipe
from pipeline.studies.problems import StudyTasks, draw_study_tasks

SOLVERS = 2  # on each problem
COUNTS = ("gradients", "radius_hvps", "accepted", "rejected")


def stiffness_records(recipe: Recipe) -> Iterator[dict[str, Any]]:
    """One record per family, scale of inputs, horizon and solver; from the untrained theta.

    Standardised inputs take every scale; those in the family's own units stand at scale 1.
    """
    model = MLP(2, recipe["hidden"])
    dtype = DTYPES[recipe["dtype"]]
    theta = model.init(torch.Generator().manual_seed(recipe["seed"])).to(dtype)
    given = recipe["stiffness"]
    cases = [(True, scale) for scale in given["scales"]] + [(False, 1.0)]
    for family in recipe["families"]:
        for standardised, scale in cases:
            sizes = {name: recipe[name] for name in ("tasks", "support", "query")}
            _, probes = draw_study_tasks(family, recipe["seed"], standardise=standardised, **sizes)
            scaled = StudyTasks(probes.x * scale, probes.y, probes.support)
            batch = scaled.batch(slice(None), dtype)
            for horizon in given["horizons"]:
                place = {"family": family, "standardised": standardised, "scale": scale}
                place |= {"horizon": horizon}
                for found in _solves(model, theta, batch, horizon, given["rtol"], given["atol"]):
                    yield place | found


def _solves(
    model: MLP, theta: Tensor, batch: TaskBatch, horizon: float, rtol: float, atol: float
) -> Iterator[dict[str, Any]]:
    """Both solvers on one problem."""
    with torch.no_grad():
        flow, work = _flow(model, theta, batch, horizon)
        status, rho_t = _status("ok"), None
        try:
            recording, _ = solve_chebyshev(
                flow, horizon, rtol=rtol, atol=atol, works=[work], memory=ChebyshevMemory()
            )
        except Diverged as error:
            status = _status("diverged", error)
        counts = {name: getattr(work, name) for name in COUNTS}
        if status["status"] == "ok":
            radius = SpectralRadius()
            rho_t = sum(
                step.plan.sizes[0] * _radius(radius, flow, recording.start_of(number))
                for number, step in enumerate(recording.steps)
            )
        yield {"solver": "rkc", "rho_t": rho_t} | counts | status
        flow, work = _flow(model, theta, batch, horizon)
        status = _status("ok")
        try:
            times = torch.tensor([0.0, horizon], dtype=torch.float64)
            solve_flow(flow, times, solver="dopri5", rtol=rtol, atol=atol, work=work)
        except Diverged as error:
            status = _status("diverged", error)
        counts = {name: getattr(work, name) for name in COUNTS}
        yield {"solver": "dopri5", "rho_t": rho_t} | counts | status


def _flow(model: MLP, theta: Tensor, batch: TaskBatch, horizon: float) -> tuple[Flow, Work]:
    work = Work()
    place = model.coordinates(theta.view(1, -1), batch.support, batch.query)
    support, query = Counted(place.support, [work]), Counted(place.query, [work])
    problem = Problem(
        support, query, place.start, [work], None, model.n_parameters, place.left_out()
    )
    return flow_of(problem, horizon, 0.0)[0], work


def _radius(radius: SpectralRadius, flow: Flow, u: Tensor) -> float:
    """rho at u (R, Q), without the solver's margin."""
    return radius.estimate(flow, (0,), u, flow.slope(u), None)[0] / MARGIN


def _status(status: str, error: Diverged | None = None) -> dict[str, Any]:
    return {"status": status, "message": str(error).split("\n")[0] if error else None}
