"""What is measured: our methods, the form `amaml` started from, and the peers.

A candidate is a name and a way to make its updates; a new one is one entry in `CANDIDATES`.
"""

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from benchmarks import peers, prototype
from benchmarks.problem import ALPHA, Work
from pipeline.core import METHODS, MetaTrainer, meta_gradient
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.work import Work as Counts

OUTER_LR = 1e-12  # so small that theta stays: every update solves the same problem
PROXIMAL, CG_STEPS = 15.0, 5
REMEMBER = ("amaml_rkc", "amaml_anytime")  # on a Chebyshev solver that starts warm
AMAML = {"step": ALPHA, "rtol": 1e-3, "atol": 1e-5}


class Update(Protocol):
    """Consecutive meta-updates on one batch."""

    def run(self) -> None:
        """One meta-update."""

    def gradient(self) -> torch.Tensor:
        """Its meta-gradient (P,)."""


class TrainerUpdate:
    """Meta-updates of one of our methods, made as meta-training makes them."""

    def __init__(
        self, method: str, work: Work, settings: dict[str, Any], options: dict[str, Any]
    ) -> None:
        self._method, self._work, self._settings = method, work, settings
        self._trainer = MetaTrainer(
            method, work.model, work.theta, settings=settings, outer_lr=OUTER_LR, **options
        )
        self.counts = Counts()

    def run(self) -> None:
        (progress,) = self._trainer.step(self._work.batch)
        self.counts = progress.work

    def gradient(self) -> torch.Tensor:
        """The meta-gradient (P,), of a second update where the method remembers the first."""
        work, memory = self._work, ChebyshevMemory()
        found = torch.empty(0)
        for _ in range(2 if self._method in REMEMBER else 1):
            found = meta_gradient(
                self._method, work.model, work.theta, work.batch, memory=memory, **self._settings
            ).gradient
        return found


@dataclass(frozen=True)
class Candidate:
    """One line of the tables.

    Attributes:
        kind: `ours`, `baseline` or `peer`.
        make: from the work and a number K of inner steps (horizon K ALPHA) to updates.
        absent: from the device to why it cannot be measured here, or None.
        objective: which reference solution it approximates; None when it has none.
        counts: gradients and products of K steps, where the method does not count them itself.
    """

    name: str
    title: str
    kind: str
    make: Callable[[Work, int], Update] = field(repr=False)
    absent: Callable[[torch.device], str | None] = field(repr=False, default=lambda _: None)
    objective: str | None = "terminal"
    counts: Callable[[int], Counts] | None = field(repr=False, default=None)


def _ours(
    name: str,
    title: str,
    settings: Callable[[int], dict[str, Any]],
    *,
    method: str | None = None,
    objective: str | None = "terminal",
    counts: Callable[[int], Counts] | None = None,
    options: dict[str, Any] | None = None,
) -> Candidate:
    key = method or name

    def absent(_: torch.device) -> str | None:
        if key not in METHODS:
            return f"pipeline.core has no method '{key}'"
        unknown = set(options or {}) - set(inspect.signature(MetaTrainer).parameters)
        return f"MetaTrainer has no option {', '.join(sorted(unknown))}" if unknown else None

    return Candidate(
        name,
        title,
        "ours",
        lambda work, steps: TrainerUpdate(key, work, settings(steps), options or {}),
        absent,
        objective,
        counts,
    )


def _first_form(name: str, title: str, form: prototype.Form) -> Candidate:
    """`amaml` as it was, with closed forms of its own or today's."""

    def make(work: Work, steps: int) -> Update:
        settings = {"horizon": steps * ALPHA} | AMAML
        return prototype.PrototypeUpdate(form, work, settings, OUTER_LR)

    return Candidate(name, title, "baseline", make)


def _unrolled(steps: int) -> Counts:
    """Autograd through K steps: K + 1 gradients, and the transpose of each step is a product."""
    return Counts(gradients=steps + 1, hvps=steps)


def _first_order(steps: int) -> Counts:
    return Counts(gradients=steps + 1)


def _peer(
    name: str, title: str, peer: peers.Peer, *, exact: bool, module: str | None = None
) -> Candidate:
    return Candidate(
        name,
        title,
        "peer",
        lambda work, steps: peers.PeerUpdate(peer, work, steps, ALPHA, OUTER_LR),
        lambda _: _not_imported(module) if module else None,
        "terminal",
        _unrolled if exact else _first_order,
    )


def _jax(name: str, title: str, *, exact: bool) -> Candidate:
    """A peer of jax_peers.py, which imports jax."""
    module = "benchmarks.jax_peers"

    def make(work: Work, steps: int) -> Update:
        found: Update = importlib.import_module(module).JaxUpdate(
            name, work, steps, ALPHA, OUTER_LR
        )
        return found

    def absent(device: torch.device) -> str | None:
        if device.type != "cpu":
            return "measured on the CPU alone: the build of jax in the extra `bench` has no GPU"
        return _not_imported(module)

    return Candidate(
        name, title, "peer", make, absent, "terminal", _unrolled if exact else _first_order
    )


def _not_imported(module: str) -> str | None:
    """Why a module cannot be imported, or None."""
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a third party's import raises is the finding
        return f"import {module}: {type(error).__name__}: {error}"
    return None


def _descent(steps: int) -> dict[str, Any]:
    return {"inner_steps": steps, "inner_lr": ALPHA}


def _proximal(steps: int) -> dict[str, Any]:
    return _descent(steps) | {"proximal": PROXIMAL, "cg_steps": CG_STEPS}


def _flow(rtol: float) -> Callable[[int], dict[str, Any]]:
    return lambda steps: {"horizon": steps * ALPHA, "rtol": rtol}


CANDIDATES: dict[str, Candidate] = {
    candidate.name: candidate
    for candidate in (
        _ours("amaml_rkc", "amaml_rkc, rtol 1e-3", _flow(1e-3)),
        _ours("amaml_rkc_tight", "amaml_rkc, rtol 1e-4", _flow(1e-4), method="amaml_rkc"),
        _ours("amaml_anytime", "amaml_anytime, rtol 1e-3", _flow(1e-3), objective="anytime"),
        _ours("amaml", "amaml, rtol 1e-3", lambda k: {"horizon": k * ALPHA} | AMAML),
        _first_form("amaml_repeated", "amaml, passes repeated", prototype.repeated),
        _first_form("amaml_prototype", "amaml, first form", prototype.frozen),
        _ours("maml_sweep", "maml_sweep", _descent),
        _ours("maml", "maml, batched unrolled", _descent, counts=_unrolled),
        _ours("fomaml", "fomaml, batched", _descent),
        _ours("imaml", "imaml", _proximal),
        _peer("fomaml_loop", "plain PyTorch FOMAML loop", peers.fomaml_loop, exact=False),
        _peer("maml_loop", "plain unrolled MAML", peers.maml_loop, exact=True),
        _peer("higher", "higher, unrolled", peers.higher_maml, exact=True, module="higher"),
        _peer("torchopt", "torchopt MetaSGD", peers.torchopt_maml, exact=True, module="torchopt"),
        _jax("jax_fomaml", "JAX FOMAML, compiled", exact=False),
        _jax("jax_sweep", "JAX MAML, stored states", exact=True),
        _jax("jax_maml", "JAX MAML, reverse mode", exact=True),
    )
}

CAPTURED: dict[str, Candidate] = {  # measured on CUDA, where the core can capture a graph
    candidate.name: candidate
    for candidate in (
        _ours(
            "amaml_rkc_captured",
            "amaml_rkc, rtol 1e-3, captured",
            _flow(1e-3),
            method="amaml_rkc",
            options={"capture": True},
        ),
        _ours(
            "fomaml_captured",
            "fomaml, batched, captured",
            _descent,
            method="fomaml",
            options={"capture": True},
        ),
    )
}


def counts(candidate: Candidate, update: Update, inner_steps: int) -> Counts:
    """What the last update took."""
    if candidate.counts is not None:
        return candidate.counts(inner_steps)
    found: Counts = update.counts  # type: ignore[attr-defined]
    return found
