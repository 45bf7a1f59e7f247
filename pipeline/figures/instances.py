"""One task of each synthetic family: the function and the points a learner is given."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.config.titles import DATASETS
from pipeline.data.families import FAMILIES
from pipeline.data.synthetic import evaluate
from pipeline.data.task_sets import read_tasks
from pipeline.errors import BadInput
from pipeline.figures.style import WIDTH

_RESOLUTION = 161  # grid points per input
_LEVELS = 16


def synthetic_settings(main: pd.DataFrame, settings: list[str]) -> list[pd.Series]:
    """The first setting of each synthetic family, as rows of `main.csv`."""
    chosen: dict[str, pd.Series] = {}
    for setting in settings:
        row = main[main["setting"] == setting].iloc[0]
        if row["dataset"] in FAMILIES:
            chosen.setdefault(row["dataset"], row)
    return list(chosen.values())


def draw_instances(chosen: list[pd.Series], tasks_dir: Path, seed: int) -> Figure:
    """The first meta-test task of each family and its support points, in raw units.

    Args:
        chosen: rows of `main.csv`, see `synthetic_settings`.
        tasks_dir: folder with `{family}.parquet`.
        seed: whose tasks to take.

    Raises:
        BadInput: when a task set is missing or lacks that seed.
    """
    count = len(chosen)
    figure = Figure(figsize=(WIDTH * min(count, 2) / 2, 3.8), layout="constrained")
    grid = figure.subplots(1, count, squeeze=False)[0]
    for row, axes in zip(chosen, grid, strict=True):
        _draw_task(figure, axes, row, tasks_dir / f"{row['dataset']}.parquet", seed)
    return figure


def _draw_task(figure: Figure, axes: Axes, row: pd.Series, path: Path, seed: int) -> None:
    family = str(row["dataset"])
    tasks = read_tasks(path, seed=seed)
    test = np.flatnonzero(tasks.split == "test")
    if not len(test):
        raise BadInput(f"{path}: found no meta-test task of seed {seed}; make the file again")
    position = int(test[0])
    # a test task's support set is its first points (pipeline/data/episodes.py)
    support = 0 if pd.isna(row["support"]) else int(row["support"])
    points = tasks.x[tasks.starts[position] :][: min(support, int(tasks.counts[position]))]

    everything = tasks.about["parameters"][str(seed)]
    parameters = {name: values[position] for name, values in everything.items()}
    low, high = FAMILIES[family].bounds
    line = np.linspace(low, high, _RESOLUTION)
    x = np.stack(np.meshgrid(line, line, indexing="xy"), axis=-1)
    values = evaluate(family, parameters, x)

    contours = axes.contourf(line, line, values, levels=_LEVELS, cmap="viridis")
    contours.set_rasterized(True)  # as paths they would make the SVG a megabyte
    axes.plot(
        *points.T,
        linestyle="",
        marker="o",
        markersize=4,
        color="white",
        markeredgecolor="black",
        markeredgewidth=0.7,
        clip_on=False,
    )
    axes.set_aspect("equal")
    axes.grid(False)
    ticks = np.linspace(low, high, 5)
    axes.set(xlim=(low, high), ylim=(low, high), xticks=ticks, yticks=ticks)
    axes.set(xlabel="$x_1$", ylabel="$x_2$")
    axes.set_title(f"{DATASETS.get(family, family)}: one test task, {len(points)} support points")
    bar = figure.colorbar(contours, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("$f(x)$")
    bar.outline.set_visible(False)
