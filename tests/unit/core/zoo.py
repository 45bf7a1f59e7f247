"""Layers of `torch.nn` in small regressors of inputs (N, 8), or items (N,): right or refused."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

ITEMS = 7


class Shaped(nn.Module):
    """`layer` on inputs viewed as (N, *shape), then a smooth activation and a linear head."""

    def __init__(self, layer: nn.Module, *shape: int) -> None:
        super().__init__()
        self.layer, self.shape = layer, shape or (8,)
        width = self._inside(torch.zeros(3, 8)).shape[1]
        self.head = nn.Linear(width, 1)

    def _inside(self, x: Tensor) -> Tensor:
        found: Any = self.layer(x.view(-1, *self.shape) if x.is_floating_point() else x)
        found = found[0] if isinstance(found, tuple) else found
        return torch.tanh(found).flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self._inside(x)).squeeze(-1)


class Items(Shaped):
    """The same of item indices."""

    def __init__(self, layer: nn.Module) -> None:
        nn.Module.__init__(self)
        self.layer, self.shape = layer, ()
        self.head = nn.Linear(3, 1)


class Bags(nn.Module):
    """An `EmbeddingBag` gets its rows as (N, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(ITEMS, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.bag(x.unsqueeze(1))


class Attention(nn.Module):
    """Rows of a task attend to one another: a transductive regressor."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return found


class Loop(nn.Module):
    """A cell over four steps of two numbers."""

    def __init__(self, cell: nn.Module) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor) -> Tensor:
        state: Any = None
        for step in x.unbind(1):
            state = self.cell(step, state)
        found: Tensor = state[0] if isinstance(state, tuple) else state
        return found


class Tied(nn.Module):
    """Two layers that share a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(8, 8), nn.Linear(8, 8)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.second(torch.tanh(self.first(x)))


class Buffered(nn.Module):
    """Scales by a buffer, and has a parameter that stays as it is."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 8))
        self.fixed = nn.Parameter(torch.full((8,), 0.3), requires_grad=False)
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x * self.scale) + self.fixed


class Branching(nn.Module):
    """Goes another way with the numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        found = self.inner(x)
        return found if found.sum() > 0 else -found


class Counting(nn.Module):
    """Counts its calls in a buffer, and in an attribute."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))
        self.times = 0
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.times += 1
        return self.inner(x)


def after_linear(layer: nn.Module) -> nn.Module:
    return Shaped(nn.Sequential(nn.Linear(8, 8), layer))


def encoder(**more: Any) -> nn.Module:
    return Shaped(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, **more))


# right: every method's meta-gradient, to 1e-6
RIGHT: dict[str, Callable[[], nn.Module]] = {
    "Linear": lambda: after_linear(nn.Linear(8, 8)),
    "Conv1d": lambda: Shaped(nn.Conv1d(2, 3, 3), 2, 4),
    "Conv2d": lambda: Shaped(nn.Conv2d(2, 3, 2), 2, 2, 2),
    "Embedding": lambda: Items(nn.Embedding(ITEMS, 3)),
    "LayerNorm": lambda: after_linear(nn.LayerNorm(8)),
    "GroupNorm": lambda: after_linear(nn.GroupNorm(2, 8)),
    "RMSNorm": lambda: after_linear(nn.RMSNorm(8)),
    "InstanceNorm1d": lambda: Shaped(nn.InstanceNorm1d(2, affine=True), 2, 4),
    "BatchNorm1d eval": lambda: after_linear(nn.BatchNorm1d(8)).eval(),
    "BatchNorm1d of the rows": lambda: after_linear(nn.BatchNorm1d(8, track_running_stats=False)),
    "MultiheadAttention": lambda: Shaped(Attention()),
    "TransformerEncoderLayer": lambda: encoder(dropout=0.0, activation="gelu"),
    "TransformerEncoderLayer eval": lambda: encoder(activation="gelu").eval(),
    "GRU": lambda: Shaped(nn.GRU(2, 5, batch_first=True), 4, 2),
    "LSTM": lambda: Shaped(nn.LSTM(2, 5, batch_first=True), 4, 2),
    "RNN": lambda: Shaped(nn.RNN(2, 5, batch_first=True), 4, 2),
    "GRUCell": lambda: Shaped(Loop(nn.GRUCell(2, 5)), 4, 2),
    "LSTMCell": lambda: Shaped(Loop(nn.LSTMCell(2, 5)), 4, 2),
    "RNNCell": lambda: Shaped(Loop(nn.RNNCell(2, 5)), 4, 2),
    "spectral norm eval": lambda: Shaped(parametrizations.spectral_norm(nn.Linear(8, 8))).eval(),
    "tied weights": lambda: Shaped(Tied()),
    "buffers, fixed parameters": lambda: Shaped(Buffered()),
    "Dropout eval": lambda: after_linear(nn.Dropout(0.3)).eval(),
    "GELU": lambda: after_linear(nn.GELU()),
    "SiLU": lambda: after_linear(nn.SiLU()),
}
# refused, with what the message says
REFUSED: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "BatchNorm1d": (lambda: after_linear(nn.BatchNorm1d(8)), r"GroupNorm"),
    "Dropout": (lambda: after_linear(nn.Dropout(0.3)), r"\.eval\(\)"),
    "TransformerEncoderLayer": (encoder, r"\.eval\(\)"),
    "spectral norm": (lambda: Shaped(parametrizations.spectral_norm(nn.Linear(8, 8))), r"\.eval"),
    "branch": (lambda: Shaped(Branching()), "data-dependent"),
    "sparse": (lambda: Items(nn.Embedding(ITEMS, 3, sparse=True)), "sparse=False"),
}
# right for methods without second derivatives, refused for the others
FIRST_ORDER: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "weight norm": (lambda: Shaped(parametrizations.weight_norm(nn.Linear(8, 8))), "Weight norm"),
    "EmbeddingBag": (lambda: Items(Bags()), "a sum or mean"),
}


def made(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """In float64, away from the special values that layers start from."""
    torch.manual_seed(seed)
    module = make().double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return module
