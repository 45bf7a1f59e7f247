"""Cost of one meta-update against inner steps: the paper's Figures 3 (memory) and 4 (time)."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.figures.curves import fit_y, panel_title
from pipeline.figures.style import (
    COLUMNS,
    GREY,
    POINT,
    by_label,
    draw_line,
    legend,
    log_axis,
    panels,
    say,
    style_of,
    ticks_at,
)

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
        say(axes, f"no {what} was measured")
        return figure
    for label, line in by_label(drawn):
        draw_line(axes, label, line["inner_steps"], line["value"])
    log_axis(axes, "y")
    axes.set_xscale("log")
    ticks_at(axes, costs["inner_steps"])
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
        mark: dict[str, Any] = {"marker": marker, "linestyle": "", "markeredgewidth": 2.2}
        for label, steps, place in zip(
            failures["label"],
            failures["inner_steps"],
            failures.groupby("inner_steps").cumcount(),
            strict=True,
        ):
            # failures at the same K step down, so that none hides another
            axes.plot(
                [steps],
                [0.97 - 0.05 * place],
                **mark,
                transform=axes.get_xaxis_transform(),
                markersize=9,
                color=style_of(label).color,
                clip_on=False,
            )
        if len(failures):
            handles.append(Line2D([], [], **mark, color=GREY, markersize=8, label=text))
    return handles


# Errors against cost: seconds, gradient equivalents and peak memory, a row per setting.

_CEILING = 2.0  # validation errors above so many times the median first one are not shown
_COSTS = {
    "process_seconds": "process seconds of training",
    "gradient_equivalents": "gradient equivalents\n(gradients + 2 Hessian-vector products)",
}


def draw_equal_cost(table: pd.DataFrame) -> Figure:
    """One row of panels per setting of `equal_cost.csv`, in its order.

    Left and middle: validation nRMSE of the update itself, mean over seeds, against what
    training had cost by then; right: test nRMSE at K ± standard error against peak memory.
    """
    settings = list(dict.fromkeys(table["setting"]))
    if not settings:
        figure, grid = panels(1)
        say(grid[0, 0], "no method finished")
        return figure
    figure, grid = panels(COLUMNS * len(settings), height=2.5)
    for setting, row in zip(settings, grid.reshape(len(settings), COLUMNS), strict=True):
        rows = table[table["setting"] == setting]
        for axes, cost in zip(row, _COSTS, strict=False):
            _draw_validation(axes, rows, cost)
        _draw_memory(row[-1], rows)
        # of the row, so on its left
        row[0].set_title(panel_title(rows.iloc[0]).replace("\n", ", "), loc="left")
    for axes, text in zip(grid[-COLUMNS:, 0], (*_COSTS.values(), "peak memory (MB)"), strict=True):
        axes.set_xlabel(text)
    legend(figure, table["label"])
    return figure


def _draw_validation(axes: Axes, rows: pd.DataFrame, cost: str) -> None:
    for label, line in by_label(rows[rows[cost] > 0]):
        draw_line(axes, label, line[cost], line["validation_nrmse"], markevery=[-1], linewidth=1.1)
    log_axis(axes, "x")
    first = rows.groupby("label")["validation_nrmse"].first().median()
    fit_y(axes, rows["validation_nrmse"], ceiling=_CEILING * first)
    axes.set_ylabel("validation nRMSE")


def _draw_memory(axes: Axes, rows: pd.DataFrame) -> None:
    ends = rows[rows["test_nrmse"].notna() & (rows["peak_bytes"] > 0)]
    for _, end in ends.iterrows():
        label, at = str(end["label"]), end["peak_bytes"] / 1e6
        error = 0.0 if pd.isna(end["test_nrmse_stderr"]) else end["test_nrmse_stderr"]
        ends_at = (end["test_nrmse"] - error, end["test_nrmse"] + error)
        draw_line(axes, label, (at, at), ends_at, marker=None, linestyle="-", linewidth=1.0)
        draw_line(axes, label, [at], [end["test_nrmse"]], linestyle="", markersize=POINT)
    axes.set_ylabel("test nRMSE at K")
    if ends.empty:
        say(axes, "no memory was measured")
        axes.set(xticks=[], yticks=[])
        return
    log_axis(axes, "x")
    axes.margins(x=0.12)
