"""A meta-learned initialisation as a file of its own: weights, and all that is needed to use them.

`meta_init.safetensors` of a run's record holds `theta` (P,), and in its metadata, as JSON under
`initialisation`, what `describe` says: network, inputs, scaling, how it is trained on a task, and
how good it was on test tasks. Where a network learns what a model of the items leaves of ratings
(pipeline/runs/offsets.py), `item_mean` (I,) and `item_covariance` (I, I) are that model. The file
may be copied anywhere.

    initialisation = Initialisation.read(Path("results/quickstart/runs/.../meta_init.safetensors"))
    found = initialisation.adapt(support_x, support_y, query_x)  # raw units, (N, D), (N,), (M, D)

A champion (pipeline/tables/champions.py) is such a file, which says also how it was chosen. For
rows with ids and categories as people have them: pipeline/runs/use.py.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.config.measures import measure_in
from pipeline.core import Rows, adapt
from pipeline.data.own_files import Kind, OwnColumns
from pipeline.data.pools import Episodes, ItemModel, Scaling, pad_rows
from pipeline.data.schemas import read_metadata
from pipeline.errors import BadInput
from pipeline.runs.device import DTYPES
from pipeline.runs.model import make_model
from pipeline.runs.offsets import offsets
from pipeline.runs.recipe import Recipe
from pipeline.runs.weights import read_arrays, write_arrays
from pipeline.seals import Damaged, read_sealed

KEY = "initialisation"
_ITEMS = ("item_mean", "item_covariance")


def describe(
    recipe: Recipe, episodes: Episodes, tasks: Path, metrics: Mapping[str, Any]
) -> dict[str, Any]:
    """All but theta that is needed to use an initialisation.

    Returns:
        method, label, setting, dataset, seed; hidden, or model, rates, loss; target (name);
        inputs: a list of name and categories (None of a number), with the shape of arrays, or
        items: names of what is rated, in the order of the one-hot input, and item (name of their
        column); task (name of the column of task ids);
        scaling; evaluation: learning_rate, optimiser; inner_steps (K); dtype; fingerprint (of the
        data); nrmse, rmse, or log_loss, accuracy (on test tasks).
    """
    about, measure = read_metadata(tasks), measure_in(metrics)
    names = about.get("columns", {})
    if episodes.n_items:
        items = about.get("item_names") or [str(item) for item in about["item_ids"]]
        inputs: dict[str, Any] = {"items": items, "item": names.get("item", "item")}
        task = names.get("task", "user")
        target = names.get("rating", "rating")
    else:
        width = episodes.train.x.shape[1]
        plain = [{"name": f"x{place}", "categories": None} for place in range(width)]
        inputs = {"inputs": names.get("inputs", plain)}
        inputs |= {"shape": about["shape"]} if "shape" in about else {}
        task = names.get("task", "task")
        target = about.get("target", "y")
    return {
        **{name: recipe[name] for name in ("method", "label", "setting", "dataset", "seed")},
        **{name: recipe[name] for name in ("hidden", "inner_steps", "dtype")},
        **{name: recipe[name] for name in ("model", "rates") if name in recipe},
        "loss": recipe.get("loss", about.get("loss", "squared")),
        **({"classes": about["classes"]} if "classes" in about else {}),
        **inputs,
        "target": target,
        "task": task,
        "scaling": asdict(episodes.scaling),
        "evaluation": {key: recipe["evaluation"][key] for key in ("learning_rate", "optimiser")},
        "fingerprint": episodes.metadata["fingerprint"],
        **{name: metrics.get(name) for name in (measure.name, measure.beside)},
    }


def item_arrays(model: ItemModel | None) -> dict[str, np.ndarray]:
    """The tensors of a file that a model of the items makes: float32, 40 kB of 100 items."""
    if model is None:
        return {}
    both = (model.mean, model.covariance)
    return {name: of.astype(np.float32) for name, of in zip(_ITEMS, both, strict=True)}


@dataclass(frozen=True)
class Initialisation:
    """theta (P,), what `describe` says of it, and the model of the items that it goes with."""

    path: Path
    theta: Tensor
    about: dict[str, Any]
    item_model: ItemModel | None = None

    @classmethod
    def read(cls, path: Path) -> "Initialisation":
        """Of a run's folder, or of a file `meta_init.safetensors`.

        Raises:
            BadInput: when there is none, or a file of something else, or of a run that was restored
                from evidence, which keeps no weights.
        """
        file = path / "meta_init.safetensors" if path.is_dir() else path
        if not file.is_file():
            raise BadInput(
                f"{file}: found no initialisation. Give a run's folder, such as "
                "results/quickstart/runs/METHOD/SETTING/SEED, its meta_init.safetensors, or the "
                "file of a champion."
            )
        try:
            arrays, told = read_arrays(file)
            about = json.loads(told.get(KEY, "null"))
        except Damaged as error:
            raise _damaged(file, error.fault) from error
        except ValueError as error:
            raise _damaged(file, str(error)[:100]) from error
        names = sorted(arrays)
        theta = torch.tensor(arrays["theta"]) if "theta" in names else None
        items = [arrays[name] for name in _ITEMS if name in names]
        if about is None and names not in ([], ["theta"]):
            raise _damaged(file, f"tensors of something else: {', '.join(names[:3])}")
        if theta is None or about is None:
            raise BadInput(
                f"{file}: found no weights: the run was restored from evidence, which keeps its "
                f"errors only, or failed, or is of an earlier version. Train it: {_training(file)}."
            )
        if len(items) not in (0, len(_ITEMS)):
            raise _damaged(file, f"one of the tensors {' and '.join(_ITEMS)} without the other")
        model = ItemModel(*(of.astype(np.float64) for of in items)) if items else None
        return cls(file, theta, about, model)

    def write(self, path: Path) -> None:
        """Write a file that `read` reads: the same bytes for the same weights and description."""
        arrays = {"theta": self.theta.numpy(), **item_arrays(self.item_model)}
        write_arrays(path, arrays, {KEY: json.dumps(self.about, sort_keys=True)})

    @property
    def items(self) -> list[str] | None:
        """Names of what is rated; None where inputs are columns."""
        return self.about.get("items")

    @property
    def columns(self) -> dict[str, Kind]:
        """Columns that a file of rows has to have, but for the target."""
        if self.items is not None:
            return {self.about["item"]: "text"}
        columns = self.about["inputs"]
        number: Kind = "array" if "shape" in self.about and len(columns) == 1 else "number"
        return {c["name"]: "text" if c["categories"] else number for c in columns}

    def encode(self, rows: OwnColumns) -> np.ndarray:
        """Inputs of a file's rows: (N, D) or (N, ...), or item indices (N,), -1 of unknown items.

        Raises:
            BadInput: for a missing value, or a category that training did not have.
        """
        for name in self.columns:
            missing = rows.missing(name)
            if missing.any():
                place = rows.place(int(missing.argmax()))
                raise BadInput(f"{place}: column '{name}': found no value. Mend it.")
        if self.items is not None:
            place_of = {name: place for place, name in enumerate(self.items)}
            name = self.about["item"]
            places = np.array([place_of.get(value, -1) for value in rows.values[name]], dtype=int)
            return places[rows.codes[name]]
        parts = []
        for column in self.about["inputs"]:
            name, categories = column["name"], column["categories"]
            if not categories:
                parts.append(rows.numbers[name])
                continue
            texts = np.array(rows.values[name], dtype=object)[rows.codes[name]]
            unknown = ~np.isin(texts, categories)
            if unknown.any():
                row = int(unknown.argmax())
                raise BadInput(
                    f"{rows.place(row)}: column '{name}': found '{texts[row]}', needed one of "
                    f"{', '.join(categories)}, which training had."
                )
            parts += [(texts == category).astype(float) for category in categories]
        x = parts[0] if len(parts) == 1 else np.stack(parts, axis=1)
        x = x.reshape(len(x), -1)
        shape = self.about.get("shape", x.shape[1:])
        if x.shape[1] != math.prod(shape):
            raise BadInput(
                f"{rows.path}: found inputs of {x.shape[1]} numbers, needed {math.prod(shape)}: "
                f"training had the shape {shape}."
            )
        return x.reshape(-1, *shape)

    @property
    def steps(self) -> int:
        """K, the training steps on a task that theta was meta-trained for."""
        return int(self.about["inner_steps"])

    @property
    def classes(self) -> list[str]:
        """Names of the classes that are predicted, in order; empty where targets are numbers."""
        return list(self.about.get("classes", []))

    def targets(self, rows: OwnColumns) -> np.ndarray:
        """Targets of a file's rows (N,), NaN where there is none: numbers, or those of classes.

        Raises:
            BadInput: for a class that training did not have.
        """
        name = self.about["target"]
        if not self.classes:
            return rows.numbers[name]
        place_of = {label: place for place, label in enumerate(self.classes)}
        numbers = np.array([*(place_of.get(label, -1) for label in rows.values[name]), np.nan])
        found = numbers[rows.codes[name]]
        if (found < 0).any():
            row = int((found < 0).argmax())
            raise BadInput(
                f"{rows.place(row)}: column '{name}': found the class "
                f"'{rows.values[name][rows.codes[name][row]]}', needed one of "
                f"{', '.join(self.classes)}, which training had."
            )
        return found

    def adapt(
        self, x: np.ndarray, y: np.ndarray, query: np.ndarray, *, steps: int | None = None
    ) -> np.ndarray:
        """`adapt_tasks` for one task."""
        return self.adapt_tasks([(x, y, query)], steps=steps)[0]

    def adapt_tasks(
        self,
        tasks: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
        *,
        steps: int | None = None,
        names: Sequence[str] = (),
    ) -> list[np.ndarray]:
        """Predictions for tasks' query rows after training on their support rows, together.

        Args:
            tasks: of each its x, y and query. x, y: support inputs (N, D) or (N, ...) or item
                indices (N,), and targets (N,), raw units or numbers of classes. query: inputs
                (M, D) or (M, ...) or item indices (M,). Of an item that training did not have,
                index -1, the mean of all meta-training targets is predicted, and support rows of
                such items are left out.
            steps: of training; None: the K that theta was trained for.
            names: of the tasks, for messages.

        Returns:
            For each task predictions (M,) in raw units; of C classes probabilities (M, C).

        Raises:
            BadInput: when training diverges, no support row is left, or `steps` is no number of
                steps.
        """
        steps = self.steps if steps is None else steps
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 0:
            raise BadInput(f"steps: found {steps!r}, needed a whole number of at least 0.")
        scaling, dtype = Scaling(**self.about["scaling"]), DTYPES[self.about["dtype"]]
        has_items = self.items is not None
        parts = [(x[x >= 0], y[x >= 0]) if has_items else (x, y) for x, y, _ in tasks]
        where = [f"task '{name}'" for name in names] or [str(self.path)] * len(tasks)
        for place, (_, y) in zip(where, parts, strict=True):
            if not len(y):
                raise BadInput(f"{place}: found no support row to train on, needed one or more.")
        x, weight = _padded([x for x, _ in parts])
        y, _ = _padded([y for _, y in parts])
        asked, _ = _padded([np.maximum(query, 0) if has_items else query for _, _, query in tasks])
        y = y if self.classes else scaling.scale_y(y)
        after: np.ndarray | float = 0.0
        if self.item_model is not None:
            rows = zip(x, y, weight, asked, strict=True)
            found = [offsets(self.item_model, *row) for row in rows]
            y = y - np.stack([of_support for of_support, _ in found])
            after = np.stack([of_query for _, of_query in found])
        if self.about["loss"] == "cross_entropy":
            y = y.astype(np.int64)
        model = make_model(self.about, len(self.items or []) or x[0, 0].size, len(self.classes))
        support = Rows.from_arrays(scaling.scale_x(x), y, weight, dtype=dtype, name="support")
        wanted = torch.as_tensor(scaling.scale_x(asked))
        ((_, u),) = adapt(
            model,
            self.theta.to(dtype),
            support,
            steps=[int(steps)],
            lr=self.about["evaluation"]["learning_rate"],
            optimiser=self.about["evaluation"]["optimiser"],
        )
        outputs = model.predict(u, wanted if has_items else wanted.to(dtype)).double().detach()
        if self.classes:
            predicted = _probabilities(outputs).numpy()
        else:
            predicted = scaling.to_raw_y(outputs.numpy() + after)
        answers = [own[: len(query)] for own, (_, _, query) in zip(predicted, tasks, strict=True)]
        for place, own, (_, _, query) in zip(where, answers, tasks, strict=True):
            if has_items:
                own[query < 0] = scaling.y_mean
            if not np.isfinite(own).all():
                raise BadInput(
                    f"{place}: training on these support rows diverged; needed finite "
                    "predictions. Are their units those of the training data?"
                )
        return answers


def _padded(parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Arrays (N, ...) of several tasks as (B, longest, ...), and weights (B, longest)."""
    counts = np.array([len(part) for part in parts])
    return pad_rows(np.concatenate(parts), np.cumsum(counts) - counts, counts)


def _probabilities(outputs: Tensor) -> Tensor:
    """p (..., C) of log odds: (B, M) of the second of two classes, or (B, M, C) of each."""
    if outputs.ndim == 2:
        outputs = torch.stack([torch.zeros_like(outputs), outputs], -1)
    return outputs.softmax(-1)


def training_command(grid: str, dataset: str, label: str, setting: str, seed: int) -> str:
    """A line for the shell that trains a run of which only evidence is here."""
    return (
        f"python -m pipeline meta-train data/tasks/{dataset}.parquet "
        f"data/episodes/{setting}/{seed}.parquet results/{grid}/runs/{label}/{setting}/{seed} "
        f"--grid {grid} --method {label} --setting {setting} --seed {seed}"
    )


def _training(file: Path) -> str:
    """How to train the run in whose folder a file lies."""
    try:
        spec = read_sealed(file.parent / "spec.json")
        grid = file.resolve().parts[-6]
        command = training_command(
            grid, spec["dataset"], spec["label"], spec["setting"], spec["seed"]
        )
        return f"`snakemake data_all --config grid={grid}`, then `{command}`"
    except (OSError, ValueError, LookupError, TypeError):
        return "`snakemake train_all`"


def _damaged(file: Path, found: str) -> BadInput:
    return BadInput(
        f"{file}: found no readable initialisation ({found}); needed a file that `meta-train` or "
        "`promote` wrote. Take it from its place again, or make it anew with that command."
    )
