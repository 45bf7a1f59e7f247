"""Any `nn.Module` regressor and any per-row loss, through `torch.func`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap

from pipeline.core.coordinates import OwnCoordinates
from pipeline.core.tasks import Rows

RowLoss = Callable[[Tensor, Tensor], Tensor]  # predictions (N,), targets (N,) -> losses (N,)


def half_squared_error(prediction: Tensor, target: Tensor) -> Tensor:
    """1/2 (yhat - y)², row by row."""
    return 0.5 * (prediction - target) ** 2


class ModuleModel:
    """A module from inputs (N, D) of one task to predictions (N,) or (N, 1).

    The module must be a pure function of its parameters (no dropout, no batch norm in
    training mode). Item indices (N,) are handed on as they are, for an embedding. A module
    that wants another form of the inputs gets it in its `forward`.

    Args:
        module: its parameters, in the order of `parameters()`, are the flat vector u.
        row_loss: from predictions (N,) and targets (N,) to losses (N,).
    """

    capturable = False  # `torch.func` holds on to the rows that it was given

    def __init__(self, module: nn.Module, row_loss: RowLoss = half_squared_error) -> None:
        self.module = module
        self.row_loss = row_loss
        self._names = [name for name, _ in module.named_parameters()]
        self._shapes = [parameter.shape for parameter in module.parameters()]
        self._sizes = [shape.numel() for shape in self._shapes]
        self.n_parameters = sum(self._sizes)
        if not self.n_parameters:
            raise ValueError(f"{type(module).__name__} has no parameters to train.")

    def _predict_one(self, u: Tensor, x: Tensor) -> Tensor:
        parameters = {
            name: part.reshape(shape)
            for name, part, shape in zip(
                self._names, u.split(self._sizes), self._shapes, strict=True
            )
        }
        buffers = {name: value.to(u.device) for name, value in self.module.named_buffers()}
        output: Any = functional_call(self.module, parameters | buffers, (x,))
        return output.reshape(x.shape[0])

    def predict(self, u: Tensor, x: Tensor) -> Tensor:
        """Predictions (B, N) at u (B, P) on x, (B, N, D) or item indices (B, N)."""
        return vmap(self._predict_one)(u, x)

    def coordinates(self, theta: Tensor, support: Rows, query: Rows | None) -> OwnCoordinates:
        """The module's own parameters, from theta (S, P).

        Raises:
            ValueError: when the module does not take the inputs, or predicts another shape.
        """
        for rows in (support, query):
            if rows is not None:
                self._try(theta[0], rows)
        start = theta.repeat_interleave(len(support.y) // len(theta), 0)
        losses = [self.loss(rows) for rows in (support, query) if rows is not None]
        return OwnCoordinates(start, losses[0], losses[-1], len(theta))

    def _try(self, u: Tensor, rows: Rows) -> None:
        """Predict for one task, that with the largest item index if there are indices."""
        task = int(rows.x.amax(1).argmax()) if rows.is_indexed else 0
        try:
            self._predict_one(u, rows.x[task])
        except torch.OutOfMemoryError:
            raise
        except (RuntimeError, IndexError, TypeError) as error:
            said = str(error).split("\n")[0]
            raise ValueError(
                f"{type(self.module).__name__} does not make {rows.x.shape[1]} predictions of "
                f"inputs {tuple(rows.x.shape[1:])} of {rows.x.dtype}: {said}"
            ) from error

    def loss(self, rows: Rows) -> "ModuleLoss":
        """The weighted mean of `row_loss` on rows of B tasks."""
        return ModuleLoss(self, rows)


class ModuleLoss:
    """L_b(u) = sum_i weight_bi row_loss(yhat_bi(u_b), y_bi)."""

    def __init__(self, model: ModuleModel, rows: Rows) -> None:
        def one(u: Tensor, x: Tensor, y: Tensor, weight: Tensor) -> Tensor:
            return (weight * model.row_loss(model._predict_one(u, x), y)).sum()

        self._model, self._rows = model, rows
        data = (rows.x, rows.y, rows.weight)
        self.values: Callable[[Tensor], Tensor] = lambda u: vmap(one)(u, *data)
        self.gradients: Callable[[Tensor], Tensor] = lambda u: vmap(grad(one))(u, *data)

    def at(self, u: Tensor) -> "ModulePoint":
        return ModulePoint(self, u)

    def at_states(self, states: Sequence[Tensor]) -> "list[ModulePoint]":
        return [ModulePoint(self, u) for u in states]

    def select(self, tasks: Tensor | slice) -> "ModuleLoss":
        rows = self._rows
        return ModuleLoss(self._model, Rows(rows.x[tasks], rows.y[tasks], rows.weight[tasks]))

    def point_bytes(self, u: Tensor) -> int:
        return 0  # a point keeps nothing but u


class ModulePoint:
    """A `ModuleLoss` at u."""

    def __init__(self, loss: ModuleLoss, u: Tensor) -> None:
        self._loss = loss
        self._u = u

    def value(self) -> Tensor:
        """L_b, shape (B,)."""
        return self._loss.values(self._u)

    def gradient(self) -> Tensor:
        """dL_b/du_b, shape (B, P)."""
        return self._loss.gradients(self._u)

    def hvp(self, v: Tensor) -> Tensor:
        """Hessian times v, forward over reverse, shape (B, P)."""
        product: Tensor = jvp(self._loss.gradients, (self._u,), (v,))[1]
        return product


def flat_parameters(module: nn.Module) -> Tensor:
    """A module's parameters as one detached vector (P,): a theta to start from."""
    return torch.nn.utils.parameters_to_vector(module.parameters()).detach()
