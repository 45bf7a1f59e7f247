"""One call for every method: the meta-gradient of a batch of tasks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.core.aggregate import AGGREGATES, scaled, task_norms
from pipeline.core.ambient import ordinary, own_modes
from pipeline.core.graphs import Graphs, refuse_capture
from pipeline.core.interface import Model
from pipeline.core.methods import METHODS
from pipeline.core.problem import Problem
from pipeline.core.rates import refuse_first_order
from pipeline.core.registry import check_settings
from pipeline.core.settings import one_of
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.tasks import Rows, TaskBatch
from pipeline.core.work import Counted, Work


@dataclass(frozen=True)
class MetaGradient:
    """Result of `meta_gradient`, of one seed or of S.

    gradient: (P,) or (S, P), aggregated over a seed's tasks. adapted: (B, P) or (S B, P), trained
    parameters. query_loss: (B,) or (S B,), the query loss at them. norms: (B,) or (S B,), of the
    tasks' own meta-gradients, float64. works: what each seed took.
    stopped: (B,) or (S B,), the flow time at which each task's training ended; None where that
    is the horizon of all or a number of steps.
    """

    gradient: Tensor
    adapted: Tensor
    query_loss: Tensor
    norms: Tensor
    works: Sequence[Work]
    stopped: Tensor | None = None

    @property
    def work(self) -> Work:
        """What all seeds took together."""
        total = Work()
        for work in self.works:
            total.add(work)
        return total


def meta_gradient(
    method: str,
    model: Model,
    theta: Tensor,
    batch: TaskBatch,
    *,
    aggregate: str = "mean",
    memory: ChebyshevMemory | None = None,
    graphs: Graphs | None = None,
    **settings: Any,
) -> MetaGradient:
    """The gradient of J(theta) = mean_b L(psi_b(theta), query_b) by one of `METHODS`.

    Args:
        method: a key of `METHODS`; its settings are that function's keywords.
        theta: initialisation (P,), or (S, P) for S seeds at once; dtype and device of
            everything follow it.
        batch: B tasks, or S B of them, the tasks of the first seed first.
        aggregate: a key of `AGGREGATES`: `mean` is the gradient of J; `unit` and `clip` scale
            the tasks' meta-gradients before the mean, so that no task outweighs the others.
        memory: what a Chebyshev solver carries from one meta-update to the next.
        graphs: captures what is repeated as CUDA graphs and keeps them for the next call.

    Raises:
        ValueError: for an unknown method or setting, a setting out of bounds, a theta of the
            wrong shape or not finite, or a batch of another dtype, device or number of tasks.
        pipeline.core.Diverged: when a flow leaves the range of floating point. Gradient
            descent that diverges gives a gradient that is not finite instead.
    """
    check_settings(method, settings)
    one_of(list(AGGREGATES))("aggregate", aggregate)
    if graphs is not None:
        refuse_capture(model)
    refuse_first_order(method, model)
    check_theta(model, theta, batch.support)
    if theta.ndim == 2 and len(batch) % len(theta):
        raise ValueError(
            f"theta holds {len(theta)} seeds and the batch {len(batch)} tasks; give every seed "
            "the same number of tasks."
        )
    with own_modes(theta.device):
        return _meta_gradient(
            method, model, ordinary(theta.detach()), batch, aggregate, memory, graphs, settings
        )


def _meta_gradient(
    method: str,
    model: Model,
    theta: Tensor,
    batch: TaskBatch,
    aggregate: str,
    memory: ChebyshevMemory | None,
    graphs: Graphs | None,
    settings: dict[str, Any],
) -> MetaGradient:
    single = theta.ndim == 1
    seeds = 1 if single else len(theta)
    works = [Work() for _ in range(seeds)]
    place = model.coordinates(theta.view(seeds, -1), batch.support.ordinary, batch.query.ordinary)
    sides = (place.support, place.query)
    support, query = (
        graphs.losses(sides, works) if graphs else [Counted(side, works) for side in sides]
    )
    problem = Problem(
        support, query, place.start, works, memory, model.n_parameters, place.left_out(), graphs
    )
    adapted = METHODS[method](problem, **settings)
    norms = task_norms(adapted.gradient, seeds)
    gradient = place.mean(scaled(adapted.gradient, norms, aggregate))
    return MetaGradient(
        gradient[0] if single else gradient,
        place.full(adapted.parameters),
        place.query.at(adapted.parameters).value(),
        norms.flatten(),
        works,
        adapted.stopped,
    )


def check_theta(model: Model, theta: Tensor, rows: Rows) -> None:
    """Raise ValueError unless theta is finite, of the model's size, and like the rows."""
    if not isinstance(theta, Tensor):
        raise ValueError(f"theta must be a tensor, found {type(theta).__name__}.")
    if theta.ndim not in (1, 2) or theta.shape[-1] != model.n_parameters or 0 in theta.shape:
        raise ValueError(
            f"theta must have shape ({model.n_parameters},), or (S, {model.n_parameters}) for S "
            f"seeds, found {tuple(theta.shape)}. Flatten it with "
            "`torch.nn.utils.parameters_to_vector`."
        )
    if not bool(torch.isfinite(theta).all()):
        raise ValueError("theta holds NaN or infinity; start from finite parameters.")
    found = rows.weight
    if found.dtype != theta.dtype or found.device != theta.device:
        raise ValueError(
            f"theta is {theta.dtype} on {theta.device}, the batch is {found.dtype} on "
            f"{found.device}; build the batch with dtype=theta.dtype, device=theta.device."
        )
