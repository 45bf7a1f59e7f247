"""Meta-gradients through long training: torch and torchdiffeq, and nothing else.

model = MLP(in_features=2, hidden=(32, 32))
batch = TaskBatch.from_arrays(sx, sy, qx, qy)
out = meta_gradient(method, model, theta, batch, **settings)  # method: a key of METHODS
out.gradient  # (P,)
theta = fit(method, model, theta, batch, settings=settings, updates=1000, outer_lr=1e-3).theta
"""

from pipeline.core.adapt import adapt
from pipeline.core.aggregate import AGGREGATES
from pipeline.core.fit import Fitted, drawing, fit
from pipeline.core.losses import LOSSES
from pipeline.core.meta import MetaTrainer, Progress, SeedsDiverged
from pipeline.core.meta_gradient import MetaGradient, meta_gradient
from pipeline.core.methods import METHODS
from pipeline.core.mlp import MLP
from pipeline.core.module_model import ModuleModel, flat_parameters
from pipeline.core.registry import check_settings
from pipeline.core.solvers.flow import Diverged
from pipeline.core.solvers.runge_kutta import SOLVERS
from pipeline.core.tasks import Rows, TaskBatch
from pipeline.core.work import Work

__all__ = [
    "AGGREGATES",
    "LOSSES",
    "METHODS",
    "MLP",
    "SOLVERS",
    "Diverged",
    "Fitted",
    "MetaGradient",
    "MetaTrainer",
    "ModuleModel",
    "Progress",
    "Rows",
    "SeedsDiverged",
    "TaskBatch",
    "Work",
    "adapt",
    "check_settings",
    "drawing",
    "fit",
    "flat_parameters",
    "meta_gradient",
]
