"""Mean and standard error over the test tasks of several seeds.

A seed draws everything anew: held-out tasks, initialisation, meta-batches. Its test tasks are
draws within that draw. With S seeds, n_s tasks in seed s, their mean m_s and sample variance
v_s (divisor n_s - 1):

    mean     m = (1/S) sum_s m_s                       each seed counts once
    within   W = (1/S) sum_s v_s / n_s                 variance of one m_s from its tasks alone
    between  B = 1/(S-1) sum_s (m_s - m)^2             variance of m_s, tasks and seed together
    stderr   sqrt(max(B, W) / S)                       for S = 1: sqrt(W)

B/S alone is the unbiased variance of m when seeds are independent draws, but at two or three
seeds it is by chance far too small at times. The variance of the seed effect itself is B - W,
which cannot be negative; putting max(0, B - W) in place of it (the one-way random-effects
estimate, Searle, Casella, McCulloch, Variance Components, 1992, section 3.5) gives max(B, W).
Dividing the pooled task variance by the number of all tasks would leave the seed effect out
and understate the error. The rating sets' seeds may hold out some of the same users, which
makes their seeds a little alike; the formula ignores that.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pooled:
    """Statistics of one quantity, in its own unit; NaN where too few values define them.

    Attributes:
        mean: mean over seeds of the seeds' means over tasks.
        stderr: standard error of `mean`, see the module's formula.
        seed_std: standard deviation (divisor S - 1) over seeds of the seeds' means.
        n_seeds, n_values: seeds, and tasks of all seeds together.
        n_not_finite: tasks whose value is NaN or infinite; `mean` is then NaN.
    """

    mean: float
    stderr: float
    seed_std: float
    n_seeds: int
    n_values: int
    n_not_finite: int


def pool(seeds: list[np.ndarray]) -> Pooled:
    """Pool the task values of several seeds, one array of shape (n_s,) each.

    A value that is not finite makes the mean NaN: leaving it out would hide divergence.
    """
    values = np.concatenate([np.zeros(0), *seeds])
    n_not_finite = int((~np.isfinite(values)).sum())
    if not seeds or n_not_finite or any(len(tasks) == 0 for tasks in seeds):
        nan = float("nan")
        return Pooled(nan, nan, nan, len(seeds), len(values), n_not_finite)
    means = np.array([tasks.mean() for tasks in seeds])
    within = float(np.mean([_variance(tasks) / len(tasks) for tasks in seeds]))
    between = _variance(means)
    # `within` is NaN for one task per seed: fmax then takes `between`, which holds its spread
    variance = within if len(seeds) == 1 else float(np.fmax(between, within))
    return Pooled(
        float(means.mean()),
        float(np.sqrt(variance / len(seeds))),
        float(np.sqrt(between)),
        len(seeds),
        len(values),
        0,
    )


def gain(error: float, reference: float) -> float:
    """How much smaller `error` is than `reference`, in percent of `reference`; NaN if undefined."""
    return 100.0 * (1.0 - error / reference) if reference > 0 else float("nan")


def _variance(values: np.ndarray) -> float:
    """Sample variance, divisor n - 1; NaN of a single value."""
    return float(np.var(values, ddof=1)) if len(values) > 1 else float("nan")
