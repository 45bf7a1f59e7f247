"""Tasks as draws of one Gaussian process: what a task's support rows say of its other rows.

    y = m(x) + f(x) + noise,    f ~ GP(0, a k(x, x') + c),    noise ~ N(0, s)

m is what all tasks have in common: the mean of a process fitted to rows of many tasks at once, for
which what differs between tasks is noise. k is a Matérn kernel with a length for each input, c the
variance of a task's level. Lengths, a, c and s are alike in all tasks: they maximise the sum of
the log marginal likelihoods of meta-training tasks, for each smoothness of the kernel, and the
smoothness with the largest sum is taken. A task's prediction is the mean given its support rows
(Rasmussen and Williams 2006, equations 2.25 and 2.30).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Kernel, Matern, WhiteKernel

from pipeline.data.pools import Episodes, FrozenTasks, TaskPool

SMOOTHNESS = (0.5, 1.5, 2.5, np.inf)  # nu of a Matérn kernel; infinite: RBF
TASKS, ROWS = 12, 60  # of meta-training that the likelihood is summed over, and of each
COMMON, LIKELY = 1000, 250  # rows of all tasks that m is fitted to, and those of its likelihood
SEPARATE = 16  # inputs up to which each has a length of its own
LENGTHS, VARIANCES, NOISE = (1e-3, 1e3), (1e-6, 1e3), (1e-6, 1e1)  # bounds, of scaled targets
LOG_2_PI = float(np.log(2 * np.pi))

Task = tuple[np.ndarray, np.ndarray]  # inputs (N, D), targets (N,)


@dataclass(frozen=True)
class Process:
    """What tasks have in common, and the kernel of what differs; targets are scaled for both."""

    common: GaussianProcessRegressor
    kernel: Kernel
    mean: float
    deviation: float


def predict(episodes: Episodes, tasks: FrozenTasks) -> np.ndarray:
    """Conditional means (T, M) of the query rows of `tasks`, standardised like their targets."""
    process = fit(episodes.train)
    found = np.empty(tasks.qy.shape)
    for task in range(len(found)):
        seen = tasks.s_weight[task] > 0
        given = _flat(tasks.sx[task][seen]), tasks.sy[task][seen]
        found[task] = conditional_mean(process, given, _flat(tasks.qx[task]))
    return found


def fit(pool: TaskPool) -> Process:
    """The process of meta-training tasks: of rows and tasks that are evenly spaced in the pool."""
    x, mean, deviation = _flat(pool.x), float(pool.y.mean()), float(pool.y.std()) or 1.0
    y = (pool.y - mean) / deviation
    some, many = (_spaced(len(y), most) for most in (LIKELY, COMMON))
    likeliest = _likeliest([(x[some], y[some])], level=False)
    common = GaussianProcessRegressor(likeliest, optimizer=None).fit(x[many], y[many])
    rest = [(x[rows], y[rows] - common.predict(x[rows])) for rows in _rows_of_tasks(pool)]
    return Process(common, _likeliest(rest, level=True), mean, deviation)


def _rows_of_tasks(pool: TaskPool) -> Iterator[np.ndarray]:
    for task in _spaced(len(pool.counts), TASKS):
        yield pool.starts[task] + _spaced(int(pool.counts[task]), ROWS)


def _spaced(number: int, most: int) -> np.ndarray:
    """Of 0 to number - 1 at most so many, evenly spaced."""
    return np.unique(np.linspace(0, number - 1, most).round().astype(int))


def _flat(x: np.ndarray) -> np.ndarray:
    return x.reshape(len(x), -1)


def _likeliest(tasks: Sequence[Task], *, level: bool) -> Kernel:
    """Of kernels of every smoothness, the one with the largest likelihood."""
    inputs = tasks[0][0].shape[1]
    lengths = np.ones(inputs if inputs <= SEPARATE else 1)
    found = []
    for nu in SMOOTHNESS:
        kernel = ConstantKernel(1.0, VARIANCES) * Matern(lengths, LENGTHS, nu=nu)
        kernel += WhiteKernel(0.1, NOISE)
        if level:
            kernel += ConstantKernel(0.1, VARIANCES)
        found.append(most_likely(kernel, tasks))
    return max(found, key=lambda one: one[0])[1]


def most_likely(kernel: Kernel, tasks: Sequence[Task]) -> tuple[float, Kernel]:
    """The largest sum of the tasks' log marginal likelihoods, and the kernel that has it.

    The search starts at `kernel`'s own hyper-parameters and keeps their bounds. (scikit-learn's own
    takes one task, and half of its time to set the hyper-parameters of each anew.)
    """

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        here, value, slope = kernel.clone_with_theta(theta), 0.0, np.zeros(len(theta))
        for x, y in tasks:
            covariance, moves = here(x, eval_gradient=True)
            root = cho_factor(covariance, lower=True)
            solved = cho_solve(root, y)
            value += y @ solved / 2 + np.log(np.diag(root[0])).sum() + len(y) * LOG_2_PI / 2
            inner = cho_solve(root, np.eye(len(y))) - np.outer(solved, solved)
            slope += np.einsum("ij,ijp->p", inner, moves) / 2
        return value, slope

    found = minimize(loss, kernel.theta, jac=True, bounds=kernel.bounds, method="L-BFGS-B")
    return -float(found.fun), kernel.clone_with_theta(found.x)


def conditional_mean(process: Process, support: Task, query: np.ndarray) -> np.ndarray:
    """E[y | support] (M,) at query inputs (M, D)."""
    x, y = support
    rest = (y - process.mean) / process.deviation - process.common.predict(x)
    regressor = GaussianProcessRegressor(process.kernel, optimizer=None).fit(x, rest)
    found = process.common.predict(query) + regressor.predict(query)
    return process.mean + process.deviation * found
