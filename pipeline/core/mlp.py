"""The multilayer perceptron: smooth activations, named losses, gradients in closed form."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.core.activations import ACTIVATIONS
from pipeline.core.ambient import ordinary, own_modes
from pipeline.core.closed_forms import PackedLoss, PackedPoint
from pipeline.core.coordinates import PackedCoordinates, Packing, touched_columns
from pipeline.core.losses import LOSSES, check_classes, check_loss
from pipeline.core.tasks import Rows


class MLP:
    """Linear-f-...-Linear; P parameters in the order of `nn.Sequential`.

    Args:
        in_features: D, the numbers of an input (B, N, D) or (B, N, ...), which is flattened; or
            the number of items when inputs are item indices.
        hidden: widths of the hidden layers.
        activation: `tanh`, `softplus` or `sin`.
        outputs: C. Targets have shape (B, N), for several outputs (B, N, C).
        loss: `squared`, `huber`, `binary`, or `cross_entropy` of C classes (losses.py), whose
            targets (B, N) are numbers of classes. Predictions of the last two are log odds.

    Raises:
        ValueError: for a network that cannot be.
    """

    capturable = True

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int] = (32, 32),
        activation: str = "tanh",
        *,
        outputs: int = 1,
        loss: str = "squared",
    ) -> None:
        check_loss(loss)
        widths = [in_features, *hidden, outputs]
        if min(widths) < 1 or not hidden:
            raise ValueError(f"layer widths must be positive, with a hidden layer; found {widths}.")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation '{activation}' is none of {', '.join(ACTIVATIONS)}.")
        if LOSSES[loss].of_classes and outputs < 2:
            raise ValueError(f"loss '{loss}' needs an output for each class, found {outputs}.")
        self.in_features = in_features
        self.outputs = outputs
        self.row_loss = LOSSES[loss]
        self.activation = ACTIVATIONS[activation]
        self.shapes = [(out, into) for into, out in pairwise(widths)]
        self.sizes: Sequence[int] = [
            size for out, into in self.shapes for size in (out * into, out)
        ]
        self.n_parameters = sum(self.sizes)
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
            ValueError: when inputs or targets do not fit the model.
        """
        sides = [support] if query is None else [support, query]
        packing, losses = self._packed(sides)
        start = packing.pack(theta, len(support.y))
        return PackedCoordinates(start, losses[0], losses[-1], packing, theta)

    def loss(self, rows: Rows) -> "MLPLoss":
        """The weighted mean of the loss on rows of B tasks, at parameters (B, P).

        Raises:
            ValueError: when inputs or targets do not fit the model.
        """
        return MLPLoss(*self._packed([rows]))

    def predict(self, u: Tensor, x: Tensor) -> Tensor:
        """Predictions (B, N), of several outputs (B, N, C), at u (B, P) on x as in `Rows`."""
        with own_modes(u.device, graph=True):
            u, x = ordinary(u), ordinary(x)
            zeros = u.new_zeros(x.shape[:2])
            several = () if self.outputs == 1 or self.row_loss.of_classes else (self.outputs,)
            kind = torch.int64 if self.row_loss.of_classes else u.dtype
            targets = torch.zeros(*x.shape[:2], *several, dtype=kind, device=u.device)
            found = self.loss(Rows(x, targets, zeros)).at(u).packed.outputs()
            return found.squeeze(1) if self.outputs == 1 else found.mT

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
                _one_hot(part, columns.shape[1], rows.weight)
                for part, rows in zip(
                    local.split([rows.x.shape[1] for rows in sides], 1), sides, strict=True
                )
            ]
            packing = Packing(self.shapes, columns, columns.device)
        else:
            flat = [rows.x.flatten(2) for rows in sides]
            inputs = [torch.cat([x, torch.ones_like(x[..., :1])], 2) for x in flat]
            device = sides[0].x.device
            if device not in self._dense:
                self._dense[device] = Packing(self.shapes, None, device)
            packing = self._dense[device]
        widths = [inputs[0].shape[2] - 1, *(out for out, _ in self.shapes)]
        return packing, [
            PackedLoss(
                widths,
                self.activation,
                self.row_loss,
                x,
                self._targets(rows),
                rows.weight.unsqueeze(1),
            )
            for x, rows in zip(inputs, sides, strict=True)
        ]

    def _targets(self, rows: Rows) -> Tensor:
        """(B, C, N), of classes (B, 1, N)."""
        y = rows.y
        self.row_loss.check(y)
        if y.ndim == 2 and self.row_loss.of_classes:
            check_classes(y, self.outputs)
            return y.unsqueeze(1)
        if y.ndim == 2 and self.outputs == 1:
            return y.unsqueeze(1).to(rows.weight.dtype)
        if y.ndim == 3 and y.shape[2] == self.outputs and not self.row_loss.of_classes:
            return y.mT.to(rows.weight.dtype)
        wanted = "(B, N)" if self.outputs == 1 or self.row_loss.of_classes else "(B, N, C)"
        raise ValueError(
            f"targets have shape {tuple(y.shape)}, the model was made for {self.outputs} outputs: "
            f"needed are targets {wanted}."
        )

    def _check(self, rows: Rows) -> None:
        found = int(rows.x.max()) + 1 if rows.is_indexed else rows.x[0, 0].numel()
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
