"""The multilayer perceptron: one output, smooth activations, gradients in closed form."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.core.activations import ACTIVATIONS
from pipeline.core.ambient import ordinary, own_modes
from pipeline.core.closed_forms import PackedLoss, PackedPoint
from pipeline.core.coordinates import PackedCoordinates, Packing, touched_columns
from pipeline.core.tasks import Rows


class MLP:
    """Linear-f-...-Linear with one output; P parameters in the order of `nn.Sequential`.

    Args:
        in_features: D, or the number of items when inputs are item indices.
        hidden: widths of the hidden layers.
        activation: `tanh`, `softplus` or `sin`.
    """

    capturable = True

    def __init__(
        self, in_features: int, hidden: Sequence[int] = (32, 32), activation: str = "tanh"
    ) -> None:
        widths = [in_features, *hidden, 1]
        if min(widths) < 1 or not hidden:
            raise ValueError(f"layer widths must be positive, with a hidden layer; found {widths}.")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation '{activation}' is none of {', '.join(ACTIVATIONS)}.")
        self.in_features = in_features
        self.activation = ACTIVATIONS[activation]
        self.shapes = [(out, into) for into, out in pairwise(widths)]
        self.n_parameters = sum(out * into + out for out, into in self.shapes)
        self._dense: dict[torch.device, Packing] = {}

    def init(
        self,
        generator: torch.Generator,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Initial parameters (P,): `nn.Linear`'s, uniform in ±1/sqrt(fan-in)."""
        parts = []
        for out, into in self.shapes:
            bound = 1 / math.sqrt(into)
            size = out * into + out
            draw = torch.rand(size, generator=generator, dtype=torch.float64)
            parts.append((2 * draw - 1) * bound)
        return torch.cat(parts).to(dtype=dtype, device=device)

    def coordinates(self, theta: Tensor, support: Rows, query: Rows | None) -> PackedCoordinates:
        """Packed parameters of tasks that start from theta (S, P), seed by seed.

        For item indices only the columns that support or query rows touch are packed.

        Raises:
            ValueError: when the inputs have another width than the model.
        """
        sides = [support] if query is None else [support, query]
        packing, losses = self._packed(sides)
        start = packing.pack(theta, len(support.y))
        return PackedCoordinates(start, losses[0], losses[-1], packing, theta)

    def loss(self, rows: Rows) -> "MLPLoss":
        """Half the weighted mean of squared errors on rows of B tasks, at parameters (B, P).

        Raises:
            ValueError: when the inputs have another width than the model.
        """
        return MLPLoss(*self._packed([rows]))

    def predict(self, u: Tensor, x: Tensor) -> Tensor:
        """Predictions (B, N) at u (B, P) on x, (B, N, D) or item indices (B, N)."""
        with own_modes(u.device, graph=True):
            u, x = ordinary(u), ordinary(x)
            zeros = u.new_zeros(x.shape[:2])
            return self.loss(Rows(x, zeros, zeros)).at(u).packed.errors()

    def _packed(self, sides: Sequence[Rows]) -> tuple[Packing, list[PackedLoss]]:
        """The packing of a batch, and the loss of each side in it."""
        for rows in sides:
            self._check(rows)
        columns = None
        inputs: Sequence[Tensor]
        if sides[0].is_indexed:
            together = torch.cat([rows.x for rows in sides], 1)
            columns, local = touched_columns(together, self.in_features)
            inputs = [
                _one_hot(part, columns.shape[1], rows.y)
                for part, rows in zip(
                    local.split([rows.x.shape[1] for rows in sides], 1), sides, strict=True
                )
            ]
            packing = Packing(self.shapes, columns, columns.device)
        else:
            inputs = [torch.cat([rows.x, torch.ones_like(rows.x[..., :1])], 2) for rows in sides]
            device = sides[0].x.device
            if device not in self._dense:
                self._dense[device] = Packing(self.shapes, None, device)
            packing = self._dense[device]
        widths = [inputs[0].shape[2] - 1, *(out for out, _ in self.shapes)]
        return packing, [
            PackedLoss(widths, self.activation, x, rows.y, rows.weight)
            for x, rows in zip(inputs, sides, strict=True)
        ]

    def _check(self, rows: Rows) -> None:
        found = int(rows.x.max()) + 1 if rows.is_indexed else rows.x.shape[2]
        if found > self.in_features or (not rows.is_indexed and found != self.in_features):
            raise ValueError(
                f"inputs have {found} {'items' if rows.is_indexed else 'features'}, "
                f"the model was made for {self.in_features}."
            )


class MLPLoss:
    """A loss at parameters in the model's own order: packs them, and unpacks what it finds."""

    def __init__(self, packing: Packing, losses: Sequence[PackedLoss]) -> None:
        self._packing = packing
        (self._packed,) = losses

    def select(self, tasks: Tensor | slice) -> "MLPLoss":
        return MLPLoss(self._packing.select(tasks), [self._packed.select(tasks)])

    def at(self, u: Tensor) -> "MLPPoint":
        return MLPPoint(self._packing, self._packed.at(self._packing.pack(u, len(u))))

    def at_states(self, states: Sequence[Tensor]) -> "list[MLPPoint]":
        return [self.at(u) for u in states]

    def point_bytes(self, u: Tensor) -> int:
        return self._packed.point_bytes(u)


class MLPPoint:
    """A point of an `MLPLoss`; `packed` is the one that knows."""

    def __init__(self, packing: Packing, packed: PackedPoint) -> None:
        self._packing = packing
        self.packed = packed

    def value(self) -> Tensor:
        """L_b, shape (B,)."""
        return self.packed.value()

    def gradient(self) -> Tensor:
        """dL_b/du_b, shape (B, P)."""
        found = self.packed.gradient()
        return self._packing.mean(found, len(found))

    def hvp(self, v: Tensor) -> Tensor:
        """Hessian of L_b times v_b, shape (B, P)."""
        return self._packing.mean(self.packed.hvp(self._packing.pack(v, len(v))), len(v))


def _one_hot(local: Tensor, columns: int, like: Tensor) -> Tensor:
    """Rows (R, N, C + 1) with a one in the column of each row's item, and a column of ones."""
    x = like.new_zeros(*local.shape, columns + 1)
    x.scatter_(2, local.unsqueeze(2), 1.0)
    x[..., columns] = 1.0
    return x
