"""One call for every method: the meta-gradient of a batch of tasks."""

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipeline.core.losses import Counted, Model
from pipeline.core.methods import METHODS
from pipeline.core.methods.problem import Problem
from pipeline.core.tasks import TaskBatch
from pipeline.core.work import Work


@dataclass(frozen=True)
class MetaGradient:
    """Result of `meta_gradient`.

    gradient: (P,), mean over tasks. adapted: (B, P), trained parameters.
    query_loss: (B,), the query loss at them. work: what it took.
    """

    gradient: Tensor
    adapted: Tensor
    query_loss: Tensor
    work: Work


def meta_gradient(
    method: str,
    model: Model,
    theta: Tensor,
    batch: TaskBatch,
    *,
    memory: object = None,
    **settings: Any,
) -> MetaGradient:
    """The gradient of J(theta) = mean_b L(psi_b(theta), query_b) by one of `METHODS`.

    Args:
        method: a key of `METHODS`; its settings are that function's keywords
            (`maml`, `maml1`, `maml_sweep`, `fomaml`, `reptile`: inner_steps, inner_lr; `imaml`:
            also proximal, cg_steps; `amaml`, `amaml_anytime`: horizon, step, solver, rtol,
            atol, backward, omega, regulariser).
        theta: initialisation (P,); dtype and device of everything follow it.
        memory: what the method carries from one meta-update to the next (`Chebyshev` for
            `amaml_rkc`: it saves work and changes the result within the tolerance only).

    Raises:
        ValueError: for an unknown method or setting, a setting out of bounds, a theta of the
            wrong shape or not finite, or a batch of another dtype or device.
        pipeline.core.Diverged: when a flow leaves the range of floating point. Gradient
            descent that diverges gives a gradient that is not finite instead.
    """
    check_settings(method, settings)
    _check_theta(model, theta, batch)
    theta = theta.detach()
    work = Work()
    start = theta.repeat(len(batch), 1)
    support = Counted(model.loss(batch.support), work)
    query_loss = model.loss(batch.query)
    problem = Problem(support, Counted(query_loss, work), start, work, memory)
    with torch.no_grad():
        adapted = METHODS[method](problem, **settings)
        return MetaGradient(
            adapted.gradient.mean(0),
            adapted.parameters,
            query_loss.at(adapted.parameters).value(),
            work,
        )


def check_settings(method: str, settings: Mapping[str, Any]) -> None:
    """Refuse an unknown method, unknown or missing settings, and counts or rates below zero.

    Raises:
        ValueError: saying what was found and what is needed.
    """
    if method not in METHODS:
        raise ValueError(f"method '{method}' is none of {', '.join(METHODS)}.")
    known = inspect.signature(METHODS[method]).parameters
    names = [n for n, p in known.items() if p.kind is p.KEYWORD_ONLY]
    if unknown := sorted(set(settings) - set(names)):
        raise ValueError(f"`{method}` takes {', '.join(names)}; found {', '.join(unknown)}.")
    needed = [n for n in names if known[n].default is inspect.Parameter.empty]
    if missing := [n for n in needed if n not in settings]:
        raise ValueError(f"`{method}` needs {', '.join(missing)}.")
    for name in ("inner_steps", "cg_steps"):
        value = settings.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, found {value!r}.")
    for name in ("inner_lr", "proximal"):
        value = settings.get(name, 1.0)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, found {value}.")


def _check_theta(model: Model, theta: Tensor, batch: TaskBatch) -> None:
    if theta.shape != (model.n_parameters,):
        raise ValueError(
            f"theta must have shape ({model.n_parameters},), found {tuple(theta.shape)}. "
            "Flatten it with `torch.nn.utils.parameters_to_vector`."
        )
    if not bool(torch.isfinite(theta).all()):
        raise ValueError("theta holds NaN or infinity; start from finite parameters.")
    found = batch.support.y
    if found.dtype != theta.dtype or found.device != theta.device:
        raise ValueError(
            f"theta is {theta.dtype} on {theta.device}, the batch is {found.dtype} on "
            f"{found.device}; build the batch with dtype=theta.dtype, device=theta.device."
        )
