"""Ratings as Gaussian vectors: what a user's ratings of some items say of all others.

Each user's ratings of the I items are one draw x of N(mu, C), of which some entries are seen. The
best guess of the others is the conditional mean, with O the items that were seen

    E[x | x_O] = mu + C[:, O] C[O, O]^-1 (x - mu)[O]

mu and C are those of the users of meta-training, by EM with missing entries (Dempster, Laird and
Rubin 1977). For n users, with z = C[O, O]^-1 (x - mu)[O] and S the sum of C[O, O]^-1, both zero
outside O, one iteration is

    mu <- mu + C mean(z)
    C  <- C + C (sum z z' - S) C / n - d d'                    d = the change of mu

and C is then shrunk, with the weight of some more users, towards equal variances and equal
correlations: C <- (n C + w T) / (n + w). w is chosen on validation tasks, by their query rows, with
models of at most `ENOUGH` users. EM starts at the model of the item mean with the user's offset, in
which T is all there is.
"""

import sys
from collections.abc import Iterator

import numpy as np

from pipeline.data.pools import Episodes, FrozenTasks, ItemModel, TaskPool
from pipeline.runs.trivial import item_means, user_shrinkage

WEIGHTS = (20.0, 50.0, 100.0, 200.0, 500.0)  # of the shrinkage, in users
ITERATIONS = 12
ENOUGH = 6_000  # users: five models of all 24,873 of Jester take minutes
_MOST = 0.95  # of a correlation that all items have: at 1 the covariance has no inverse
_LEAST = 1e-9  # of the variance: where all ratings of an item are alike
_ENTRIES = 2_000_000  # of stacked matrices that are inverted at once: 16 MB


def predict(episodes: Episodes, tasks: FrozenTasks) -> np.ndarray:
    """Conditional means (T, M) of the query rows of `tasks`, standardised like their targets."""
    items = episodes.items or chosen_items(episodes)[0]  # those of an offset are the same
    return conditional_means(items, tasks)


def chosen_items(episodes: Episodes) -> tuple[ItemModel, float]:
    """The model of the users of meta-training, and the weight of its shrinkage, in users.

    That has the least mean RMSE on the query rows of validation tasks.
    """
    table = ratings_table(episodes.train, episodes.n_items)
    some = enough(table)
    errors = {weight: _error(fit(some, weight), episodes.validation) for weight in WEIGHTS}
    weight = min(errors, key=lambda weight: errors[weight])
    print(f"gaussian_items: shrunk with the weight of {weight:g} users, RMSE "
          f"{errors[weight]:.4g} on standardised validation tasks", file=sys.stderr)  # fmt: skip
    return fit(table, weight), weight


def enough(table: np.ndarray) -> np.ndarray:
    """At most `ENOUGH` of the users, at equal distances."""
    return table[:: -(-len(table) // ENOUGH)]


def ratings_table(pool: TaskPool, n_items: int) -> np.ndarray:
    """Ratings (users, I) of a pool, NaN where there are none; their mean where one has several."""
    user = np.repeat(np.arange(len(pool.counts)), pool.counts)
    cell, shape = user * n_items + pool.x, (len(pool.counts), n_items)
    size = len(pool.counts) * n_items
    count = np.bincount(cell, minlength=size)
    total = np.bincount(cell, weights=pool.y, minlength=size)
    return np.divide(total, count, out=np.full(size, np.nan), where=count > 0).reshape(shape)


def fit(table: np.ndarray, weight: float, iterations: int = ITERATIONS) -> ItemModel:
    """Mean and covariance of ratings (users, I) with missing entries, NaN, by EM.

    Args:
        weight: of the shrinkage, in users; 0: none.
    """
    items = start(table)
    parts = list(_by_size(~np.isnan(table)))
    for _ in range(iterations):
        items = shrunk(step(items, table, parts), len(table), weight)
    return items


def start(table: np.ndarray) -> ItemModel:
    """Item means; one variance of ratings around them, and one correlation, the users' own."""
    user, item = np.nonzero(~np.isnan(table))
    y = table[user, item]
    mean = item_means(item, y, table.shape[1])
    residual = y - mean[item]
    counts = np.bincount(user)
    share = 1 / (1 + user_shrinkage(residual, counts[counts > 0]))
    return ItemModel(mean, _equal(float(residual.var()), share, len(mean)))


Part = tuple[np.ndarray, np.ndarray, bool]  # users, their items (of the same number), are seen


def _by_size(seen: np.ndarray) -> Iterator[Part]:
    """Users with so many items in alike stacks: the seen or the missing ones, whichever are fewer.

    Either gives the same: with P = C^-1 and M the missing items, C[O, O]^-1 is, with zeros outside
    O, P - P[:, M] P[M, M]^-1 P[M, :].
    """
    number = seen.sum(1)
    few = number <= seen.shape[1] - number
    for by_seen in (True, False):
        users = np.flatnonzero(few == by_seen)
        chosen = seen[users] if by_seen else ~seen[users]
        sizes = chosen.sum(1)
        for size in np.unique(sizes):
            alike = sizes == size
            items = np.nonzero(chosen[alike])[1].reshape(alike.sum(), size)
            pieces = items.size * int(size) // _ENTRIES + 1
            for part in np.array_split(np.arange(len(items)), pieces):
                yield users[alike][part], items[part], by_seen


def step(items: ItemModel, table: np.ndarray, parts: list[Part]) -> ItemModel:
    """One iteration of EM."""
    users, n_items = table.shape
    covariance, residual = items.covariance, np.nan_to_num(table - items.mean)
    precision = np.linalg.inv(covariance)
    z = np.empty_like(residual)
    sums = {True: np.zeros((n_items, n_items)), False: np.zeros((n_items, n_items))}
    counts = {True: 0, False: 0}
    for chosen, own, by_seen in parts:
        matrix = covariance if by_seen else precision
        inverse = np.linalg.inv(matrix[own[:, :, None], own[:, None, :]])
        there = residual[chosen] if by_seen else residual[chosen] @ precision
        solved = (inverse @ np.take_along_axis(there, own, 1)[..., None])[..., 0]
        spread = np.zeros((len(chosen), n_items))
        np.put_along_axis(spread, own, solved, 1)
        z[chosen] = spread if by_seen else there - spread @ precision
        cells = own[:, :, None] * n_items + own[:, None, :]
        sums[by_seen] += np.bincount(
            cells.ravel(), weights=inverse.ravel(), minlength=n_items**2
        ).reshape(n_items, n_items)
        counts[by_seen] += len(chosen)
    inverses = sums[True] + counts[False] * precision - precision @ sums[False] @ precision
    change = covariance @ z.mean(0)
    moved = covariance @ (z.T @ z - inverses) @ covariance / users
    found = covariance + moved - np.outer(change, change)
    return ItemModel(items.mean + change, (found + found.T) / 2)


def shrunk(items: ItemModel, users: int, weight: float) -> ItemModel:
    """The covariance with that of equal variances and correlations, as if of `weight` users."""
    covariance = items.covariance
    size = len(covariance)
    variance = max(float(np.trace(covariance)) / size, _LEAST)
    between = (float(covariance.sum()) - size * variance) / max(size * (size - 1), 1)
    target = _equal(variance, between / variance, size)
    return ItemModel(items.mean, (users * covariance + weight * target) / (users + weight))


def _equal(variance: float, correlation: float, size: int) -> np.ndarray:
    share = min(max(correlation, 0.0), _MOST)
    return max(variance, _LEAST) * (share + (1 - share) * np.eye(size))


def conditional_means(items: ItemModel, tasks: FrozenTasks) -> np.ndarray:
    """E[x | x_O] (T, M) at the query items, O and x_O the support rows; padding counts for none."""
    found = np.empty(tasks.qx.shape)
    size = len(items.mean)
    for task, (x, y, weight) in enumerate(zip(tasks.sx, tasks.sy, tasks.s_weight, strict=True)):
        count = np.bincount(x, weights=weight, minlength=size)
        total = np.bincount(x, weights=weight * y, minlength=size)
        seen = np.flatnonzero(count)
        residual = total[seen] / count[seen] - items.mean[seen]
        solved = np.linalg.solve(items.covariance[np.ix_(seen, seen)], residual)
        query = tasks.qx[task]
        found[task] = items.mean[query] + items.covariance[np.ix_(query, seen)] @ solved
    return found


def _error(items: ItemModel, tasks: FrozenTasks) -> float:
    """Mean over tasks of the RMSE on their query rows."""
    squares = (conditional_means(items, tasks) - tasks.qy) ** 2 * tasks.q_weight
    return float(np.sqrt(squares.sum(1) / tasks.q_weight.sum(1)).mean())
