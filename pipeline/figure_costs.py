"""Cost of one meta-update against inner steps: the paper's Figures 3 (memory) and 4 (time)."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pipeline.figure_style import draw_line, legend, log_axis, panels, style_of

_MARKS = {"out_of_memory": ("x", "out of memory"), "failed": ("1", "failed")}


def draw_memory(costs: pd.DataFrame) -> Figure:
    """Peak memory in MB (1e6 bytes) of one meta-update, log-log; `costs` is `costs.csv`."""
    values = costs.assign(value=costs["peak_bytes"] / 1e6)
    return _draw(values, "peak memory per meta-update (MB)", "memory")


def draw_time(costs: pd.DataFrame) -> Figure:
    """Median wall seconds of one meta-update, log-log; `costs` is the table `costs.csv`."""
    return _draw(costs.assign(value=costs["seconds"]), "seconds per meta-update", "time")


def _draw(costs: pd.DataFrame, y_label: str, what: str) -> Figure:
    figure, grid = panels(1, height=3.4)
    axes = grid[0, 0]
    axes.set_xlabel("inner steps K")
    axes.set_ylabel(y_label)
    drawn = costs[costs["value"].notna() & (costs["value"] > 0)]
    if drawn.empty:
        axes.text(0.5, 0.5, f"no {what} was measured", transform=axes.transAxes, ha="center")
        return figure
    for label in dict.fromkeys(drawn["label"]):
        line = drawn[drawn["label"] == label]
        draw_line(axes, label, line["inner_steps"], line["value"])
    log_axis(axes, "y")
    axes.set_xscale("log")
    ticks = sorted(set(costs["inner_steps"]))
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    devices = sorted(set(costs["device"].dropna().astype(str)))
    axes.set_title(f"measured on: {', '.join(devices)}" if devices else "")
    extra = _mark_failures(axes, costs)
    legend(figure, costs["label"], extra=extra)
    return figure


def _mark_failures(axes: Axes, costs: pd.DataFrame) -> list[Line2D]:
    """A mark on the upper edge, in its colour, where a method did not finish."""
    handles = []
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** 0.08)
    for status, (marker, text) in _MARKS.items():
        failures = costs[costs["status"] == status]
        for place, (_, row) in enumerate(failures.iterrows()):
            # failures at the same K step down, so that none hides another
            same = failures["inner_steps"].iloc[:place] == row["inner_steps"]
            height = 0.97 - 0.05 * int(np.count_nonzero(same))
            axes.plot(
                [row["inner_steps"]],
                [height],
                transform=axes.get_xaxis_transform(),
                marker=marker,
                markersize=9,
                markeredgewidth=2.2,
                color=style_of(str(row["label"])).color,
                linestyle="",
                clip_on=False,
            )
        if len(failures):
            handles.append(
                Line2D(
                    [],
                    [],
                    color="#4d4d4d",
                    linestyle="",
                    marker=marker,
                    markersize=8,
                    markeredgewidth=2.0,
                    label=text,
                )
            )
    return handles
