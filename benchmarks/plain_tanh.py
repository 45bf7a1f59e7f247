"""The batched tanh network of the prototype: a plain closed form, frozen for comparison.

Nothing of `pipeline.core`'s closed forms is used, so that making those faster does not move the
baseline. Every tensor is made out of place, and a product repeats the passes at its point.

Notation: z_l = a_{l-1} W_l^T + b_l, a_l = tanh z_l, delta_l = dL/dz_l, s_l = 1 - a_l²; R{.} is
the derivative in direction v (Pearlmutter, Neural Computation 6(1), 1994). A layer's tensors
have shape (B, N, width); u, v and results (B, P), in the order of `parameters_to_vector`.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from pipeline.core import Rows

Layer = tuple[Tensor, Tensor]  # weight (B, out, in), bias (B, 1, out)
Passes = tuple[list[Tensor], list[Tensor], list[Tensor]]  # a_0 .. a_{L-1}, s_1 .., delta_1 ..


def layers(u: Tensor, widths: Sequence[int]) -> list[Layer]:
    """Views of u: weight and bias of each layer from `widths`, inputs to output."""
    found, at = [], 0
    for into, out in pairwise(widths):
        weight = u[:, at : at + out * into].view(-1, out, into)
        at += out * into
        found.append((weight, u[:, at : at + out].unsqueeze(1)))
        at += out
    return found


def passes(net: Sequence[Layer], rows: Rows) -> Passes:
    """Forward and backward: activations, slopes of tanh, and delta_l of the loss.

    The loss is half the weighted mean of squared errors.
    """
    a, slopes = [rows.x], []
    for weight, bias in net[:-1]:
        a.append(torch.tanh(torch.baddbmm(bias, a[-1], weight.mT)))
        slopes.append(1 - a[-1].square())
    weight, bias = net[-1]
    z = torch.baddbmm(bias, a[-1], weight.mT)
    deltas = [rows.weight.unsqueeze(2) * (z - rows.y.unsqueeze(2))]
    for (weight, _), slope in zip(net[:0:-1], slopes[::-1], strict=True):
        deltas.append(slope * torch.bmm(deltas[-1], weight))
    return a, slopes, deltas[::-1]


def gradient(u: Tensor, widths: Sequence[int], rows: Rows) -> Tensor:
    """dL_b/du_b."""
    a, _, deltas = passes(layers(u, widths), rows)
    parts = []
    for below, delta in zip(a, deltas, strict=True):
        parts += [torch.bmm(delta.mT, below).flatten(1), delta.sum(1)]
    return torch.cat(parts, dim=1)


def product(u: Tensor, v: Tensor, widths: Sequence[int], rows: Rows) -> Tensor:
    """Hessian of L_b at u_b times v_b: R{gradient}.

    R{delta_l} = s_l R{g_l} - 2 a_l delta_l R{z_l}, with g_l = dL/da_l.
    """
    net, direction = layers(u, widths), layers(v, widths)
    a, slopes, deltas = passes(net, rows)
    rz: list[Tensor] = []
    ra: list[Tensor] = []  # of a_1, a_2, ...: the inputs do not change
    for index, ((weight, _), (v_weight, v_bias)) in enumerate(zip(net, direction, strict=True)):
        z = torch.baddbmm(v_bias, a[index], v_weight.mT)
        if index:
            ra.append(slopes[index - 1] * rz[-1])
            z = torch.baddbmm(z, ra[-1], weight.mT)
        rz.append(z)
    r_delta = rows.weight.unsqueeze(2) * rz[-1]
    parts: list[Tensor] = []
    for index in range(len(net) - 1, -1, -1):
        r_weight = torch.bmm(r_delta.mT, a[index])
        if index:
            r_weight = torch.baddbmm(r_weight, deltas[index].mT, ra[index - 1])
        parts += [r_delta.sum(1), r_weight.flatten(1)]
        if index:
            r_g = torch.bmm(r_delta, net[index][0])
            r_g = torch.baddbmm(r_g, deltas[index], direction[index][0])
            # delta_l = s_l g_l, so that f''(z_l) g_l = -2 a_l s_l g_l = -2 a_l delta_l
            bend = -2 * a[index] * deltas[index - 1]
            r_delta = slopes[index - 1] * r_g + bend * rz[index - 1]
    return torch.cat(parts[::-1], dim=1)
