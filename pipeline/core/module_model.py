"""Any `nn.Module` and any per-row loss, through `torch.func`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vjp, vmap

from pipeline.core.ambient import ordinary, own_modes
from pipeline.core.coordinates import OwnCoordinates
from pipeline.core.losses import LOSSES, RowLoss, check_classes, row_loss
from pipeline.core.module_padding import filled
from pipeline.core.module_probe import Probe, copy_of, refusing, trained
from pipeline.core.module_watch import Weights
from pipeline.core.tasks import Rows


class ModuleModel:
    """A module from inputs (N, ...) of one task to predictions (N,), or (N, C) of C outputs.

    The module must be a pure function of its parameters (no dropout, no batch norm in
    training mode). Item indices (N,) are handed on as they are, for an embedding. A module
    that wants another form of the inputs gets it in its `forward`. Predictions (N, 1) count as
    (N,).

    The module is copied: what happens to it later changes nothing here, and nothing here changes
    it. Before rows of a new shape are used, values, gradients and Hessian-vector products are held
    against finite differences (module_probe.py): what torch cannot do, or does wrongly, is refused.

    Args:
        module: its parameters that require a gradient, in the order of `parameters()`, are the
            flat vector u; the others stay as they are.
        loss: the name of one in losses.py, or a function from predictions (N,) or (N, C) and
            targets as in `Rows`, (N,) or (N, C), to losses (N,).

    Raises:
        ValueError: when there is nothing to train, or the module cannot be copied.
    """

    capturable = False  # `torch.func` holds on to the rows that it was given

    def __init__(self, module: nn.Module, loss: str | RowLoss = "squared") -> None:
        self._module = copy_of(module)
        self._named = LOSSES.get(loss) if isinstance(loss, str) else None
        self.row_loss = row_loss(loss) if isinstance(loss, str) else loss
        parameters = trained(self._module)
        self._names = list(parameters)
        self._shapes = [parameter.shape for parameter in parameters.values()]
        self.sizes: Sequence[int] = [shape.numel() for shape in self._shapes]
        self.n_parameters = sum(self.sizes)
        self._constants: dict[tuple[torch.dtype, torch.device], dict[str, Tensor]] = {}
        weights = Weights(trained(module), parameters)
        self._probe = Probe(self._module, weights, self.loss)

    @property
    def name(self) -> str:
        """Of the module's class, for messages."""
        return type(self._module).__name__

    def module_at(self, u: Tensor) -> nn.Module:
        """A copy of the module with parameters u (P,), detached, in u's dtype and on its device."""
        module = copy_of(self._module).to(dtype=u.dtype, device=u.device)
        parts = u.detach().split(self.sizes)
        with torch.no_grad():
            for parameter, part in zip(trained(module).values(), parts, strict=True):
                parameter.copy_(part.view_as(parameter))
        return module

    def predict_one(self, u: Tensor, x: Tensor) -> Tensor:
        """Predictions (N,) or (N, C) of one task at u (P,); differentiable in u."""
        parts = zip(self._names, u.split(self.sizes), self._shapes, strict=True)
        parameters = {name: part.reshape(shape) for name, part, shape in parts}
        given = parameters | self._constants_like(u)
        output: Any = functional_call(self._module, given, (x,))
        if not isinstance(output, Tensor) or not (
            output.ndim in (1, 2) and len(output) == len(x) and output.numel()
        ):
            found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(
                f"{self.name} must give predictions ({len(x)},) or ({len(x)}, C) for {len(x)} "
                f"rows, found {found}."
            )
        if not output.is_floating_point():
            raise ValueError(
                f"{self.name} must give predictions that are floats, found {output.dtype}; they "
                "have no gradient."
            )
        return output.squeeze(1) if output.ndim == 2 and output.shape[1] == 1 else output

    def loss_one(self, u: Tensor, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
        """The weighted mean of `row_loss` on the rows (N, ...) of one task, a scalar."""
        return (weight * self.row_losses(u, x, y)).sum()

    def row_losses(self, u: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """`row_loss` on the rows (N, ...) of one task, (N,)."""
        prediction = self.predict_one(u, x)
        if self._named is not None and self._named.of_classes and prediction.ndim != 2:
            raise ValueError(
                f"{self.name} must give log odds (N, C) of C classes, found predictions "
                f"{tuple(prediction.shape)}."
            )
        losses: Any = self.row_loss(prediction, y)
        if not isinstance(losses, Tensor) or losses.shape != y.shape[:1]:
            found = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise ValueError(
                f"the loss must give a loss for each row, shape {tuple(y.shape[:1])}, found "
                f"{found}. Losses of `torch.nn` give them with reduction='none'."
            )
        return losses

    def predict(self, u: Tensor, x: Tensor) -> Tensor:
        """Predictions (B, N) or (B, N, C) at u (B, P) on x as in `Rows`."""
        with own_modes(u.device, graph=True), refusing(self._module, x):
            return _of_tasks(self.predict_one, ordinary(u), ordinary(x))

    def coordinates(self, theta: Tensor, support: Rows, query: Rows | None) -> OwnCoordinates:
        """The module's own parameters, from theta (S, P).

        Raises:
            ValueError: when the module does not take the inputs, predicts another shape, or has
                no gradient that could be trusted.
        """
        sides = [filled(rows) for rows in (support, query) if rows is not None]
        for rows in sides:
            self._check_targets(theta[0], rows)
            self._probe.check_gradients(theta[0], rows)
        start = theta.repeat_interleave(len(support) // len(theta), 0)
        losses = [self.loss(rows) for rows in sides]
        return OwnCoordinates(start, losses[0], losses[-1], len(theta))

    def _check_targets(self, u: Tensor, rows: Rows) -> None:
        """Refuse targets that the named loss does not know; torch takes some of them."""
        if self._named is None:
            return
        self._named.check(rows.y)
        if self._named.of_classes:
            with refusing(self._module, rows.x):
                outputs = _of_tasks(self.predict_one, u.unsqueeze(0), rows.x[:1])
            if outputs.ndim == 3:
                check_classes(rows.y, outputs.shape[2])

    def loss(self, rows: Rows) -> "ModuleLoss":
        """The weighted mean of `row_loss` on rows of B tasks."""
        return ModuleLoss(self, rows, self._probe)

    def _constants_like(self, u: Tensor) -> dict[str, Tensor]:
        """Parameters that stay as they are, and buffers, in the dtype of u if they are floats."""
        key = (u.dtype, u.device)
        if key not in self._constants:
            named = dict(self._module.named_buffers())
            named |= dict(self._module.named_parameters())
            self._constants[key] = {
                name: ordinary(value.detach()).to(
                    u.device, u.dtype if value.is_floating_point() else value.dtype, copy=True
                )
                for name, value in named.items()
                if name not in self._names
            }
        return self._constants[key]


class ModuleLoss:
    """L_b(u) = sum_i weight_bi row_loss(yhat_bi(u_b), y_bi)."""

    def __init__(self, model: ModuleModel, rows: Rows, probe: Probe) -> None:
        self.model, self.rows, self._probe = model, rows, probe
        self._forward: bool | None = None  # which way products go; asked for once

    def at(self, u: Tensor) -> "ModulePoint":
        return ModulePoint(self, u)

    def at_states(self, states: Sequence[Tensor]) -> "list[ModulePoint]":
        return [ModulePoint(self, u) for u in states]

    def select(self, tasks: Tensor | slice) -> "ModuleLoss":
        return ModuleLoss(self.model, self.rows.select(tasks), self._probe)

    def point_bytes(self, u: Tensor) -> int:
        return 0  # a point keeps nothing but u

    def values(self, u: Tensor) -> Tensor:
        """L_b, shape (B,)."""
        return _of_tasks(self.model.loss_one, u, *self._data)

    def row_losses(self, u: Tensor) -> Tensor:
        """Of each row, shape (B, N)."""
        return _of_tasks(self.model.row_losses, u, self.rows.x, self.rows.y)

    def predictions(self, u: Tensor) -> Tensor:
        """Shape (B, N) or (B, N, C)."""
        return _of_tasks(self.model.predict_one, u, self.rows.x)

    def gradients(self, u: Tensor) -> Tensor:
        """dL_b/du_b, shape (B, P)."""
        return vmap(grad(self.model.loss_one))(u, *self._data)

    def products(self, u: Tensor, v: Tensor, *, forward: bool) -> Tensor:
        """Hessian times v, shape (B, P): forward over reverse, or reverse over reverse.

        `vmap` is outermost: inside of a derivative it takes the saved statistics of a layer norm
        for constants, and the product comes out wrong.
        """
        slope = grad(self.model.loss_one)

        def ahead(u: Tensor, v: Tensor, *data: Tensor) -> Tensor:
            product: Tensor = jvp(lambda u: slope(u, *data), (u,), (v,))[1]
            return product

        def back(u: Tensor, v: Tensor, *data: Tensor) -> Tensor:
            return grad(lambda u: (slope(u, *data) * v).sum())(u)

        return vmap(ahead if forward else back)(u, v, *self._data)

    def way_to_products(self, u: Tensor) -> bool:
        """Whether they go forward over reverse.

        Raises:
            ValueError: when the module has no second derivatives that could be trusted.
        """
        if self._forward is None:
            self._forward = self._probe.way_to_products(u[0], self.rows)
        return self._forward

    @property
    def _data(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.rows.x, self.rows.y, self.rows.weight


class ModulePoint:
    """A `ModuleLoss` at u; values and gradients may be derived further, once."""

    def __init__(self, loss: ModuleLoss, u: Tensor) -> None:
        self._loss = loss
        self._u = u

    def value(self) -> Tensor:
        """L_b, shape (B,)."""
        return _Value.apply(self._u, self._loss)

    def gradient(self) -> Tensor:
        """dL_b/du_b, shape (B, P)."""
        if torch.is_grad_enabled() and self._u.requires_grad:
            return _Slope.apply(self._u, self._loss)
        return self._loss.gradients(self._u)

    def hvp(self, v: Tensor) -> Tensor:
        """Hessian times v, shape (B, P).

        Raises:
            ValueError: when the module has no second derivatives that could be trusted.
        """
        forward = self._loss.way_to_products(self._u)
        return self._loss.products(self._u, v, forward=forward)


def _of_tasks(function: Callable[..., Tensor], u: Tensor, *data: Tensor) -> Tensor:
    """`function` of each task's u (P,) and data.

    As if it were to be derived: else torch takes fused recurrent kernels that `vmap` does not know.
    """

    def value(u: Tensor, *data: Tensor) -> Tensor:
        found: Tensor = vjp(lambda u: function(u, *data), u)[0]
        return found

    of_all: Tensor = vmap(value)(u, *data)
    return of_all


class _Value(torch.autograd.Function):
    """L_b; on the way back its own gradient, so that no graph is kept through `vmap`."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, loss: ModuleLoss) -> Tensor:
        ctx.loss = loss
        ctx.save_for_backward(u)
        return loss.values(u)

    @staticmethod
    def backward(ctx: Any, *weights: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return weights[0].unsqueeze(1) * ctx.loss.gradients(u), None


class _Slope(torch.autograd.Function):
    """dL_b/du_b; on the way back the Hessian, which is its own transpose."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, loss: ModuleLoss) -> Tensor:
        ctx.loss = loss
        ctx.forward_way = loss.way_to_products(u)
        ctx.save_for_backward(u)
        return loss.gradients(u)

    @staticmethod
    def backward(ctx: Any, *weights: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return ctx.loss.products(u, weights[0], forward=ctx.forward_way), None


def flat_parameters(module: nn.Module) -> Tensor:
    """The parameters that are trained as one detached vector (P,): a theta to start from.

    Raises:
        ValueError: when there is none.
    """
    return torch.cat([ordinary(value.detach()).flatten() for value in trained(module).values()])
