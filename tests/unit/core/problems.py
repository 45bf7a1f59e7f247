"""Problems and lists that the core's tests share: a new method or solver is one line here."""

from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core import MLP, TaskBatch

# settings that make each method quick; `horizon` is 2 = 200 steps of 0.01
METHOD_SETTINGS: dict[str, dict[str, Any]] = {
    "maml": {"inner_steps": 20, "inner_lr": 0.05},
    "maml1": {"inner_steps": 1, "inner_lr": 0.05},
    "maml_sweep": {"inner_steps": 20, "inner_lr": 0.05},
    "fomaml": {"inner_steps": 20, "inner_lr": 0.05},
    "reptile": {"inner_steps": 20, "inner_lr": 0.05},
    "imaml": {"inner_steps": 20, "inner_lr": 0.05, "proximal": 2.0, "cg_steps": 5},
    "joint": {},
    "amaml": {"horizon": 1.0, "step": 0.02, "rtol": 1e-8, "atol": 1e-10},
    "amaml_rkc": {"horizon": 1.0, "rtol": 1e-6, "atol": 1e-8},
    "amaml_anytime": {"horizon": 1.0, "rtol": 1e-6, "atol": 1e-8},
}
# those that solve gradient flow, to a tolerance
FLOWS = [method for method, settings in METHOD_SETTINGS.items() if "horizon" in settings]
# observed order of the global error
SOLVER_ORDERS = {"euler": 1, "midpoint": 2, "rk4": 4}
ADAPTIVE_SOLVERS = ("dopri5", "bosh3")
# all whose steps have a discrete adjoint: `amaml_rkc` is a method of its own
DISCRETE_SOLVERS = (*SOLVER_ORDERS, *ADAPTIVE_SOLVERS, "amaml_rkc")
# every form of keeping under `memory_mb`: method and settings
BUDGETED: dict[str, tuple[str, dict[str, Any]]] = {
    "maml_sweep": ("maml_sweep", {"inner_steps": 30, "inner_lr": 0.05}),
    **{
        f"amaml_rkc-{omega}": (
            "amaml_rkc",
            {"horizon": 3.0, "rtol": 1e-4, "atol": 1e-6, "omega": omega},
        )
        for omega in (0.0, 0.5)
    },
    **{
        f"amaml_rkc-early-{omega}": (
            "amaml_rkc",
            {"horizon": 3.0, "rtol": 1e-4, "atol": 1e-6, "omega": omega, "early_stopping": True},
        )
        for omega in (0.0, 0.5)
    },
    **{
        f"{solver}-{backward}-{omega}": (
            "amaml",
            {
                **{"horizon": 1.2, "step": 0.1, "rtol": 1e-4, "atol": 1e-6},
                **{"solver": solver, "backward": backward, "omega": omega},
            },
        )
        for solver in ("dopri5", "bosh3", "rk4")
        for backward in ("modified_euler", "discrete")
        for omega in (0.0, 0.5)
    },
}
# curvatures per task of quadratic losses, and a horizon: rho T = 1e4; growth by e^6 and e^10
STIFF = (torch.logspace(-1, 3, 30, dtype=torch.float64)[None], 10.0)
NEGATIVE = (torch.tensor([[-3.0, 0.5, 50.0], [2.0, -5.0, 100.0]], dtype=torch.float64), 2.0)
ACTIVATIONS = {
    "tanh": torch.tanh,
    "softplus": partial(nn.functional.softplus, threshold=40.0),  # exact in float64
    "sin": torch.sin,
}


def target(x: Tensor, phase: Tensor) -> Tensor:
    """A smooth function of (B, N, D) with a phase (B, 1) per task."""
    return torch.sin(2 * x[..., 0] + phase) + 0.5 * x[..., -1] ** 2


def make_batch(
    *,
    tasks: int = 3,
    support: int = 12,
    query: int = 9,
    features: int = 2,
    dtype: torch.dtype = torch.float64,
    seed: int = 0,
) -> TaskBatch:
    """A batch of smooth regression tasks."""
    g = torch.Generator().manual_seed(seed)
    phase = torch.rand(tasks, 1, generator=g, dtype=dtype) * 3
    sx = torch.randn(tasks, support, features, generator=g, dtype=dtype)
    qx = torch.randn(tasks, query, features, generator=g, dtype=dtype)
    return TaskBatch.from_arrays(sx, target(sx, phase), qx, target(qx, phase))


def make_mlp(
    hidden: tuple[int, ...] = (6, 5), *, features: int = 2, activation: str = "tanh", seed: int = 1
) -> tuple[MLP, Tensor]:
    """A small network in closed form and a float64 theta for it."""
    model = MLP(features, hidden, activation)
    theta = model.init(torch.Generator().manual_seed(seed), dtype=torch.float64)
    return model, 1.5 * theta


class Net(nn.Module):
    """The same network as a plain module."""

    def __init__(
        self, features: int, hidden: tuple[int, ...], activation: str, outputs: int = 1
    ) -> None:
        super().__init__()
        widths = [features, *hidden, outputs]
        self.layers = nn.ModuleList(
            nn.Linear(a, b, dtype=torch.float64) for a, b in pairwise(widths)
        )
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x).squeeze(-1)


def make_module(
    hidden: tuple[int, ...] = (6, 5), *, features: int = 2, activation: str = "tanh"
) -> Net:
    """`make_mlp`'s network as a module."""
    return Net(features, hidden, activation)


def discrete_settings(
    solver: str, *, steps: int = 8, rtol: float = 1e-3, **more: Any
) -> tuple[str, dict[str, Any]]:
    """Method and settings whose gradient is the discrete adjoint of `solver` over T = 1."""
    settings: dict[str, Any] = {"horizon": 1.0, "rtol": rtol, "atol": rtol * 1e-2, **more}
    if solver == "amaml_rkc":
        return "amaml_rkc", settings
    return "amaml", settings | {"solver": solver, "step": 1 / steps, "backward": "discrete"}


def item_batch(
    *, tasks: int = 3, support: int = 10, query: int = 8, items: int = 30, seed: int = 3
) -> TaskBatch:
    """Ratings of items by index, repeated ones among them."""
    g = torch.Generator().manual_seed(seed)
    sx, qx = (torch.randint(items, (tasks, n), generator=g) for n in (support, query))
    sy, qy = (torch.randn(tasks, n, generator=g, dtype=torch.float64) for n in (support, query))
    return TaskBatch.from_arrays(sx, sy, qx, qy)
