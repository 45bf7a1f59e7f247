"""The outer loop, one meta-update at a time (Algorithm 1). It does no I/O."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from pipeline.core.aggregate import AGGREGATES, Spread, spreads
from pipeline.core.ambient import ordinary, own_modes
from pipeline.core.graphs import Capturing
from pipeline.core.interface import Model
from pipeline.core.meta_gradient import meta_gradient
from pipeline.core.rates import refuse_first_order
from pipeline.core.registry import check_settings
from pipeline.core.schedules import SCHEDULES, decay_at, rate
from pipeline.core.seeds import not_finite, take
from pipeline.core.settings import check_count, check_positive, is_finite, one_of
from pipeline.core.solvers.chebyshev_memory import ChebyshevMemory
from pipeline.core.solvers.flow import Diverged
from pipeline.core.tasks import TaskBatch
from pipeline.core.work import Work

# Those of torch that treat each number alike, so that seeds trained together stay apart. NAdam
# is left out: torch gives part of its state another dtype when a checkpoint is loaded.
OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "sgd": torch.optim.SGD,
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "asgd": torch.optim.ASGD,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "rprop": torch.optim.Rprop,
}


class SeedsDiverged(Diverged):
    """Some of the seeds of a batch diverged; nothing was changed.

    Attributes:
        messages: position of the seed among those in training -> what happened.
    """

    def __init__(self, messages: Mapping[int, str]) -> None:
        super().__init__("\n".join(messages.values()), min(messages))
        self.messages = dict(messages)


@dataclass(frozen=True)
class Progress:
    """One meta-update of a seed: its number from 1, mean query loss before it, norms, work.

    `gradient_norm` is of the aggregated meta-gradient, `spread` of the tasks' own.
    """

    update: int
    meta_loss: float
    gradient_norm: float
    change: float  # |theta_new - theta_old|
    work: Work
    spread: Spread


class MetaTrainer:
    """Theta (P,), the outer optimiser and their state, which a checkpoint holds.

    Args:
        method, settings: as for `meta_gradient`.
        theta: (P,), or (S, P) for S seeds that are trained together, each as if alone.
        aggregate: as for `meta_gradient`.
        optimiser: a key of `OPTIMISERS`: `adam`, `sgd` (a plain gradient step), another.
        optimiser_settings: what else it takes, `momentum=0.9` say.
        schedule: a key of `SCHEDULES`, from `outer_lr` over `updates` meta-updates; after them
            the rate stays where it came to.
        warm_up: meta-updates over which the rate rises to `outer_lr`.
        average: decay of theta's moving average, in (0, 1); None: none is kept.
        gradient_limit: a meta-gradient norm above it counts as divergence.
        capture: repeat inner loops as CUDA graphs; `auto`: where that is possible and batches
            keep their shapes (`graphs.Capturing`), never on a CPU.

    Raises:
        ValueError: for unknown or impossible settings, also of the optimiser, or capture that is
            asked for without a CUDA device or with a model that is not capturable.
    """

    def __init__(
        self,
        method: str,
        model: Model,
        theta: Tensor,
        *,
        settings: dict[str, Any],
        outer_lr: float,
        aggregate: str = "mean",
        optimiser: str = "adam",
        optimiser_settings: Mapping[str, Any] | None = None,
        schedule: str = "constant",
        warm_up: int = 0,
        updates: int | None = None,
        average: float | None = None,
        gradient_limit: float = float("inf"),
        capture: bool | Literal["auto"] = False,
    ) -> None:
        check_settings(method, settings)
        refuse_first_order(method, model)
        check_positive("outer_lr", outer_lr)
        if not (is_finite(gradient_limit) or gradient_limit == float("inf")) or gradient_limit <= 0:
            raise ValueError(f"gradient_limit must be positive, found {gradient_limit!r}.")
        one_of(list(OPTIMISERS))("optimiser", optimiser)
        one_of(list(AGGREGATES))("aggregate", aggregate)
        _check_outer_loop(schedule, warm_up, updates, average)
        self._rate = partial(
            rate, outer_lr, schedule=schedule, warm_up=warm_up, updates=updates or warm_up
        )
        self._decay = average
        self._capturing = Capturing(capture, model, theta.device)
        self.method = method
        self.model = model
        self.settings = settings
        self.aggregate = aggregate
        self.gradient_limit = gradient_limit
        self.updates = 0
        self._memory = ChebyshevMemory()
        with own_modes(theta.device):
            self._theta = ordinary(theta.detach()).clone()
            self._average = None if average is None else self._theta.clone()
            try:
                self._optimiser = OPTIMISERS[optimiser](
                    [self._theta], lr=outer_lr, **(optimiser_settings or {})
                )
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValueError(
                    f"optimiser '{optimiser}' does not take {dict(optimiser_settings or {})}: "
                    f"{error}."
                ) from None

    @property
    def theta(self) -> Tensor:
        """The initialisation as it stands, (P,), or (S, P) of the seeds in training."""
        return self._theta.detach().clone()

    @property
    def average(self) -> Tensor | None:
        """Theta's moving average, like `theta`; None where none is kept."""
        return None if self._average is None else self._average.clone()

    def step(self, batch: TaskBatch) -> list[Progress]:
        """One meta-update of every seed, on a meta-batch of B tasks for each, seed by seed.

        Returns:
            One entry a seed, in order.

        Raises:
            SeedsDiverged: before theta is touched, when a meta-gradient is not finite or above
                the limit; the message names the first task that is to blame.
        """
        before = self._memory.snapshot()
        try:
            out = meta_gradient(
                self.method,
                self.model,
                self._theta,
                batch,
                aggregate=self.aggregate,
                memory=self._memory,
                graphs=self._capturing.graphs_for(batch),
                **self.settings,
            )
        except Diverged as error:
            self._memory = before
            raise SeedsDiverged({error.seed: str(error)}) from error
        seeds = len(out.works)
        norms = torch.linalg.vector_norm(out.gradient.view(seeds, -1), dim=1).tolist()
        if loud := [seed for seed in range(seeds) if not norms[seed] <= self.gradient_limit]:
            self._memory = before
            raise SeedsDiverged({seed: self._loud(out.adapted, norms, seed) for seed in loud})
        with own_modes(self._theta.device):  # its state is kept
            old = self._theta.clone()
            self._theta.grad = out.gradient
            self._optimiser.param_groups[0]["lr"] = self._rate(self.updates + 1)
            self._optimiser.step()
            self.updates += 1
            if self._average is not None and self._decay is not None:
                self._average.lerp_(self._theta, 1 - decay_at(self.updates, self._decay))
        moved = (self._theta - old).view(seeds, -1)
        changes = torch.linalg.vector_norm(moved, dim=1).tolist()
        losses = out.query_loss.view(seeds, -1).mean(1).tolist()
        spread = spreads(out.norms.view(seeds, -1))
        return [
            Progress(self.updates, *numbers)
            for numbers in zip(losses, norms, changes, out.works, spread, strict=True)
        ]

    def keep(self, positions: Sequence[int]) -> None:
        """Go on with these seeds of (S, P) only, in this order."""
        self._capturing.expect_other_shapes()
        self._memory.keep(positions)
        chosen = torch.tensor(list(positions), device=self._theta.device)
        state = self._optimiser.state.pop(self._theta, {})
        shape = self._theta.shape
        self._theta = self._theta[chosen].clone()
        if self._average is not None:
            self._average = self._average[chosen].clone()
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == shape:
                state[name] = value[chosen].clone()
        self._optimiser.param_groups[0]["params"] = [self._theta]
        if state:
            self._optimiser.state[self._theta] = state

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint needs."""
        return {
            "updates": self.updates,
            "theta": self._theta.detach().cpu().clone(),
            "average": None if self._average is None else self._average.cpu().clone(),
            "optimiser": deepcopy(self._optimiser.state_dict()),
            "memory": self._memory.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        with torch.no_grad():
            self._theta.copy_(state["theta"])
            if self._average is not None:
                self._average.copy_(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._memory.load_state_dict(state["memory"], self._theta)
        self.updates = state["updates"]

    def _loud(self, adapted: Tensor, norms: Sequence[float], seed: int) -> str:
        said = (
            f"meta-update {self.updates + 1}: the meta-gradient's norm is {norms[seed]:g}, "
            f"allowed is at most {self.gradient_limit:g}"
        )
        bad = not_finite(take(adapted, (seed,), len(norms)))
        if not bad:
            return said
        return f"{said}; inner training diverged on task {bad[0]} of the meta-batch"


def _check_outer_loop(
    schedule: str, warm_up: int, updates: int | None, average: float | None
) -> None:
    one_of(list(SCHEDULES))("schedule", schedule)
    if isinstance(warm_up, bool) or not isinstance(warm_up, int) or warm_up < 0:
        raise ValueError(f"warm_up must be a whole number of at least 0, found {warm_up!r}.")
    if updates is not None:
        check_count("updates", updates)
    if schedule != "constant" and updates is None:
        raise ValueError(f"schedule '{schedule}' needs `updates`, the number of meta-updates.")
    if updates is not None and warm_up > updates:
        raise ValueError(f"warm_up is {warm_up}, above the {updates} meta-updates that there are.")
    if average is not None and not (is_finite(average) and 0 < average < 1):
        raise ValueError(f"average must lie between 0 and 1, found {average!r}.")
