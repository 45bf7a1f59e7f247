"""What scaling the tasks' meta-gradients does, at each meta-batch."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.config.measures import measure_in
from pipeline.config.titles import label_title
from pipeline.figures.style import WIDTH, log_axis, say, ticks_at
from pipeline.tables.ablation import setting_title

_RULES = {  # colour, marker
    "mean": ("#000000", "o"),
    "unit": ("#D55E00", "s"),
    "clip": ("#0072B2", "^"),
}
_SURE = 0.05


def draw_aggregation(table: pd.DataFrame) -> Figure:
    """A panel for each setting and method: the test error at K against the meta-batch.

    A filled marker is another error than the mean's at the same meta-batch (p_holm < .05).

    Args:
        table: `aggregation.csv`.
    """
    error = measure_in(table.columns)
    settings = list(dict.fromkeys(table["setting"]))
    methods = list(dict.fromkeys(table["base"]))
    figure = Figure(figsize=(WIDTH, 2.4 * len(settings) + 0.7), layout="constrained")
    grid = figure.subplots(len(settings), len(methods), squeeze=False, sharex=True, sharey="row")
    for setting, line in zip(settings, grid, strict=True):
        of = table[table["setting"] == setting]
        line[0].set_ylabel(f"{setting_title(table, setting)}\n{error.title} at K")
        for method, axes in zip(methods, line, strict=True):
            _draw(axes, of[of["base"] == method], error.name)
        low, high = of[error.name].min(), of[error.name].max()
        if high > 4 * low:
            line[0].set_ylim(low / 1.2, high * 1.2)
            log_axis(line[0], "y")
    for method, axes in zip(methods, grid[0], strict=True):
        axes.set_title(label_title(method))
    for axes in grid[-1]:
        axes.set_xlabel("tasks of a meta-batch")
    figure.legend(
        handles=[
            Line2D([], [], color=color, marker=marker, label=rule)
            for rule, (color, marker) in _RULES.items()
            if rule in set(table["aggregate"])
        ],
        loc="outside lower center",
        ncols=len(_RULES),
        frameon=False,
    )
    return figure


def _draw(axes: Axes, rows: pd.DataFrame, error: str) -> None:
    if not np.isfinite(rows[error]).any():
        say(axes, "nothing finished")
    for rule, line in rows.groupby("aggregate", sort=False):
        color, marker = _RULES[str(rule)]
        line = line.sort_values("meta_batch")
        axes.errorbar(
            *(line["meta_batch"], line[error]),
            yerr=line[f"{error}_stderr"].fillna(0.0),
            color=color,
            linewidth=1.4,
            elinewidth=1.0,
        )
        for sure, points in line.groupby((line["p_holm"] < _SURE) | (str(rule) == "mean")):
            axes.plot(
                *(points["meta_batch"], points[error]),
                linestyle="none",
                marker=marker,
                markersize=5.5,
                color=color,
                markerfacecolor=color if sure else "white",
            )
    axes.set_xscale("log")
    ticks_at(axes, sorted(set(rows["meta_batch"])))
