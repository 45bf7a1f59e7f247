"""Our methods minus a predictor against test steps, one panel per rating setting.

The predictor is item mean + user offset, or, in a grid that asks for more than the trivial ones,
the best of a setting.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.config.measures import measure_in
from pipeline.config.methods import TO_BEAT
from pipeline.config.predictors import ASKED_FOR
from pipeline.config.titles import OFFSET, label_order, label_title
from pipeline.figures.curves import against_steps, step_axis
from pipeline.figures.style import draw_band, draw_line, legend, style_of

_ROOM = 1.6  # limits of y, in widest intervals at K around the differences there


def draw_ratings(comparisons: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Mean paired difference in error with its 95 % interval; below zero the method is better.

    Args:
        comparisons, main: the tables `comparisons.csv` and `main.csv`.
        settings: rating settings, one panel each, in this order.
    """
    measure = measure_in(main.columns)
    predictors = main[(main["kind"] == "trivial") | main["label"].isin(TO_BEAT)]
    others, of = pd.Series(OFFSET, settings), label_title(OFFSET)
    if ASKED_FOR.keys() & set(predictors["label"]):
        others = predictors.sort_values(measure.name).groupby("setting")["label"].first()
        of = "the best predictor"
    rows = comparisons[comparisons["other"] == comparisons["setting"].map(others)]
    rows = rows[rows["reference"].isin(_compared_everywhere(rows))]
    y_label = f"{measure.title} − that of\n{of}"
    figure, grid = against_steps(main, settings, y_label, height=2.3)
    for setting, axes in zip(settings, grid, strict=True):
        _draw_differences(axes, rows[rows["setting"] == setting])
    legend(figure, rows.loc[rows["setting"].isin(settings), "reference"])
    return figure


def _compared_everywhere(rows: pd.DataFrame) -> set[str]:
    """References at every step of a setting: ours, not the best of one step alone."""
    steps = rows.groupby(["setting", "reference"])["step"].nunique()
    full = steps[steps == rows.groupby("setting")["step"].nunique().reindex(steps.index, level=0)]
    return set(full.index.get_level_values("reference"))


def _draw_differences(axes: Axes, rows: pd.DataFrame) -> None:
    axes.axhline(0, color="#666666", linewidth=1.0, zorder=1)
    for label in sorted(set(rows["reference"]), key=label_order):
        line = rows[rows["reference"] == label].sort_values("step")
        draw_line(axes, label, line["step"], line["difference"], zorder=3)
        draw_band(axes, line["step"], line["lo"], line["hi"], style_of(label).color, zorder=2)
    if len(rows):
        _limits(axes, rows[rows["step"] == rows["inner_steps"]])
        step_axis(axes, rows["step"])


def _limits(axes: Axes, at_horizon: pd.DataFrame) -> None:
    """Around zero and the intervals at K: far-off first steps leave the panel."""
    ends = at_horizon[["lo", "hi", "difference"]].to_numpy(float)
    finite = ends[np.isfinite(ends)]
    if not len(finite):
        return
    low, high = min(0.0, float(finite.min())), max(0.0, float(finite.max()))
    room = _ROOM * (high - low) or 1.0
    axes.set_ylim(low - 0.15 * room, high + room)
