"""What every method works on: a model, and losses of R tasks at R parameter vectors.

`model.coordinates(theta, support, query)` says where tasks are trained; its `support` and `query`
are `Loss`es; `loss.at(u)` is a `Point` that shares what its value, gradient and Hessian-vector
products have in common. `MLP` has closed forms (closed_forms.py), any other `nn.Module` goes
through `torch.func` (module_model.py); tests hold the two equal.

Shapes: S seeds with B tasks each make R = S B rows. P parameters a task; Q <= P of them are
trained.
"""

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from pipeline.core.tasks import Rows


class Point(Protocol):
    """A loss at u, shape (R, Q)."""

    def value(self) -> Tensor:
        """L_b(u_b), shape (R,)."""

    def gradient(self) -> Tensor:
        """dL_b/du_b, shape (R, Q)."""

    def hvp(self, v: Tensor) -> Tensor:
        """(d²L_b/du_b²) v_b for v of shape (R, Q), shape (R, Q)."""


class Loss(Protocol):
    """L_b(u) = sum_i weight_bi l(z_bi(u_b), y_bi), of a loss l by name (losses.py) or another."""

    def at(self, u: Tensor) -> Point:
        """The loss at u, shape (R, Q)."""

    def at_states(self, states: Sequence[Tensor]) -> Sequence[Point]:
        """The loss at each of several u, (R, Q) each: in one large batch where that is faster."""

    def select(self, tasks: Tensor | slice) -> "Loss":
        """The loss of some of the tasks."""

    def point_bytes(self, u: Tensor) -> int:
        """Bytes that a point at u (R, Q) keeps once its gradient has been taken."""


class Coordinates(Protocol):
    """A batch of R tasks, in coordinates (R, Q) instead of (R, P)."""

    @property
    def start(self) -> Tensor:
        """(R, Q), each row its seed's theta."""

    @property
    def support(self) -> Loss:
        """On the support rows."""

    @property
    def query(self) -> Loss:
        """On the query rows."""

    def of(self, theta: Tensor) -> Tensor:
        """(R, Q) of parameters (S, P): each seed's, for each of its tasks."""

    def mean(self, gradient: Tensor) -> Tensor:
        """The mean over each seed's tasks of (R, Q), as (S, P)."""

    def full(self, u: Tensor) -> Tensor:
        """Parameters (R, P) of u (R, Q)."""

    def left_out(self) -> Tensor | None:
        """Squared norm of the parameters that have no coordinate, (R,); None where all have."""


class Model(Protocol):
    """A predictor whose P parameters are one flat vector, as in `parameters_to_vector`."""

    n_parameters: int
    sizes: Sequence[int]  # of its parameter tensors, in their order; they add up to P
    capturable: bool  # whether a loss can take over another batch's rows in place (graphs.py)

    def coordinates(self, theta: Tensor, support: Rows, query: Rows | None) -> Coordinates:
        """How tasks are trained from theta (S, P), R / S of them from each."""

    def loss(self, rows: Rows) -> Loss:
        """The loss on rows of B tasks, at parameters (B, P)."""

    def predict(self, u: Tensor, x: Tensor) -> Tensor:
        """Predictions (B, N) or (B, N, C) of parameters (B, P) on x, as in `Rows`."""
