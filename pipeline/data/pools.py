"""What training and evaluation get: scaled tasks, as arrays.

T tasks, B of them in a meta-batch, N support rows, M query rows, D inputs. Rating data has one
input, the index of an item, which is not scaled: x has shape (..., N) and type int64. Synthetic
families have D = 2 scaled inputs: x has shape (..., N, D) and type float64. y is float64,
standardised as `Scaling` says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.errors import BadInput

Batch = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
# Of positions in a pool (B,), sx, sy and qx: what is taken off the targets, (B, N) and (B, M)
Offset = Callable[..., tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Scaling:
    """Statistics of the meta-training rows, in raw units (x and y of all rows, if so scaled).

    Attributes:
        x_mean, x_std: per input, length D; empty for rating data. Of arrays (C, H, W), one for
            each of C, nested as (C, 1, 1).
        y_mean, y_std: of the targets; 0 and 1 where a setting switches standardisation off.
        target_std: standard deviation of the pooled meta-training targets, standardised or
            not: the unit of nRMSE.
    """

    x_mean: Sequence[Any]
    x_std: Sequence[Any]
    y_mean: float
    y_std: float
    target_std: float

    def scale_x(self, x: np.ndarray) -> np.ndarray:
        """Standardise inputs (..., D) or (..., C, H, W); item indices, D = 0, stay as they are."""
        if not len(self.x_mean):
            return x
        return (x - np.asarray(self.x_mean)) / np.asarray(self.x_std)

    def scale_y(self, y: np.ndarray) -> np.ndarray:
        """Standardise raw targets of any shape."""
        return (np.asarray(y, dtype=np.float64) - self.y_mean) / self.y_std

    def to_raw_y(self, y: Any) -> Any:
        """Turn standardised targets or predictions of any shape back into raw units."""
        return y * self.y_std + self.y_mean


@dataclass(frozen=True)
class TaskPool:
    """Meta-training tasks, from which every meta-update draws anew.

    Attributes:
        tasks: task ids, shape (T,).
        x, y: the rows of all tasks, one task after the other: (R,) or (R, ...), and (R,).
        starts, counts: where each task's rows begin and how many there are, shape (T,).
        offset: what is taken off the targets of drawn tasks; None: nothing.
    """

    tasks: np.ndarray
    x: np.ndarray
    y: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    offset: Offset | None = None
    _eligible: dict[int, np.ndarray] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def _columns(self) -> np.ndarray:
        return np.arange(int(self.counts.max()))

    def draw(self, n_tasks: int, support: int, query: int, generator: np.random.Generator) -> Batch:
        """Draw one meta-batch.

        Different tasks, uniformly among those with at least `support + query` rows (a task
        with too few is redrawn); in each, different rows for support and query.

        Returns:
            sx (B, N) or (B, N, D), sy (B, N), qx (B, M) or (B, M, D), qy (B, M).

        Raises:
            BadInput: fewer than `n_tasks` tasks have enough rows.
        """
        needed = support + query
        eligible = self._with_rows(needed)
        if len(eligible) < n_tasks:
            raise BadInput(
                f"meta-training tasks: found {len(eligible)} with at least {needed} rows "
                f"({support} support + {query} query), but a meta-batch needs {n_tasks}. "
                "Lower the `shots` of the setting in the grid's file, or `training.meta_batch`."
            )
        chosen = eligible[generator.choice(len(eligible), n_tasks, replace=False)]
        # Sorting uniform numbers gives a uniform permutation; columns past the end of a task
        # get a key that sorts last and are never reached, because needed <= counts.
        keys = generator.random((n_tasks, len(self._columns)))
        keys[self._columns >= self.counts[chosen, None]] = 2.0
        rows = self.starts[chosen, None] + keys.argsort(axis=1)[:, :needed]
        x, y = self.x[rows], self.y[rows]
        sx, sy, qx, qy = x[:, :support], y[:, :support], x[:, support:], y[:, support:]
        if self.offset is None:
            return sx, sy, qx, qy
        of_support, of_query = self.offset(chosen, sx, sy, qx)
        return sx, sy - of_support, qx, qy - of_query

    def _with_rows(self, needed: int) -> np.ndarray:
        """Positions of the tasks with at least `needed` rows, found once."""
        if needed not in self._eligible:
            self._eligible[needed] = np.flatnonzero(self.counts >= needed)
        return self._eligible[needed]


@dataclass(frozen=True)
class FrozenTasks:
    """Tasks whose support and query rows are fixed, padded to the longest task.

    Attributes:
        tasks: task ids, shape (T,).
        sx, sy, s_weight: support, (T, N) or (T, N, D), (T, N), (T, N).
        qx, qy, q_weight: query, (T, M) or (T, M, D), (T, M), (T, M).
            A weight is 1 for a row and 0 for padding, where x and y are 0.
        s_offset, q_offset: what a network is trained and asked without, and its predictions are
            added to, (T, N) and (T, M); None: nothing.
    """

    tasks: np.ndarray
    sx: np.ndarray
    sy: np.ndarray
    s_weight: np.ndarray
    qx: np.ndarray
    qy: np.ndarray
    q_weight: np.ndarray
    s_offset: np.ndarray | None = None
    q_offset: np.ndarray | None = None


@dataclass(frozen=True)
class ItemModel:
    """Mean (I,) and covariance (I, I) of a user's ratings, standardised."""

    mean: np.ndarray
    covariance: np.ndarray


@dataclass(frozen=True)
class Episodes:
    """Everything one run needs of one setting and seed.

    Attributes:
        train: the pool of meta-training tasks.
        validation: frozen tasks set aside from meta-training, for every choice that is made.
        test: frozen meta-test tasks.
        scaling: statistics of the rows in `train`.
        n_items: number of items, the width of the one-hot input; 0 for synthetic families.
        metadata: that of the episodes file.
        classes: names of the classes that targets number, 0 to C - 1; empty where they are numbers.
        items: the model that offsets are of; None: there are none.
    """

    train: TaskPool
    validation: FrozenTasks
    test: FrozenTasks
    scaling: Scaling
    n_items: int
    metadata: dict[str, Any]
    classes: Sequence[str] = ()
    items: ItemModel | None = None


def group_rows(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find the runs of equal keys: their keys, where they start, and their lengths."""
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.arange(0)
    return keys[starts], starts, np.diff(np.r_[starts, len(keys)])


def pad_rows(
    values: np.ndarray, starts: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Stack runs of rows, shape (R, ...), as (T, longest, ...) beside weights (T, longest)."""
    width = int(counts.max()) if len(counts) else 0
    mask = np.arange(width) < counts[:, None]
    padded = np.zeros((len(starts), width, *values.shape[1:]), dtype=values.dtype)
    owner, column = np.nonzero(mask)
    padded[owner, column] = values[starts[owner] + column]
    return padded, mask.astype(np.float64)


def gather_frozen(
    role: str, lines: Mapping[str, np.ndarray], x: np.ndarray, y: np.ndarray
) -> FrozenTasks:
    """Gather and pad the rows of one role.

    Args:
        lines: columns of an episodes file.
        x, y: scaled rows of the task set that its row numbers point into.
    """
    arrays = {}
    for part in ("support", "query"):
        chosen = (lines["role"] == role) & (lines["part"] == part)
        ids, starts, counts = group_rows(lines["task"][chosen])
        rows = lines["row"][chosen]
        (padded_x, weight), (padded_y, _) = (
            pad_rows(values[rows], starts, counts) for values in (x, y)
        )
        arrays[part] = (padded_x, padded_y, weight)
    return FrozenTasks(ids, *arrays["support"], *arrays["query"])


def measure_scaling(
    where: Path, x: np.ndarray, y: np.ndarray, *, standardise: bool, classes: bool = False
) -> Scaling:
    """Take the statistics of the meta-training rows (population standard deviations).

    Args:
        where: the file the rows come from, named in errors.
        x, y: inputs, (R,) item indices or (R, D) or (R, C, H, W), and targets (R,), in raw units.
        classes: targets are numbers of classes, which are not scaled.
    """
    x = x.astype(np.float64) if x.ndim > 1 else np.empty((1, 0))
    y = y.astype(np.float64)
    axes, keep = (0, *range(2, x.ndim)), x.ndim > 2
    x_mean, x_std = (of(axis=axes, keepdims=keep) for of in (x.mean, x.std))
    if keep:
        x_mean, x_std = x_mean[0], x_std[0]
    target_std = 1.0 if classes else float(y.std())
    if not target_std > 0 or (len(x_std) and not (x_std > 0).any()):
        raise BadInput(
            f"{where}: found the same value in all {len(y)} meta-training rows, but values "
            "that differ are needed to scale by. Choose another data set or filter."
        )
    x_std = np.where(x_std > 0, x_std, 1.0)  # a category that no training task has
    if not standardise:
        zeros = np.zeros_like(x_std)
        return Scaling(zeros.tolist(), (zeros + 1).tolist(), 0.0, 1.0, target_std)
    mean = 0.0 if classes else float(y.mean())
    return Scaling(x_mean.tolist(), x_std.tolist(), mean, target_std, target_std)
