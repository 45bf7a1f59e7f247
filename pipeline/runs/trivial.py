"""Predictors without learning across steps: what any meta-learner has to beat.

All are fitted on the rows of meta-training tasks, and at meta-test on support rows only.
"""

import numpy as np

from pipeline.data.pools import Episodes, FrozenTasks

Predictions = dict[str, np.ndarray]


def trivial_predictions(episodes: Episodes, tasks: FrozenTasks) -> Predictions:
    """Predictions (T, M) for the query rows of `tasks`, standardised like their targets.

    Rating data: `global_mean`; `item_mean`; `item_user_offset`, the item mean plus the mean
    residual of the user's support rows, shrunk by the ratio of variances within and between
    users (a one-way random-effects model). Synthetic families: `global_mean`;
    `support_mean`, the mean of the task's own support targets. Classes, as log probabilities
    (T, M, C): `train_frequencies`, of each class in all rows of meta-training tasks;
    `support_frequencies`, the same of the task's support rows, (n_c + C q_c) / (n + C) with q the
    former: as if C rows of them had been seen, so that no class is impossible.
    """
    if episodes.classes:
        return _class_frequencies(episodes, tasks)
    pool = episodes.train
    mean = float(pool.y.mean())
    everywhere = np.full(tasks.qy.shape, mean)
    rows = tasks.s_weight.sum(1)
    if not episodes.n_items:
        own = (tasks.sy * tasks.s_weight).sum(1) / rows
        return {
            "global_mean": everywhere,
            "support_mean": np.broadcast_to(own[:, None], tasks.qy.shape),
        }
    item = item_means(pool.x, pool.y, episodes.n_items)
    residual = (tasks.sy - item[tasks.sx]) * tasks.s_weight
    shrinkage = user_shrinkage(pool.y - item[pool.x], pool.counts)
    offset = residual.sum(1) / (rows + shrinkage)
    by_item = item[tasks.qx]
    return {
        "global_mean": everywhere,
        "item_mean": by_item,
        "item_user_offset": by_item + offset[:, None],
    }


def _class_frequencies(episodes: Episodes, tasks: FrozenTasks) -> Predictions:
    classes = np.arange(len(episodes.classes))
    count = np.bincount(episodes.train.y.astype(np.int64), minlength=len(classes))
    shape = (*tasks.qy.shape, len(classes))
    everywhere = (count + 1 / len(classes)) / (count.sum() + 1)  # none is impossible
    seen = ((tasks.sy[..., None] == classes) * tasks.s_weight[..., None]).sum(1)
    own = seen + len(classes) * everywhere
    own /= own.sum(1, keepdims=True)
    return {
        "train_frequencies": np.broadcast_to(np.log(everywhere), shape),
        "support_frequencies": np.broadcast_to(np.log(own)[:, None], shape),
    }


def item_means(items: np.ndarray, y: np.ndarray, n_items: int) -> np.ndarray:
    """Mean target of each item, (n_items,); the global mean where an item has no row."""
    count = np.bincount(items, minlength=n_items)
    total = np.bincount(items, weights=y, minlength=n_items)
    return np.divide(total, count, out=np.full(n_items, y.mean()), where=count > 0)


def user_shrinkage(residuals: np.ndarray, counts: np.ndarray) -> float:
    """Within-user variance over between-user variance, by moments.

    Args:
        residuals: (R,), users one after another. counts: rows of each user, (T,).

    Returns:
        k such that n rows of a user carry the weight n / (n + k); infinity when users do
        not differ, 0 when their rows do not.
    """
    user = np.repeat(np.arange(len(counts)), counts)
    means = np.bincount(user, weights=residuals, minlength=len(counts)) / counts
    total, users = counts.sum(), len(counts)
    within = float(((residuals - means[user]) ** 2).sum() / max(total - users, 1))
    around = float((counts * (means - residuals.mean()) ** 2).sum() / max(users - 1, 1))
    size = (total - (counts**2).sum() / total) / max(users - 1, 1)
    between = (around - within) / size
    return within / between if between > 0 else float("inf")
