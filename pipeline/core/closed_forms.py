"""Gradients and Hessian-vector products of multilayer perceptrons, all tasks at once, in a few
batched matrix products.

Notation (R-operator: Pearlmutter, Neural Computation 6(1), 1994): z_l = a_{l-1} W_l^T + b_l,
a_l = f(z_l), outputs z_L of C units; delta_l = dL/dz_l, g_l = dL/da_l; R{.} is the derivative in
direction v = (V_1, c_1, ..., V_L, c_L).

Parameters are packed: layer l is the block [W_l^T; b_l], shape (in + 1, out), one block after
another, so that inputs with a column of ones need one product for weight and bias, and every
gradient is contiguous; the last block is W_L, then b_L. `coordinates.py` packs and unpacks.
Tensors of a hidden layer have shape (B, N, width); outputs and targets (B, C, N), classes and
weights (B, 1, N).
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.core.activations import Activation
from pipeline.core.losses import OutputLoss

# of a hidden layer: W^T (B, in, out), W (B, out, in), b (B, 1, out); the first has its bias as
# the last row of W^T and nothing more, the last has W (B, C, in) and b (B, C, 1) only
Layer = tuple[Tensor, Tensor, Tensor]


class PackedLoss:
    """L_b(u) = sum_i weight_bi l(z_bi(u_b), y_bi) at packed parameters u (B, P).

    Args:
        widths: inputs (without the ones), hidden layers, outputs C.
        loss: l.
        x: inputs with a last column of ones, (B, N, widths[0] + 1).
        y: (B, C, N), of classes (B, 1, N).
        weight: (B, 1, N).
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: Activation,
        loss: OutputLoss,
        x: Tensor,
        y: Tensor,
        weight: Tensor,
    ) -> None:
        self.widths = tuple(widths)
        self.activation = activation
        self.loss = loss
        self.x = x
        self.x_t = x.mT
        self.x_gain = x * activation.gain if activation.gain != 1 else x
        self.y = y
        self.weight = weight
        self._copies: dict[int, PackedLoss] = {}

    def at(self, u: Tensor) -> "PackedPoint":
        return PackedPoint(self, u)

    def at_states(self, states: Sequence[Tensor]) -> "list[PackedPoint]":
        """One batch of len(states) * B tasks, cut into points that share its storage."""
        if len(states) == 1:
            return [self.at(states[0])]
        count, batch = len(states), len(states[0])
        whole = PackedPoint(self._repeated(count), torch.cat(list(states)))
        whole.deltas()
        cuts = [slice(k * batch, (k + 1) * batch) for k in range(count)]
        return [whole.cut(self, u, cut) for u, cut in zip(states, cuts, strict=True)]

    def copy(self) -> "PackedLoss":
        """The same loss on rows of its own."""
        return self._on(*(values.clone() for values in self._rows))

    @property
    def _rows(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.x, self.y, self.weight

    def _on(self, x: Tensor, y: Tensor, weight: Tensor) -> "PackedLoss":
        """The same loss on other rows."""
        return PackedLoss(self.widths, self.activation, self.loss, x, y, weight)

    def tensors(self) -> list[Tensor]:
        """All that depends on the rows."""
        return [self.x, self.x_gain, self.y, self.weight]

    def replace_rows(self, other: "PackedLoss") -> None:
        """Take over the rows of a loss of the same shapes; tensors stay where they are."""
        self._copies.clear()
        for mine, new in zip(self.tensors(), other.tensors(), strict=True):
            mine.copy_(new)

    def _repeated(self, count: int) -> "PackedLoss":
        """The loss of `count` copies of the tasks; rows are copied for the largest count only."""
        if count not in self._copies:
            most = max(self._copies, default=0)
            if count < most:
                self._copies[count] = self._copies[most].select(slice(0, count * len(self.x)))
            else:
                copies = (values.repeat(count, 1, 1) for values in self._rows)
                self._copies = {count: self._on(*copies)}
        return self._copies[count]

    def select(self, tasks: Tensor | slice) -> "PackedLoss":
        """The loss of some of the tasks: a slice, or task numbers (K,)."""
        part = self._on(*(values[tasks] for values in self._rows))
        if isinstance(tasks, slice):
            part.x_gain = self.x_gain[tasks]  # shared like the rest
        return part

    def point_bytes(self, u: Tensor) -> int:
        """a_l and delta_l of every hidden layer (and g_l or f' where needed), the outputs and
        their delta, and the rows, which `at_states` copies for every point.
        """
        kept, rows = (2, 2) if self.activation.gain != 1 else (4, 1)
        numbers = kept * sum(self.widths[1:-1]) + 2 * self.widths[-1] + rows * self.x.shape[2]
        numbers += self.y.shape[1] + 1
        return self.weight.numel() * numbers * u.element_size()

    def layers(self, u: Tensor) -> list[Layer]:
        """Views of u (B, P), made with `as_strided`: thousands of them are wanted a second."""
        batch, stride, offset = u.shape[0], u.stride(0), u.storage_offset()
        into, out = self.widths[:2]
        first = u.as_strided((batch, into + 1, out), (stride, out, 1), offset)
        offset += (into + 1) * out
        views = [(first, first, first)]
        for into, out in pairwise(self.widths[1:-1]):
            row = u.as_strided((batch, out, into), (stride, 1, out), offset)
            column = u.as_strided((batch, into, out), (stride, out, 1), offset)
            offset += into * out
            views.append((column, row, u.as_strided((batch, 1, out), (stride, out, 1), offset)))
            offset += out
        into, out = self.widths[-2:]
        # of one output a vector, which BLAS takes as such by its stride
        along = into if out > 1 else 1
        row = u.as_strided((batch, out, into), (stride, along, 1), offset)
        bias = u.as_strided((batch, out, 1), (stride, 1, 1), offset + into * out)
        return [*views, (row, row, bias)]


class PackedPoint:
    """Activations of one forward and backward pass, shared by all that is asked at u."""

    def __init__(self, loss: PackedLoss, u: Tensor) -> None:
        self._loss = loss
        self._layers = layers = loss.layers(u)
        activation = loss.activation
        gain, last = activation.gain, len(layers) - 1
        z = torch.bmm(loss.x_gain, layers[0][0])
        self._kept = []  # per hidden layer: what the activation's derivatives need
        self._a = []  # per hidden layer: a_l
        for number in range(1, last + 1):
            column, row, bias = layers[number]
            a = activation.value(z)
            self._a.append(a)
            self._kept.append(activation.keep(z, a))
            if number < last:
                z = torch.baddbmm(bias, a, column, beta=gain, alpha=gain)
            else:
                shift = bias - loss.y if loss.loss.of_errors else bias
                self._output = torch.baddbmm(shift, row, a.mT)
        self._deltas: list[Tensor] | None = None
        self._g: list[Tensor] = []  # per hidden layer: dL/da_l, where f'' needs it

    def cut(self, loss: PackedLoss, u: Tensor, tasks: slice) -> "PackedPoint":
        """Some tasks of a larger batch as a point of `loss` at u; no tensor is copied."""
        point = PackedPoint.__new__(PackedPoint)
        point._loss = loss
        point._layers = loss.layers(u)
        point._kept = [value[tasks] for value in self._kept]
        point._a = [value[tasks] for value in self._a]
        point._output = self._output[tasks]
        point._deltas = [value[tasks] for value in self.deltas()]
        point._g = [value[tasks] for value in self._g]
        return point

    def outputs(self) -> Tensor:
        """z_L, (B, C, N); where the loss is one of errors, less the targets."""
        return self._output

    def value(self) -> Tensor:
        """L_b, shape (B,)."""
        of_rows = self._loss.loss.value(self._output, self._loss.y)
        return (self._loss.weight.squeeze(1) * of_rows).sum(1)

    def deltas(self) -> list[Tensor]:
        """delta_1, ..., delta_L: (B, N, width), the last (B, C, N)."""
        if self._deltas is None:
            activation = self._loss.activation
            slope = self._loss.loss.slope(self._output, self._loss.y)
            deltas = [self._loss.weight * slope]
            g = _through(deltas[0], self._layers[-1][1])
            for number in range(len(self._a) - 1, -1, -1):
                if activation.needs_g:
                    self._g.insert(0, g)
                deltas.append(activation.backward(g, self._kept[number]))
                if number:
                    g = torch.bmm(deltas[-1], self._layers[number][1])
            self._deltas = deltas[::-1]
        return self._deltas

    def gradient(self) -> Tensor:
        """dL_b/du_b, shape (B, P)."""
        deltas = self.deltas()
        parts = [torch.bmm(self._loss.x_t, deltas[0]).flatten(1)]
        for a, delta in zip(self._a, deltas[1:-1], strict=False):
            parts += [torch.bmm(a.mT, delta).flatten(1), delta.sum(1)]
        parts += [torch.bmm(deltas[-1], self._a[-1]).flatten(1), deltas[-1].sum(2)]
        return torch.cat(parts, dim=1)

    def hvp(self, v: Tensor) -> Tensor:
        """Hessian of L_b times v_b, shape (B, P): R{gradient}."""
        activation, kept = self._loss.activation, self._kept
        deltas, layers = self.deltas(), self._layers
        directions = self._loss.layers(v)
        last = len(layers) - 1
        rz, ra = [torch.bmm(self._loss.x, directions[0][0])], []
        for number in range(1, last):
            ra.append(activation.backward(rz[-1], kept[number - 1]))
            v_column, _, v_bias = directions[number]
            z = torch.baddbmm(v_bias, self._a[number - 1], v_column)
            rz.append(z.baddbmm_(ra[-1], layers[number][0]))
        ra.append(activation.backward(rz[-1], kept[-1]))
        row, (_, v_row, v_bias) = layers[-1][1], directions[-1]
        output = torch.bmm(v_row, self._a[-1].mT).baddbmm_(row, ra[-1].mT)
        output = self._loss.loss.product(self._output, output.add_(v_bias))
        r_delta = output.mul_(self._loss.weight)
        delta = deltas[-1]
        parts = [
            r_delta.sum(2),
            torch.bmm(r_delta, self._a[-1]).baddbmm_(delta, ra[-1]).flatten(1),
        ]
        r_g = _through(r_delta, row)
        if len(delta[0]) == 1:
            r_g.addcmul_(delta.mT, v_row)
        else:
            r_g.baddbmm_(delta.mT, v_row)
        for number in range(last - 1, -1, -1):
            delta = deltas[number]
            r_delta = activation.backward(r_g, kept[number])
            g = self._g[number] if self._g else None
            activation.bend(r_delta, rz[number], g, delta, kept[number])
            if number:
                below = number - 1
                r_weight = torch.bmm(self._a[below].mT, r_delta).baddbmm_(ra[below].mT, delta)
                parts += [r_delta.sum(1), r_weight.flatten(1)]
                r_g = torch.bmm(r_delta, layers[number][1])
                r_g.baddbmm_(delta, directions[number][1])
        parts.append(torch.bmm(self._loss.x_t, r_delta).flatten(1))
        return torch.cat(parts[::-1], dim=1)


def _through(delta: Tensor, row: Tensor) -> Tensor:
    """From outputs (B, C, N) to the layer below, (B, N, in); of one output an outer product."""
    return delta.mT * row if len(delta[0]) == 1 else torch.bmm(delta.mT, row)
