"""Long horizons as a figure: test errors of initialisations trained for several T.

Per family and method: nRMSE against test steps, one line per trained horizon with its own
horizon marked; and nRMSE against the trained T after fixed numbers of test steps. A method that
stops early (a horizon for each task) is drawn dashed beside its fixed horizon.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.config.titles import DATASETS, label_title
from pipeline.config.variants import fixed_horizon
from pipeline.figures.curves import fit_y, step_axis
from pipeline.figures.style import GREY, WIDTH, End, draw_band, label_ends, ticks_at

AFTER = (10, 100, 1000, 5000)  # test steps of the panels against T
_DASHED = (0, (3, 1.5))
_FIXED, _BY_TASK = "one horizon for all tasks", "a horizon for each task (early stopping)"


def draw_horizons(table: pd.DataFrame) -> Figure:
    """Families side by side; for each method a row of curves and a row against T.

    Args:
        table: `horizons.csv`.
    """
    families = list(dict.fromkeys(table["dataset"]))
    methods = [m for m in dict.fromkeys(table["label"]) if fixed_horizon(m) is None]
    methods = methods or list(dict.fromkeys(table["label"]))
    figure = Figure(figsize=(WIDTH, 5.0 * len(methods) + 0.6), layout="constrained")
    grid = figure.subplots(2 * len(methods), len(families), squeeze=False)
    for row, method in enumerate(methods):
        for column, family in enumerate(families):
            rows = table[
                (table["dataset"] == family) & table["label"].map(_fixed_or_itself).eq(method)
            ]
            above, below = grid[2 * row, column], grid[2 * row + 1, column]
            if rows.empty:
                above.remove()
                below.remove()
                continue
            _draw_steps(above, rows)
            _draw_horizon(below, rows)
            above.set_title(f"{DATASETS.get(family, family)}\n{label_title(method)}")
    for axes in grid[:, 0]:
        axes.set_ylabel("nRMSE")
    _legend(figure, early=any(fixed_horizon(label) for label in set(table["label"])))
    return figure


def _fixed_or_itself(label: str) -> str:
    return fixed_horizon(label) or label


def _draw_steps(axes: Axes, rows: pd.DataFrame) -> None:
    """nRMSE against test steps; a dot where the test training is as long as the trained one."""
    colors = _colors(sorted(set(rows["horizon"])), "viridis_r")
    for label, horizon, line in _lines(rows, "horizon"):
        color, fixed = colors[horizon], fixed_horizon(label) is None
        axes.plot(
            line["step"],
            line["nrmse"],
            color=color,
            linestyle="-" if fixed else _DASHED,
            linewidth=1.5,
        )
        own = line[line["own"]]
        axes.plot(
            *(own["step"], own["nrmse"]),
            marker="o" if fixed else "d",
            color=color,
            markeredgecolor="white",
            markersize=7,
            linestyle="none",
            zorder=4,
        )
        if fixed:
            error = line["nrmse_stderr"].fillna(0.0)
            draw_band(axes, line["step"], line["nrmse"] - error, line["nrmse"] + error, color)
    fit_y(axes, rows.loc[rows["step"] > 0, "nrmse"])
    step_axis(axes, rows["step"])
    axes.set_xlabel("test training steps")
    lines = rows[rows["label"].map(fixed_horizon).isna()]
    lines = lines if len(lines) else rows
    ends = [_end(line, "step", f"T = {h:g}", colors[h]) for _, h, line in _lines(lines, "horizon")]
    label_ends(axes, ends, gap=0.085)


def _draw_horizon(axes: Axes, rows: pd.DataFrame) -> None:
    """nRMSE against the trained T, one line per number of test steps."""
    steps = [step for step in AFTER if step in set(rows["step"])] or [int(rows["step"].max())]
    picked = rows[rows["step"].isin(steps)]
    colors = _colors(steps, "plasma_r")
    ends: dict[float, End] = {}
    for label, step, line in _lines(picked, "step"):
        line, fixed = line.sort_values("horizon"), fixed_horizon(label) is None
        axes.errorbar(
            *(line["horizon"], line["nrmse"]),
            yerr=line["nrmse_stderr"].fillna(0.0) if fixed else None,
            color=colors[step],
            linestyle="-" if fixed else _DASHED,
            marker="o" if fixed else "d",
            markersize=4.5,
            markeredgecolor="white",
            linewidth=1.5,
            elinewidth=1.0,
        )
        if fixed or step not in ends:
            ends[step] = _end(line, "horizon", f"{step:,} steps", colors[step])
    fit_y(axes, picked["nrmse"])
    axes.set_xscale("log")
    ticks_at(axes, picked["horizon"])
    axes.set_xlabel("trained horizon T")
    label_ends(axes, list(ends.values()), gap=0.085)


def _lines(rows: pd.DataFrame, by: str) -> Iterator[tuple[str, float, pd.DataFrame]]:
    for label in dict.fromkeys(rows["label"]):
        here = rows[rows["label"] == label]
        for value in sorted(set(here[by])):
            yield label, value, here[here[by] == value]


def _colors(values: list, name: str) -> dict:
    """Dark for large values; the palest end of the map is left out."""
    places = np.linspace(0.25, 0.95, max(len(values), 2))
    return {value: colormaps[name](place) for value, place in zip(values, places, strict=False)}


def _end(line: pd.DataFrame, x: str, text: str, color: Any) -> End:
    """The last finite place of a line, with its name; not finite where there is none."""
    there = line[np.isfinite(line["nrmse"])].sort_values(x)
    last = there[[x, "nrmse"]].to_numpy(float)[-1] if len(there) else (np.nan, np.nan)
    return End(float(last[0]), float(last[1]), text, color)


def _legend(figure: Figure, *, early: bool) -> None:
    grey: Any = {"color": GREY, "markeredgecolor": "white", "markersize": 7}
    handles = [Line2D([], [], marker="o", label=f"{_FIXED}; the dot is its own horizon", **grey)]
    if early:
        handles.append(Line2D([], [], marker="d", linestyle=_DASHED, label=_BY_TASK, **grey))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, handlelength=3.2)
