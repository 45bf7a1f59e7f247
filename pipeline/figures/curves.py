"""Errors against test steps, and training against meta-updates: one panel per setting."""

import textwrap
from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.config.measures import Measure, measure_in
from pipeline.config.titles import DATASETS
from pipeline.figures.style import (
    COLUMNS,
    by_label,
    draw_band,
    draw_line,
    legend,
    log_axis,
    panels,
    style_of,
    ticks_at,
)

_CEILING = 1.25  # what is worse than this times the worst trivial predictor is not shown
_TITLE = 36  # characters of a title that fit above a panel
_LOG_RATIO = 3.0  # a y axis is logarithmic when its values span more than this factor


def draw_curves(curves: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Primary error ± standard error on test tasks after n test steps.

    Args:
        curves, main: the tables `curves.csv` and `main.csv`.
        settings: one panel each, in this order.
    """
    measure = measure_in(curves.columns)
    figure, grid = against_steps(main, settings, measure.title, height=2.6)
    for axes, setting in zip(grid, settings, strict=True):
        _draw_errors(axes, curves[curves["setting"] == setting], measure)
    legend(figure, curves.loc[curves["setting"].isin(settings), "label"])
    return figure


def _draw_errors(axes: Axes, rows: pd.DataFrame, measure: Measure) -> None:
    errors, spread = rows[measure.name], rows[measure.stderr].fillna(0.0)
    # trivial predictors first, so that methods lie on top
    order = {"trivial": 1, "untrained": 2, "method": 3}
    low, high = errors - spread, errors + spread
    adapted = rows["kind"] != "trivial"  # trivial predictors have no band
    for label, line in by_label(rows):
        zorder = order[line["kind"].iloc[0]]
        draw_line(axes, label, line["step"], line[measure.name], zorder=zorder)
        if adapted[line.index].all():
            color = style_of(label).color
            ends = low[line.index], high[line.index]
            draw_band(axes, line["step"], *ends, color, zorder=zorder - 0.5)
    trivial = errors[~adapted].max()
    # an early or diverging error must not press the others flat: it leaves the panel at the top
    ceiling = _CEILING * trivial if np.isfinite(trivial) else np.inf
    fit_y(axes, pd.concat([errors, low[adapted]]), ceiling=ceiling)
    step_axis(axes, rows["step"])


def draw_training(training: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Meta-loss above, validation error below, against meta-updates; means over seeds."""
    measure = measure_in(main.columns)
    figure, stacks = against_updates(
        *(training, main, settings),
        *("meta-loss\n(mean since last point)", f"validation {measure.title}"),
    )
    for above, below, rows in stacks:
        for label, line in by_label(rows):
            draw_line(above, label, line["update"], line["meta_loss"], marker=None, linewidth=1.1)
            measured = line[line[measure.validation].notna()]
            every = max(1, len(measured) // 10)  # markers of many validations hide the lines
            updates, errors = measured["update"], measured[measure.validation]
            draw_line(below, label, updates, errors, markevery=every)
        fit_y(above, rows["meta_loss"])
        fit_y(below, rows[measure.validation])
    return figure


def panel_title(about: pd.Series) -> str:
    """Data set above, shots and steps below; simulated data sets carry it in their name."""
    rest = str(about["setting"]).removeprefix(f"{about['dataset']}-")
    lines = textwrap.wrap(rest, _TITLE)  # breaks after hyphens
    return "\n".join([DATASETS.get(about["dataset"], about["dataset"]), *lines])


def _above(titles: list[str]) -> float:
    """Inches of the lines of a title that are more than two."""
    return 0.17 * max(title.count("\n") - 1 for title in titles)


def against_steps(
    main: pd.DataFrame, settings: list[str], y_label: str, *, height: float
) -> tuple[Figure, list[Axes]]:
    """A panel per setting against test steps, with its title and the mark of K."""
    abouts = [main[main["setting"] == setting].iloc[0] for setting in settings]
    titles = [panel_title(about) for about in abouts]
    height = height if len(settings) > 1 else 3.4
    figure, grid = panels(len(settings), height=height + _above(titles))
    for place, (about, title, axes) in enumerate(zip(abouts, titles, grid[:, 0], strict=True)):
        _mark_horizon(axes, int(about["inner_steps"]))
        axes.set_title(title, pad=13)  # room for the mark of K
        axes.set_xlabel("test training steps")
        if place % COLUMNS == 0:
            axes.set_ylabel(y_label)
    return figure, list(grid[:, 0])


def against_updates(
    training: pd.DataFrame, main: pd.DataFrame, settings: list[str], upper: str, lower: str
) -> tuple[Figure, Iterator[tuple[Axes, Axes, pd.DataFrame]]]:
    """Two panels per setting against meta-updates, one above the other, with its rows."""
    titles = [panel_title(main[main["setting"] == setting].iloc[0]) for setting in settings]
    figure, grid = panels(len(settings), rows_each=2, height=2.0 + _above(titles) / 2)
    rows = {setting: training[training["setting"] == setting] for setting in settings}
    for place, (setting, (above, below)) in enumerate(zip(settings, grid, strict=True)):
        above.set_title(titles[place])
        above.sharex(below)
        above.tick_params(labelbottom=False)
        below.set_xlim(0, rows[setting]["update"].max() * 1.03)
        below.set_xlabel("meta-updates")
        if place % COLUMNS == 0:
            above.set_ylabel(upper)
            below.set_ylabel(lower)
    legend(figure, pd.concat(rows.values())["label"])
    return figure, ((*axes, rows[s]) for s, axes in zip(settings, grid, strict=True))


def step_axis(axes: Axes, steps: pd.Series) -> None:
    """Steps on a logarithmic axis that has room for 0."""
    axes.set_xscale("symlog", linthresh=1.0, linscale=0.5)
    largest = max(float(steps.max()), 1.0)
    ticks = [0.0, *(10.0**k for k in range(int(np.log10(largest)) + 1))]
    ticks_at(axes, [*ticks, largest] if largest > 1.5 * ticks[-1] else ticks)
    axes.set_xlim(-0.15, largest * 1.2)


def _mark_horizon(axes: Axes, inner_steps: int) -> None:
    axes.axvline(inner_steps, color="#999999", linewidth=0.9, linestyle=(0, (2, 2)), zorder=0)
    axes.annotate(
        f"K = {inner_steps}",
        (inner_steps, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 2),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=7.5,
        color="#666666",
    )


def fit_y(axes: Axes, values: pd.Series, *, ceiling: float = np.inf) -> None:
    """Limits of y around the finite values up to `ceiling`; logarithmic when they span much."""
    shown = values[np.isfinite(values) & (values > 0)]
    if shown.empty:
        return
    low, high = float(shown.min()), min(float(shown.max()), max(ceiling, float(shown.min())))
    if high / low > _LOG_RATIO:
        axes.set_ylim(low / 1.15, high * 1.15)
        log_axis(axes, "y")
        axes.set_ylim(low / 1.15, high * 1.15)
    else:
        margin = 0.06 * (high - low) or 0.05 * high
        axes.set_ylim(low - margin, high + margin)
