"""The ablation as a figure: each switch's effect with its interval, one panel per setting."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from pipeline.config.titles import label_order
from pipeline.figures.style import WIDTH, legend, style_of
from pipeline.tables.ablation import TEXTS, measure_of_effects, outcome, setting_title, signed

_APART = 0.3  # rows between two methods at the same point
_SPAN = 30.0  # effects whose largest is this times the median are shown on a symlog axis
_TICKS = 5  # at most about so many on an axis, whose labels else touch


def draw_ablation(table: pd.DataFrame) -> Figure:
    """Error of the authors' way minus ours; filled where it is surely not zero.

    Args:
        table: `ablation.csv`.
    """
    settings = list(dict.fromkeys(table["setting"]))
    error = measure_of_effects(table).title
    points = [point for point in TEXTS if (table["point"] == point).any()]
    labels = sorted(set(table["label"]), key=label_order)
    figure = Figure(figsize=(WIDTH, 0.42 * len(points) + 1.5), layout="constrained")
    grid = figure.subplots(1, len(settings), squeeze=False, sharey=True)[0]
    for axes, setting in zip(grid, settings, strict=True):
        rows = table[table["setting"] == setting]
        _scale(axes, rows)
        axes.axvline(0, color="#666666", linewidth=1.0, zorder=1)
        for row in rows.to_dict("records"):
            here = sorted(set(rows.loc[rows["point"] == row["point"], "label"]), key=label_order)
            offset = _APART * (here.index(row["label"]) - (len(here) - 1) / 2)
            _draw_effect(axes, row, points.index(row["point"]) + offset)
        axes.set_title(setting_title(table, setting))
        axes.set_xlabel(f"{error}, released − ours (positive: ours is better)")
        axes.grid(axis="y", visible=False)
    grid[0].set_yticks(range(len(points)), [TEXTS[point].title for point in points])
    grid[0].set_ylim(len(points) - 0.4, -0.6)
    legend(figure, labels)
    return figure


def _draw_effect(axes: Axes, row: dict, y: float) -> None:
    style = style_of(row["label"])
    if not np.isfinite(row["effect"]):
        text, at = str(row["status"]), 0.0
    else:
        at = row["effect"]
        text = signed(at)
        if np.isfinite(row["lo"]):
            axes.plot([row["lo"], row["hi"]], [y, y], color=style.color, linewidth=1.6, zorder=2)
        sure = outcome(row) != "same"
        look: dict[str, Any] = {
            "markerfacecolor": style.color if sure else "white",
            "markersize": 6.5,
        }
        axes.plot(at, y, marker=style.marker, color=style.color, linestyle="", zorder=3, **look)
    # beside the interval's far end, away from zero
    ends = [at, row["lo"], row["hi"]]
    end = np.nanmax(ends) if at >= 0 else np.nanmin(ends)
    axes.annotate(
        *(text, (end, y)),
        xytext=(7 if at >= 0 else -7, 0),
        textcoords="offset points",
        ha="left" if at >= 0 else "right",
        va="center",
        fontsize=7.5,
        color=style.color,
    )


def _scale(axes: Axes, rows: pd.DataFrame) -> None:
    """Linear, or symlog where one effect would press the others flat; room for the labels."""
    ends = rows[["effect", "lo", "hi"]].to_numpy(float)
    finite = [0.0, *ends[np.isfinite(ends)]]
    low, high = min(finite), max(finite)
    sizes = np.abs(rows["effect"].to_numpy(float))
    middle = float(np.nanmedian(sizes)) if np.isfinite(sizes).any() else 0.0
    axes.xaxis.set_major_locator(MaxNLocator(_TICKS))
    threshold = 10.0 ** np.floor(np.log10(middle)) if middle else 1.0
    if middle and max(-low, high) > _SPAN * middle:
        axes.set_xscale("symlog", linthresh=threshold, linscale=1.0)
        axes.xaxis.set_minor_locator(NullLocator())
        # the minus sign of linear axes
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}".replace("-", "−")))
    left, right = (_place(axes, edge) for edge in (low, high))
    room = 0.28 * (right - left) or 1.0
    back = axes.transScale.inverted().transform
    edges = (left - (room if low < 0 else 0.1 * room), right + room)
    axes.set_xlim(*(float(back((edge, 0.5))[0]) for edge in edges))
    if axes.get_xscale() == "symlog":
        axes.xaxis.set_major_locator(FixedLocator(_symlog_ticks(low, high, threshold)))


def _symlog_ticks(low: float, high: float, threshold: float) -> list[float]:
    """Zero and powers of ten on both sides, few enough for their labels."""
    decades = [
        max(0, int(np.ceil(np.log10(max(abs(end), threshold) / threshold) - 1e-9)))
        for end in (min(low, 0.0), max(high, 0.0))
    ]
    stride = -(-(sum(decades) + 2) // _TICKS)
    # a power beside zero is near it: left out where powers are thinned
    first = 0 if stride == 1 else stride
    ticks = [
        sign * threshold * 10.0**power
        for sign, count in zip((-1, 1), decades, strict=True)
        for power in range(first, count + 1, stride)
    ]
    return sorted([0.0, *ticks])


def _place(axes: Axes, value: float) -> float:
    return float(axes.transScale.transform((value, 0.5))[0])
