"""Ratings less what a Gaussian model of the items says of them: a network learns what is left.

With x ~ N(mu, C) the ratings of a user (pipeline/runs/predictors/gaussian_items.py), O the items
of the support rows, P = C[O, O]^-1 and a = P (x - mu)[O], a query row of item j is given the
conditional mean, and a support row of item i what the other support rows say of it,

    mu_j + C[j, O] a          and          x_i - a_i / P_ii,

the leave-one-out mean, so that both are errors of the same kind. The network is trained on the
targets less these offsets, in meta-training as in the test, and its predictions are added to
them.

A user of meta-training has had a part in the mean and the covariance of all of them, a test user
has not: offsets of meta-training tasks are of a model of the users of other folds.

Fitting those models takes half a minute of 25,000 users, so they are fitted once for all methods of
a seed, and lie in `data/episodes/{setting}/{seed}.offsets.parquet`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.episodes import load_episodes
from pipeline.data.pools import Episodes, FrozenTasks, ItemModel
from pipeline.data.schemas import item_models, read_metadata, read_rows, write_rows
from pipeline.errors import BadInput
from pipeline.files import parse_json
from pipeline.runs.predictors.gaussian_items import chosen_items, enough, fit, ratings_table

FOLDS = 5


def fit_offsets(
    tasks: Path, episodes_file: Path, out: Path, *, metadata: Mapping[str, Any]
) -> None:
    """Write the models of a setting and seed: that of all users first, then those of folds.

    Raises:
        BadInput: for files of another kind, or tasks that are no ratings.
    """
    episodes = load_episodes(tasks, episodes_file)
    if not episodes.n_items:
        raise BadInput(
            f"{tasks}: found tasks without items; needed ratings, of which the Gaussian model of "
            "the items is fitted. Leave `offset` out of this setting."
        )
    models = fit_models(episodes)
    columns = {
        "model": np.repeat(np.arange(len(models)), episodes.n_items),
        "item": np.tile(np.arange(episodes.n_items), len(models)),
        "mean": np.concatenate([items.mean for items in models]),
        "covariance": np.concatenate([items.covariance for items in models]),
    }
    write_rows(out, columns, item_models(episodes.n_items), metadata)


def read_models(file: Path, episodes: Episodes, made_of: str) -> list[ItemModel]:
    """What `fit_offsets` wrote.

    Args:
        made_of: digest of the recipe of the episodes.

    Raises:
        BadInput: when they were fitted to other episodes.
    """
    found = parse_json(read_metadata(file).get("spec", "{}"))
    if found.get("episodes") != made_of:
        raise BadInput(
            f"{file}: found item models that were fitted to other episodes; needed those of the "
            "run's own. Make them anew: `python -m pipeline fit-offsets`, or `snakemake`."
        )
    rows = read_rows(file, item_models(episodes.n_items))
    places = np.split(np.arange(len(rows["item"])), len(rows["item"]) // episodes.n_items)
    return [ItemModel(rows["mean"][of], rows["covariance"][of]) for of in places]


def fit_models(episodes: Episodes) -> list[ItemModel]:
    """The model of all users of meta-training, then for each fold that of the others' users."""
    items, weight = chosen_items(episodes)
    table = ratings_table(episodes.train, episodes.n_items)
    fold = np.arange(len(table)) % FOLDS
    return [items, *(fit(enough(table[fold != number]), weight) for number in range(FOLDS))]


def with_offsets(episodes: Episodes, models: Sequence[ItemModel] | None = None) -> Episodes:
    """The same episodes, with offsets of their rating tasks and the model that they are of.

    Args:
        models: as `fit_models` gives them; None: they are fitted.
    """
    items, *of_folds = models or fit_models(episodes)
    fold = np.arange(len(episodes.train.counts)) % FOLDS

    def of_drawn(
        position: np.ndarray, sx: np.ndarray, sy: np.ndarray, qx: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return _stacked(
            [
                offsets(of_folds[fold[at]], x, y, np.ones_like(y), query)
                for at, x, y, query in zip(position, sx, sy, qx, strict=True)
            ]
        )

    return replace(
        episodes,
        train=replace(episodes.train, offset=of_drawn),
        validation=_frozen(items, episodes.validation),
        test=_frozen(items, episodes.test),
        items=items,
    )


def offsets(
    items: ItemModel, x: np.ndarray, y: np.ndarray, weight: np.ndarray, query: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of one task's support rows (N,) and query rows (M,), in the units of the model.

    Args:
        x, y, weight: items, ratings and weights of the support rows, (N,); padding weighs 0. Of an
            item that was rated several times the mean counts, and is left out as one.
        query: items of the query rows, (M,).
    """
    count = np.bincount(x, weights=weight, minlength=len(items.mean))
    total = np.bincount(x, weights=weight * y, minlength=len(items.mean))
    seen = np.flatnonzero(count)
    rated = total[seen] / count[seen]
    precision = np.linalg.inv(items.covariance[np.ix_(seen, seen)])
    solved = precision @ (rated - items.mean[seen])
    left_out = items.mean.copy()
    left_out[seen] = rated - solved / precision.diagonal()
    return left_out[x], items.mean[query] + items.covariance[np.ix_(query, seen)] @ solved


def _frozen(items: ItemModel, tasks: FrozenTasks) -> FrozenTasks:
    rows = zip(tasks.sx, tasks.sy, tasks.s_weight, tasks.qx, strict=True)
    support, query = _stacked([offsets(items, *row) for row in rows])
    return replace(tasks, s_offset=support, q_offset=query)


def _stacked(pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    support, query = zip(*pairs, strict=True)
    return np.stack(support), np.stack(query)
