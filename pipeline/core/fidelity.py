"""How near a meta-gradient is to the true one: that of gradient flow, converged in float64."""

import torch
from torch import Tensor

from pipeline.core.adjoints import sweep
from pipeline.core.interface import Model
from pipeline.core.problem import Problem, flow_of
from pipeline.core.recording import Recording, Step, budget_of
from pipeline.core.settings import check_share
from pipeline.core.solvers.runge_kutta import solve_flow
from pipeline.core.tasks import TaskBatch
from pipeline.core.work import Counted, Work

SOLVER = "dopri5"
RTOL = 2e-10  # halving it twice moves the gradient by less than 1e-6 of its norm
ATOL_SHARE = 0.1  # atol / rtol
NODES = 6  # of the interpolation under the running cost's integral: order 6, dopri5's is 5


def converged_gradient(
    model: Model,
    theta: Tensor,
    batch: TaskBatch,
    *,
    horizon: float,
    omega: float = 0.0,
    regulariser: float = 0.0,
    rtol: float = RTOL,
) -> Tensor:
    """The gradient (P,) of J(theta) through gradient flow over T = `horizon`, in float64.

    J = omega/T * integral_0^T L_query(u(t)) dt + (1 - omega) L_query(u(T)), mean over tasks:
    dopri5 with a tight tolerance, and the transpose of its own steps. The running cost at the
    accepted states is weighed by piecewise interpolation of degree `NODES` - 1.

    Args:
        theta: (P,), of any dtype.
        batch: B tasks in float64, on theta's device.
        regulariser: mu of mu/2 |u - theta|² in the inner loss.

    Raises:
        ValueError: for a horizon, omega or regulariser out of bounds.
        pipeline.core.Diverged: when the flow leaves the range of floating point.
    """
    check_share("omega", omega)
    start = theta.detach().to(torch.float64).view(1, -1)
    with torch.no_grad():
        works = [Work()]
        place = model.coordinates(start, batch.support, batch.query)
        support, query = Counted(place.support, works), Counted(place.query, works)
        problem = Problem(
            support, query, place.start, works, None, model.n_parameters, place.left_out()
        )
        flow, _ = flow_of(problem, horizon, regulariser)
        recording, end = solve_flow(
            flow,
            torch.tensor([0.0, horizon], dtype=torch.float64, device=start.device),
            solver=SOLVER,
            rtol=rtol,
            atol=ATOL_SHARE * rtol,
            work=works[0],
            budget=budget_of(None, flow, query),
            points=True,
        )
        weights = _average(recording) if omega else []

        def running_cost(number: int, step: Step) -> Tensor:
            gradient = query.at(recording.start_of(number)).gradient()
            return omega * weights[number] * gradient

        share = 1 - omega + (omega * weights[-1] if omega else 0.0)
        lam = share * query.at(end).gradient()
        lam = sweep(recording, lam, running_cost if omega else None)
        return place.mean(lam).view(-1)


def compare(gradient: Tensor, reference: Tensor) -> tuple[float, float]:
    """Cosine of the angle between two gradients (P,), and |gradient - reference| / |reference|.

    NaN where either is not finite; the cosine also where one is zero, the error where the
    reference is.
    """
    found, wanted = gradient.detach().to(torch.float64), reference.detach().to(torch.float64)
    size, unit = float(torch.linalg.vector_norm(found)), float(torch.linalg.vector_norm(wanted))
    if not (size < float("inf") and 0 < unit < float("inf")):
        return float("nan"), float("nan")
    error = float(torch.linalg.vector_norm(found - wanted)) / unit
    if not size:
        return float("nan"), error
    return float(torch.dot(found / size, wanted / unit)), error


def _average(recording: Recording) -> list[float]:
    """Weights w_k of the mean over time, sum_k w_k f(u_k), one for each state from the first.

    Each step's integral is that of the polynomial through the `NODES` nearest states.
    """
    sizes = torch.tensor([step.plan for step in recording.steps], dtype=torch.float64)
    times = torch.cat([torch.zeros(1, dtype=torch.float64), sizes.cumsum(0)])
    times = times / times[-1]
    weights = torch.zeros_like(times)
    width = min(NODES, len(times))
    powers = torch.arange(width, dtype=torch.float64).unsqueeze(1)
    for k in range(len(sizes)):
        first = min(max(k + 1 - width // 2, 0), len(times) - width)
        near = times[first : first + width]
        span = near[-1] - near[0]
        nodes, upper = (near - times[k]) / span, (times[k + 1] - times[k]) / span
        moments = upper ** (powers + 1) / (powers + 1)
        weights[first : first + width] += span * torch.linalg.solve(nodes**powers, moments)[:, 0]
    return list(weights.tolist())
