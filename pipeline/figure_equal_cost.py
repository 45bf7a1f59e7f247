"""Errors against cost: seconds, gradient equivalents and peak memory, a row per setting."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.figure_curves import fit_y, panel_title
from pipeline.figure_style import COLUMNS, POINT, draw_line, legend, log_axis, panels

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
        axes = grid[0, 0]
        axes.text(0.5, 0.5, "no method finished", transform=axes.transAxes, ha="center")
        return figure
    figure, grid = panels(COLUMNS * len(settings), height=2.5)
    for setting, row in zip(settings, grid.reshape(len(settings), COLUMNS), strict=True):
        rows = table[table["setting"] == setting]
        for axes, cost in zip(row, _COSTS, strict=False):
            _draw_validation(axes, rows, cost)
        _draw_memory(row[-1], rows)
        row[1].set_title(panel_title(rows.iloc[0]))
    for axes, text in zip(grid[-COLUMNS:, 0], (*_COSTS.values(), "peak memory (MB)"), strict=True):
        axes.set_xlabel(text)
    legend(figure, table["label"])
    return figure


def _draw_validation(axes: Axes, rows: pd.DataFrame, cost: str) -> None:
    for label in dict.fromkeys(rows["label"]):
        line = rows[(rows["label"] == label) & (rows[cost] > 0)]
        draw_line(axes, label, line[cost], line["validation_nrmse"], markevery=[-1], linewidth=1.1)
    log_axis(axes, "x")
    first = rows.groupby("label")["validation_nrmse"].first().median()
    fit_y(axes, rows["validation_nrmse"].to_numpy(float), ceiling=_CEILING * first)
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
        axes.text(0.5, 0.5, "no memory was measured", transform=axes.transAxes, ha="center")
        axes.set(xticks=[], yticks=[])
        return
    log_axis(axes, "x")
    axes.margins(x=0.12)
