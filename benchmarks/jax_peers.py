"""Peers in JAX: the loops of peers.py as one compiled function, on one CPU thread.

Importing this file imports jax, which is optional. Each peer gives the meta-gradient of one task;
tasks are a batch axis (`vmap`), or a loop (`lax.map`) where that is the faster one.
"""

import os
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmarks.peers import network
from benchmarks.problem import Work

# What jax reads when it starts. The flags alone leave as many threads as there are cores.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["NPROC"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
from jax import lax

Weights = Any  # of each layer (into, out) and (out,)
Task = tuple[Any, Any, Any, Any]  # support x (N, D), y (N,), query x, y
Peer = Callable[[Weights, Task, int, float], Weights]
ADAM = (0.9, 0.999, 1e-8)  # torch's


def loss(weights: Weights, x: Any, y: Any) -> Any:
    """Half the mean squared error of the tanh network."""
    *hidden, (last, shift) = weights
    for weight, bias in hidden:
        x = jnp.tanh(x @ weight + bias)
    return 0.5 * jnp.mean(jnp.square((x @ last + shift)[:, 0] - y))


slopes = jax.grad(loss)


def _less(weights: Weights, lr: float, direction: Weights) -> Weights:
    return jax.tree.map(lambda w, g: w - lr * g, weights, direction)


def fomaml(weights: Weights, task: Task, steps: int, lr: float) -> Weights:
    """First-order MAML: the query gradient at the adapted weights."""
    sx, sy, qx, qy = task
    adapted = lax.fori_loop(0, steps, lambda _, w: _less(w, lr, slopes(w, sx, sy)), weights)
    return slopes(adapted, qx, qy)


def maml_reverse(weights: Weights, task: Task, steps: int, lr: float) -> Weights:
    """MAML by reverse mode through a scan over the steps."""
    sx, sy, qx, qy = task

    def adapted_loss(start: Weights) -> Any:
        def step(w: Weights, _: None) -> tuple[Weights, None]:
            return _less(w, lr, slopes(w, sx, sy)), None

        adapted, _ = lax.scan(step, start, length=steps)
        return loss(adapted, qx, qy)

    return jax.grad(adapted_loss)(weights)


def maml_sweep(weights: Weights, task: Task, steps: int, lr: float) -> Weights:
    """MAML by stored states and a scan back over them: lam - lr Hess(u_k) lam."""
    sx, sy, qx, qy = task
    inner = partial(slopes, x=sx, y=sy)

    def step(w: Weights, _: None) -> tuple[Weights, Weights]:
        return _less(w, lr, inner(w)), w

    def back(lam: Weights, state: Weights) -> tuple[Weights, None]:
        _, curved = jax.jvp(inner, (state,), (lam,))
        return _less(lam, lr, curved), None

    adapted, states = lax.scan(step, weights, length=steps)
    lam, _ = lax.scan(back, slopes(adapted, qx, qy), states, reverse=True)
    return lam


def _at_once(gradient: Callable[[Task], Weights], tasks: Task) -> Weights:
    return jax.vmap(gradient)(tasks)


def _in_turn(gradient: Callable[[Task], Weights], tasks: Task) -> Weights:
    return lax.map(gradient, tasks)


PEERS: dict[str, tuple[Peer, Callable[..., Weights]]] = {
    "jax_fomaml": (fomaml, _at_once),
    "jax_maml": (maml_reverse, _in_turn),
    "jax_sweep": (maml_sweep, _at_once),
}


class JaxUpdate:
    """Meta-updates of a peer, Adam's step included; compiled when it is made.

    Attributes:
        compiled: `compile_seconds`, what that took once, and `peak_tensor_bytes`, of what an
            update holds beyond its inputs, as the compiler allots it.
    """

    def __init__(self, name: str, work: Work, inner_steps: int, lr: float, outer_lr: float):
        peer, over_tasks = PEERS[name]
        self._double = work.theta.dtype == torch.float64
        leaves = [leaf.detach().numpy() for leaf in network(work).parameters()]
        support, query = work.batch.support, work.batch.query
        sides = (support.x, support.y, query.x, query.y)

        def update(state: Any, tasks: Task) -> Any:
            weights, first, second, count = state
            each = over_tasks(lambda task: peer(weights, task, inner_steps, lr), tasks)
            gradient = jax.tree.map(lambda g: g.mean(0), each)
            return _adam(weights, first, second, count + 1, gradient, outer_lr), gradient

        with jax.enable_x64(self._double):
            pairs = zip(leaves[::2], leaves[1::2], strict=True)
            weights = [(jnp.array(weight.T), jnp.array(bias)) for weight, bias in pairs]
            zero = jax.tree.map(jnp.zeros_like, weights)
            self._state = (weights, zero, zero, jnp.zeros((), weights[0][0].dtype))
            self._tasks = tuple(jnp.array(side.numpy()) for side in sides)
            lowered = jax.jit(update).lower(self._state, self._tasks)
            began = time.perf_counter()
            self._update = lowered.compile()
            took = time.perf_counter() - began
        plan = self._update.memory_analysis()
        held: int = plan.temp_size_in_bytes + plan.output_size_in_bytes
        self.compiled = {"compile_seconds": took, "peak_tensor_bytes": held}
        self._gradient: Weights = zero

    def run(self) -> None:
        with jax.enable_x64(self._double):
            found = self._update(self._state, self._tasks)
            self._state, self._gradient = jax.block_until_ready(found)

    def gradient(self) -> torch.Tensor:
        """The last update's meta-gradient (P,)."""
        parts = [np.ravel(part) for weight, bias in self._gradient for part in (weight.T, bias)]
        return torch.from_numpy(np.concatenate(parts))


def _adam(
    weights: Weights, first: Weights, second: Weights, count: Any, gradient: Weights, lr: float
) -> Any:
    """The state after step number `count` of Adam."""
    b1, b2, eps = ADAM
    first = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, first, gradient)
    second = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, second, gradient)

    def moved(w: Any, m: Any, v: Any) -> Any:
        return w - lr * m / (1 - b1**count) / (jnp.sqrt(v / (1 - b2**count)) + eps)

    return jax.tree.map(moved, weights, first, second), first, second, count
