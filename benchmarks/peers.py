"""Peers as a user would write them: task by task, plain autograd, no batching.

Each adds the mean meta-gradient of a batch to `.grad` of the network's parameters.
"""

import importlib
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from benchmarks.problem import Work
from pipeline.core import TaskBatch

Task = tuple[Tensor, Tensor, Tensor, Tensor]  # support x (N, D), y (N, 1), query x, y
Peer = Callable[[nn.Sequential, Sequence[Task], int, float], None]


def network(work: Work) -> nn.Sequential:
    """`work.model` as an `nn.Sequential` that starts at `work.theta`."""
    widths = [work.model.in_features, *work.hidden]
    layers: list[nn.Module] = []
    for into, out in pairwise(widths):
        layers += [nn.Linear(into, out), nn.Tanh()]
    net = nn.Sequential(*layers, nn.Linear(widths[-1], 1)).to(work.theta)
    nn.utils.vector_to_parameters(work.theta.clone(), net.parameters())
    return net


def tasks(batch: TaskBatch) -> list[Task]:
    """The batch as a list; rows must weigh alike."""
    sides = (batch.support, batch.query)
    return [
        (sides[0].x[b], sides[0].y[b, :, None], sides[1].x[b], sides[1].y[b, :, None])
        for b in range(len(batch))
    ]


def loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Half the mean squared error."""
    return 0.5 * nn.functional.mse_loss(prediction, target)


def forward(parameters: Sequence[Tensor], x: Tensor) -> Tensor:
    """The tanh network with the given weights and biases."""
    *hidden, last = zip(parameters[::2], parameters[1::2], strict=True)
    for weight, bias in hidden:
        x = torch.tanh(nn.functional.linear(x, weight, bias))
    return nn.functional.linear(x, *last)


def fomaml_loop(net: nn.Sequential, batch: Sequence[Task], steps: int, lr: float) -> None:
    """First-order MAML: the query gradient at the adapted weights."""
    for sx, sy, qx, qy in batch:
        weights = [p.detach().clone().requires_grad_() for p in net.parameters()]
        for _ in range(steps):
            slopes = torch.autograd.grad(loss(forward(weights, sx), sy), weights)
            weights = [
                (w - lr * g).detach().requires_grad_() for w, g in zip(weights, slopes, strict=True)
            ]
        slopes = torch.autograd.grad(loss(forward(weights, qx), qy), weights)
        for parameter, slope in zip(net.parameters(), slopes, strict=True):
            share = slope / len(batch)
            parameter.grad = share if parameter.grad is None else parameter.grad + share


def maml_loop(net: nn.Sequential, batch: Sequence[Task], steps: int, lr: float) -> None:
    """MAML by autograd through the unrolled steps."""
    for sx, sy, qx, qy in batch:
        weights: list[Tensor] = list(net.parameters())
        for _ in range(steps):
            slopes = torch.autograd.grad(loss(forward(weights, sx), sy), weights, create_graph=True)
            weights = [w - lr * g for w, g in zip(weights, slopes, strict=True)]
        (loss(forward(weights, qx), qy) / len(batch)).backward()


def higher_maml(net: nn.Sequential, batch: Sequence[Task], steps: int, lr: float) -> None:
    """MAML with `higher` (Grefenstette et al. 2019)."""
    higher = importlib.import_module("higher")
    inner = torch.optim.SGD(net.parameters(), lr=lr)
    for sx, sy, qx, qy in batch:
        with higher.innerloop_ctx(net, inner, copy_initial_weights=False) as (adapted, descent):
            for _ in range(steps):
                descent.step(loss(adapted(sx), sy))
            (loss(adapted(qx), qy) / len(batch)).backward()


def torchopt_maml(net: nn.Sequential, batch: Sequence[Task], steps: int, lr: float) -> None:
    """MAML with `torchopt.MetaSGD` (Ren et al., JMLR 24, 2023)."""
    torchopt = importlib.import_module("torchopt")
    inner = torchopt.MetaSGD(net, lr=lr)
    start = torchopt.extract_state_dict(net, by="reference", detach_buffers=True)
    fresh = torchopt.extract_state_dict(inner, by="reference")
    for sx, sy, qx, qy in batch:
        for _ in range(steps):
            inner.step(loss(net(sx), sy))
        (loss(net(qx), qy) / len(batch)).backward()
        torchopt.recover_state_dict(net, start)
        torchopt.recover_state_dict(inner, fresh)


class PeerUpdate:
    """Meta-updates of a peer: zero the gradients, add up the tasks', let Adam step."""

    def __init__(self, peer: Peer, work: Work, inner_steps: int, lr: float, outer_lr: float):
        self._peer, self._steps, self._lr = peer, inner_steps, lr
        self._net = network(work)
        self._leaves = list(self._net.parameters())
        self._tasks = tasks(work.batch)
        self._adam = torch.optim.Adam(self._leaves, lr=outer_lr)

    def run(self) -> None:
        self._adam.zero_grad()
        self._peer(self._net, self._tasks, self._steps, self._lr)
        self._adam.step()

    def gradient(self) -> Tensor:
        """The last update's meta-gradient (P,)."""
        parts = [leaf.grad for leaf in self._leaves if leaf.grad is not None]
        return nn.utils.parameters_to_vector(parts)
