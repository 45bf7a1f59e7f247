"""The multilayer perceptron in closed form: gradients and Hessian-vector products of all
tasks at once, in a few batched matrix products.

Notation (R-operator: Pearlmutter, Neural Computation 6(1), 1994): z_l = a_{l-1} W_l^T + b_l,
a_l = f(z_l), prediction z_L; delta_l = dL/dz_l, g_l = dL/da_l; R{.} is the derivative in
direction v = (V_1, c_1, ..., V_L, c_L). Tensors of a layer have shape (B, N, width).
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.core.activations import ACTIVATIONS
from pipeline.core.tasks import Rows

Layer = tuple[Tensor, Tensor]  # transposed weight (B, in, out), bias (B, 1, out)


class MLP:
    """Linear-f-...-Linear with one output; P parameters in the order of `nn.Sequential`.

    Args:
        in_features: D, or the number of items when inputs are item indices.
        hidden: widths of the hidden layers.
        activation: `tanh`, `softplus` or `sin`.
    """

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

    def layers(self, u: Tensor) -> list[Layer]:
        """Views of u (B, P): transposed weights (B, in, out) and biases (B, 1, out)."""
        batch, stride, offset = u.shape[0], u.stride(0), u.storage_offset()
        views = []
        for out, into in self.shapes:
            # as_strided: one call a view, and these views are made hundreds of times a second
            weight = u.as_strided((batch, into, out), (stride, 1, into), offset)
            offset += out * into
            views.append((weight, u.as_strided((batch, 1, out), (stride, out, 1), offset)))
            offset += out
        return views

    def predict(self, u: Tensor, x: Tensor) -> Tensor:
        """Predictions (B, N) at u (B, P) on x, (B, N, D) or item indices (B, N)."""
        first, *later = self.layers(u)
        z = self.first_layer(first, x)
        for weight, bias in later:
            z = (self.activation.value(z) @ weight).add_(bias)
        return z.squeeze(2)

    def first_layer(self, layer: Layer, x: Tensor) -> Tensor:
        """z_1 (B, N, H): a product, or a gather of columns for item indices."""
        weight, bias = layer
        if x.is_floating_point():
            return torch.bmm(x, weight).add_(bias)
        index = x.unsqueeze(2).expand(-1, -1, weight.shape[2])
        return weight.gather(1, index).add_(bias)

    def first_weight(self, delta: Tensor, x: Tensor) -> Tensor:
        """delta^T x (B, H, D): a product, or a scatter into columns for item indices."""
        if x.is_floating_point():
            return delta.mT @ x
        batch, _, width = delta.shape
        columns = delta.new_zeros(batch, self.in_features, width)
        return columns.scatter_add(1, x.unsqueeze(2).expand(-1, -1, width), delta).mT

    def loss(self, rows: Rows) -> "MLPLoss":
        """Half the weighted mean of squared errors on rows of B tasks.

        Raises:
            ValueError: when the inputs have another width than the model.
        """
        found = int(rows.x.max()) + 1 if rows.is_indexed else rows.x.shape[2]
        if found > self.in_features or (not rows.is_indexed and found != self.in_features):
            raise ValueError(
                f"inputs have {found} {'items' if rows.is_indexed else 'features'}, "
                f"the model was made for {self.in_features}."
            )
        return MLPLoss(self, rows)


class MLPLoss:
    """L_b(u) = 1/2 sum_i weight_bi (yhat_bi(u_b) - y_bi)²."""

    def __init__(self, model: MLP, rows: Rows) -> None:
        self.model = model
        self.rows = rows
        self.y = rows.y.unsqueeze(2)
        self.weight = rows.weight.unsqueeze(2)

    def at(self, u: Tensor) -> "MLPPoint":
        return MLPPoint(self, u)

    def at_states(self, states: Sequence[Tensor]) -> "list[MLPPoint]":
        """One batch of len(states) * B tasks, cut into points that share its storage."""
        if len(states) == 1:
            return [self.at(states[0])]
        count, batch = len(states), len(states[0])
        rows = Rows(*(_repeated(v, count) for v in (self.rows.x, self.rows.y, self.rows.weight)))
        whole = MLPPoint(MLPLoss(self.model, rows), torch.cat(list(states)))
        whole.deltas()
        cuts = [slice(k * batch, (k + 1) * batch) for k in range(count)]
        return [whole.cut(self, u, cut) for u, cut in zip(states, cuts, strict=True)]

    def point_bytes(self, u: Tensor) -> int:
        """a_l, delta_l and f''(z_l) g_l of every hidden layer, and the errors."""
        widths = sum(out for out, _ in self.model.shapes[:-1])
        return self.y.numel() * (3 * widths + 2) * u.element_size()


class MLPPoint:
    """Activations of one forward and backward pass, shared by all that is asked at u."""

    def __init__(self, loss: MLPLoss, u: Tensor) -> None:
        self._loss = loss
        self._layers = loss.model.layers(u)
        first, *later = self._layers
        activation = loss.model.activation
        z = loss.model.first_layer(first, loss.rows.x)
        self._kept = []  # per hidden layer: what the activation's derivatives need
        self._a = []  # per hidden layer: a_l
        for weight, bias in later:
            a = activation.value(z)
            self._a.append(a)
            self._kept.append(activation.keep(z, a))
            z = torch.bmm(a, weight).add_(bias)
        self._error = z - loss.y
        self._deltas: list[Tensor] | None = None
        self._keeps_g = activation.needs_g
        self._g: list[Tensor] = []  # per hidden layer: dL/da_l, where f'' needs it
        self._curvatures: list[Tensor] | None = None

    def cut(self, loss: MLPLoss, u: Tensor, rows: slice) -> "MLPPoint":
        """The tasks `rows` of a larger batch as a point of `loss` at u; no tensor is copied."""
        point = MLPPoint.__new__(MLPPoint)
        point._loss = loss
        point._layers = loss.model.layers(u)
        point._kept = [value[rows] for value in self._kept]
        point._a = [value[rows] for value in self._a]
        point._error = self._error[rows]
        point._deltas = [value[rows] for value in self.deltas()]
        point._g = [value[rows] for value in self._g]
        point._curvatures = None
        point._keeps_g = self._keeps_g
        return point

    def value(self) -> Tensor:
        """L_b, shape (B,)."""
        return 0.5 * (self._loss.weight * self._error.square()).sum((1, 2))

    def deltas(self) -> list[Tensor]:
        """delta_1, ..., delta_L, each (B, N, width)."""
        if self._deltas is None:
            backward = self._loss.model.activation.backward
            deltas = [self._loss.weight * self._error]
            for (weight, _), kept in zip(self._layers[:0:-1], self._kept[::-1], strict=True):
                g = torch.bmm(deltas[-1], weight.mT)
                deltas.append(backward(g, kept))
                if self._keeps_g:
                    self._g.append(g)
            self._deltas, self._g = deltas[::-1], self._g[::-1]
        return self._deltas

    def gradient(self) -> Tensor:
        """dL_b/du_b, shape (B, P)."""
        deltas = self.deltas()
        parts = [self._loss.model.first_weight(deltas[0], self._loss.rows.x).flatten(1)]
        parts.append(deltas[0].sum(1))
        for delta, a in zip(deltas[1:], self._a, strict=True):
            parts += [torch.bmm(delta.mT, a).flatten(1), delta.sum(1)]
        return torch.cat(parts, dim=1)

    def hvp(self, v: Tensor) -> Tensor:
        """Hessian of L_b times v_b, shape (B, P): R{gradient}."""
        model, x = self._loss.model, self._loss.rows.x
        backward = model.activation.backward
        deltas = self.deltas()
        if self._curvatures is None:  # f''(z_l) g_l
            gs: Sequence[Tensor | None] = self._g or [None] * len(self._kept)
            self._curvatures = [
                model.activation.curvature(g, delta, kept)
                for g, delta, kept in zip(gs, deltas[:-1], self._kept, strict=True)
            ]
        directions = model.layers(v)
        rz = [model.first_layer(directions[0], x)]
        ra = []
        for (weight, _), (v_weight, v_bias), a, kept in zip(
            self._layers[1:], directions[1:], self._a, self._kept, strict=True
        ):
            ra.append(backward(rz[-1], kept))
            rz.append(torch.bmm(a, v_weight).baddbmm_(ra[-1], weight).add_(v_bias))

        r_delta = self._loss.weight * rz[-1]
        parts: list[Tensor] = []
        for index in range(len(self._layers) - 1, 0, -1):
            delta, a = deltas[index], self._a[index - 1]
            r_weight = torch.bmm(r_delta.mT, a).baddbmm_(delta.mT, ra[index - 1])
            parts += [r_delta.sum(1), r_weight.flatten(1)]
            r_g = torch.bmm(r_delta, self._layers[index][0].mT)
            r_g.baddbmm_(delta, directions[index][0].mT)
            r_delta = backward(r_g, self._kept[index - 1])
            r_delta.addcmul_(self._curvatures[index - 1], rz[index - 1])
        parts += [r_delta.sum(1), model.first_weight(r_delta, x).flatten(1)]
        return torch.cat(parts[::-1], dim=1)


def _repeated(values: Tensor, count: int) -> Tensor:
    """`count` copies one after another along the first axis."""
    return values.repeat(count, *([1] * (values.ndim - 1)))
