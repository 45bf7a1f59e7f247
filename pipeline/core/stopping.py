"""Early stopping of each task: T_n, the end of a solver's step at which the query loss is least.

The query rows are the paper's meta-validation set. T_n is held fixed where the objective is
differentiated; the start is no candidate, so that every task trains for a step at least.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.core.seeds import Seeds, per_row, put, take
from pipeline.core.work import Counted


class Stopping:
    """The best step end so far of R tasks of S seeds, the earliest of equals.

    Attributes:
        states: u_n(T_n), (R, Q).
        times: T_n in the time of the solver, (R, 1); a task's own time is its rate times that.
        sizes: of the step that ends at T_n, (R, 1).
        counts: steps of the seed up to T_n, (R, 1).
        taken: steps of each seed.
    """

    def __init__(self, query: Counted, start: Tensor, seeds: int) -> None:
        self._query = query
        self._least = start.new_full((len(start), 1), torch.nan)
        self.states = start
        self.times = torch.zeros_like(self._least)
        self.sizes = torch.zeros_like(self._least)
        self.counts = torch.zeros_like(self._least, dtype=torch.int64)
        self.taken = [0] * seeds
        self._reached = [0.0] * seeds

    def watch(self, seeds: Seeds, sizes: Sequence[float], ends: Tensor) -> None:
        """See the ends (K B, Q) of accepted steps of some seeds, in their order."""
        for seed, h in zip(seeds, sizes, strict=True):
            self.taken[seed] += 1
            self._reached[seed] += h
        loss = self._query.of(seeds, self.states).at(ends).value().unsqueeze(1)
        of = len(self.taken)
        least = take(self._least, seeds, of)
        better = (loss < least) | least.isnan()

        def chosen(old: Tensor, new: Tensor | Sequence[float]) -> Tensor:
            part = take(old, seeds, of)
            found = new if isinstance(new, Tensor) else per_row(new, part)
            return put(old, seeds, torch.where(better, found, part), of)

        self._least = chosen(self._least, loss)
        self.states = chosen(self.states, ends)
        self.times = chosen(self.times, [self._reached[seed] for seed in seeds])
        self.sizes = chosen(self.sizes, sizes)
        self.counts = chosen(self.counts, [self.taken[seed] for seed in seeds])
