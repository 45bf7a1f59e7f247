"""Our methods minus item mean + user offset against test steps, one panel per rating setting."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.config.titles import OFFSET, label_order
from pipeline.figures.curves import BANDS, frame_steps, step_axis
from pipeline.figures.style import draw_line, legend, panels, style_of

_ROOM = 1.6  # limits of y, in widest intervals at K around the differences there


def draw_ratings(comparisons: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Mean paired difference in nRMSE with its 95 % interval; below zero the method is better.

    Args:
        comparisons, main: the tables `comparisons.csv` and `main.csv`.
        settings: rating settings, one panel each, in this order.
    """
    rows = comparisons[comparisons["other"] == OFFSET]
    rows = rows[rows["reference"].isin(_compared_everywhere(rows))]
    figure, grid = panels(len(settings), height=2.3 if len(settings) > 1 else 3.4)
    for setting, axes in zip(settings, grid[:, 0], strict=True):
        about = main[main["setting"] == setting].iloc[0]
        _draw_differences(axes, rows[rows["setting"] == setting], int(about["inner_steps"]))
        frame_steps(axes, about)
    for axes in grid[:: min(len(settings), 3), 0]:
        axes.set_ylabel("nRMSE − that of\nitem mean + user offset")
    legend(figure, rows.loc[rows["setting"].isin(settings), "reference"])
    return figure


def _compared_everywhere(rows: pd.DataFrame) -> set[str]:
    """References at every step of a setting: ours, not the best of one step alone."""
    steps = rows.groupby(["setting", "reference"])["step"].nunique()
    full = steps[steps == rows.groupby("setting")["step"].nunique().reindex(steps.index, level=0)]
    return set(full.index.get_level_values("reference"))


def _draw_differences(axes: Axes, rows: pd.DataFrame, inner_steps: int) -> None:
    axes.axhline(0, color="#666666", linewidth=1.0, zorder=1)
    for label in sorted(set(rows["reference"]), key=label_order):
        line = rows[rows["reference"] == label].sort_values("step")
        steps = line["step"].to_numpy(float)
        draw_line(axes, label, steps, line["difference"], zorder=3)
        axes.fill_between(
            steps,
            line["lo"].to_numpy(float),
            line["hi"].to_numpy(float),
            color=style_of(label).color,
            alpha=BANDS,
            linewidth=0,
            zorder=2,
        )
    _limits(axes, rows[rows["step"] == inner_steps])
    if len(rows):
        step_axis(axes, rows["step"].to_numpy(float))


def _limits(axes: Axes, at_horizon: pd.DataFrame) -> None:
    """Around zero and the intervals at K: far-off first steps leave the panel."""
    ends = at_horizon[["lo", "hi", "difference"]].to_numpy(float)
    finite = ends[np.isfinite(ends)]
    if not len(finite):
        return
    low, high = min(0.0, float(finite.min())), max(0.0, float(finite.max()))
    room = _ROOM * (high - low) or 1.0
    axes.set_ylim(low - 0.15 * room, high + room)
