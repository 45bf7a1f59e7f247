"""The converged meta-gradient in float64 that errors are measured against.

`python -m benchmarks.reference` remakes `reference.json` (some minutes). The flow is solved by
classical RK4 and differentiated by the transpose of RK4, so that the answer is the exact
gradient of the numbers computed; two step sizes give Richardson's estimate of its error.
Nothing of `pipeline.core`'s solvers and adjoints is used.
"""

import argparse
import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.problem import ALPHA, HORIZONS, QUICK_HORIZONS, Work, cos_mixture, digest
from pipeline.core.interface import Loss
from pipeline.files import read_json, write_json

PATH = Path(__file__).with_name("reference.json")
OMEGAS = {"terminal": 0.0, "anytime": 0.5}  # weight of the running cost
LARGEST_STEP = 0.02


def rk4_states(loss: Loss, u: Tensor, h: float, steps: int) -> list[Tensor]:
    """u_0, ..., u_n of du/dt = -dL/du, each (B, P)."""
    states = [u]
    for _ in range(steps):
        k1 = -loss.at(u).gradient()
        k2 = -loss.at(u + h / 2 * k1).gradient()
        k3 = -loss.at(u + h / 2 * k2).gradient()
        k4 = -loss.at(u + h * k3).gradient()
        u = u + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        states.append(u)
    return states


def rk4_transposed(loss: Loss, u: Tensor, lam: Tensor, h: float) -> Tensor:
    """(du_next/du)^T lam of one RK4 step from u, (B, P)."""
    k1 = -loss.at(u).gradient()
    y2 = u + h / 2 * k1
    k2 = -loss.at(y2).gradient()
    y3 = u + h / 2 * k2
    k3 = -loss.at(y3).gradient()
    y4 = u + h * k3
    total = lam
    m = -loss.at(y4).hvp(h / 6 * lam)
    total = total + m
    m = -loss.at(y3).hvp(h / 3 * lam + h * m)
    total = total + m
    m = -loss.at(y2).hvp(h / 3 * lam + h / 2 * m)
    total = total + m
    return total - loss.at(u).hvp(h / 6 * lam + h / 2 * m)


def gradient(work: Work, horizon: float, steps: int, omega: float = 0.0) -> Tensor:
    """dJ/dtheta (P,), J = omega/T int_0^T L_query dt + (1 - omega) L_query(u(T)), mean of tasks.

    Args:
        steps: even, for Simpson's rule.
    """
    h = horizon / steps
    support, query = work.model.loss(work.batch.support), work.model.loss(work.batch.query)
    with torch.no_grad():
        states = rk4_states(support, work.theta.repeat(len(work.batch), 1), h, steps)
        lam = (1 - omega) * query.at(states[-1]).gradient()
        for j in range(steps, -1, -1):
            if omega:
                weight = 1 if j in (0, steps) else 4 if j % 2 else 2
                lam = lam + omega * weight / (3 * steps) * query.at(states[j]).gradient()
            if j:
                lam = rk4_transposed(support, states[j - 1], lam, h)
    return lam.mean(0)


def converged(work: Work, horizon: float, omega: float) -> tuple[Tensor, float]:
    """The gradient with steps h / 2 and Richardson's estimate of its relative error."""
    steps = 2 * max(10, round(horizon / LARGEST_STEP / 2))
    coarse = gradient(work, horizon, steps, omega)
    fine = gradient(work, horizon, 2 * steps, omega)
    return fine, float((fine - coarse).norm() / fine.norm()) / 15


def make(horizons: Sequence[int] = QUICK_HORIZONS + HORIZONS) -> dict[str, Any]:
    """The record for every horizon, given in gradient-descent steps."""
    work = cos_mixture(dtype=torch.float64)
    entries = []
    for inner_steps in horizons:
        for objective, omega in OMEGAS.items():
            value, error = converged(work, inner_steps * ALPHA, omega)
            print(f"{inner_steps:>6} steps, {objective}: error about {error:.1e}", flush=True)
            entries.append(
                {
                    "inner_steps": inner_steps,
                    "objective": objective,
                    "estimated_relative_error": error,
                    "gradient": _packed(value),
                }
            )
    return {
        "made_by": "python -m benchmarks.reference",
        "problem": digest(work),
        "method": "RK4 and its transpose, float64; error by Richardson from two step sizes",
        "entries": entries,
    }


def load(work: Work, path: Path = PATH) -> dict[tuple[int, str], Tensor]:
    """(inner steps, objective) -> gradient (P,) in float64.

    Raises:
        ValueError: when the file was made for another problem.
    """
    record = read_json(path)
    if record["problem"] != digest(work):
        raise ValueError(
            f"{path} belongs to another problem than the one measured; "
            f"remake it with: {record['made_by']}"
        )
    return {
        (entry["inner_steps"], entry["objective"]): _unpacked(entry["gradient"])
        for entry in record["entries"]
    }


def _packed(value: Tensor) -> str:
    """Base64 of little-endian float64 numbers: every bit, on one line."""
    return base64.b64encode(value.numpy().astype("<f8").tobytes()).decode("ascii")


def _unpacked(text: str) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), "<f8").astype(np.float64))


def compare(found: Tensor, exact: Tensor) -> dict[str, float]:
    """Relative error and cosine of a gradient (P,)."""
    found = found.detach().cpu().double()
    return {
        "relative_error": float((found - exact).norm() / exact.norm()),
        "cosine": float(torch.nn.functional.cosine_similarity(found, exact, dim=0)),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Remake the reference solutions.")
    parser.add_argument("--out", type=Path, default=PATH)
    torch.set_num_threads(1)
    write_json(parser.parse_args().out, make())
