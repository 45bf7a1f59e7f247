"""Errors against test steps, and training against meta-updates: one panel per setting."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from pipeline.config.titles import DATASETS
from pipeline.figures.style import draw_line, legend, log_axis, panels, style_of

BANDS = 0.15  # opacity of bands around lines
_CEILING = 1.25  # what is worse than this times the worst trivial predictor is not shown
_LOG_RATIO = 3.0  # a y axis is logarithmic when its values span more than this factor


def draw_curves(curves: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """nRMSE ± standard error on test tasks after n test steps.

    Args:
        curves, main: the tables `curves.csv` and `main.csv`.
        settings: one panel each, in this order.
    """
    figure, grid = panels(len(settings), height=2.6 if len(settings) > 1 else 3.4)
    for setting, axes in zip(settings, grid[:, 0], strict=True):
        rows = curves[curves["setting"] == setting]
        _draw_errors(axes, rows)
        about = main[main["setting"] == setting].iloc[0]
        frame_steps(axes, about)
    for axes in grid[:: min(len(settings), 3), 0]:
        axes.set_ylabel("nRMSE")
    legend(figure, curves.loc[curves["setting"].isin(settings), "label"])
    return figure


def draw_training(training: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Meta-loss above, validation nRMSE below, against meta-updates; means over seeds."""
    figure, grid = panels(len(settings), rows_each=2, height=2.0)
    for column, (setting, (above, below)) in enumerate(zip(settings, grid, strict=True)):
        rows = training[training["setting"] == setting]
        for label, line in _by_label(rows):
            draw_line(above, label, line["update"], line["meta_loss"], marker=None, linewidth=1.1)
            measured = line[line["validation_nrmse"].notna()]
            every = max(1, len(measured) // 10)  # markers of many validations hide the lines
            draw_line(
                *(below, label, measured["update"], measured["validation_nrmse"]), markevery=every
            )
        for axes, column_name in ((above, "meta_loss"), (below, "validation_nrmse")):
            fit_y(axes, rows[column_name].to_numpy(float))
        above.set_title(panel_title(main[main["setting"] == setting].iloc[0]))
        above.sharex(below)
        below.set_xlim(0, rows["update"].max() * 1.03)
        above.tick_params(labelbottom=False)
        below.set_xlabel("meta-updates")
        if column % 3 == 0:
            above.set_ylabel("meta-loss\n(mean since last point)")
            below.set_ylabel("validation nRMSE")
    legend(figure, training.loc[training["setting"].isin(settings), "label"])
    return figure


def panel_title(about: pd.Series) -> str:
    """Data set above, shots and steps below; simulated data sets carry it in their name."""
    rest = str(about["setting"]).removeprefix(f"{about['dataset']}-")
    return f"{DATASETS.get(about['dataset'], about['dataset'])}\n{rest}"


def _draw_errors(axes: Axes, rows: pd.DataFrame) -> None:
    # trivial predictors first, so that methods lie on top
    kinds = {"trivial": 1, "untrained": 2, "method": 3}
    for label, line in _by_label(rows):
        kind = line["kind"].iloc[0]
        steps, mean = line["step"].to_numpy(float), line["nrmse"].to_numpy(float)
        draw_line(axes, label, steps, mean, zorder=kinds[kind])
        if kind != "trivial":
            error = line["nrmse_stderr"].fillna(0.0).to_numpy(float)
            axes.fill_between(
                steps,
                mean - error,
                mean + error,
                color=style_of(label).color,
                alpha=BANDS,
                linewidth=0,
                zorder=kinds[kind] - 0.5,
            )
    trivial = rows.loc[rows["kind"] == "trivial", "nrmse"].max()
    # an early or diverging error must not press the others flat: it leaves the panel at the top
    ceiling = _CEILING * trivial if np.isfinite(trivial) else np.inf
    means = rows["nrmse"].to_numpy(float)
    below = means - rows["nrmse_stderr"].fillna(0.0).to_numpy(float)
    adapted = (rows["kind"] != "trivial").to_numpy()  # trivial predictors have no band
    fit_y(axes, np.concatenate([means, below[adapted]]), ceiling=ceiling)
    step_axis(axes, rows["step"].to_numpy(float))


def _by_label(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """Lines in the order of the table, which is the canonical one."""
    return [(label, rows[rows["label"] == label]) for label in dict.fromkeys(rows["label"])]


def step_axis(axes: Axes, steps: np.ndarray) -> None:
    """Steps on a logarithmic axis that has room for 0."""
    axes.set_xscale("symlog", linthresh=1.0, linscale=0.5)
    largest = max(float(steps.max()), 1.0)
    ticks = [0.0, *(10.0**k for k in range(int(np.log10(largest)) + 1))]
    if largest > 1.5 * ticks[-1]:
        ticks.append(largest)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(-0.15, largest * 1.2)


def frame_steps(axes: Axes, about: pd.Series) -> None:
    """Title, mark of K and axis of a panel against test steps; `about`: a row of `main.csv`."""
    _mark_horizon(axes, int(about["inner_steps"]))
    axes.set_title(panel_title(about), pad=13)  # room for the mark of K
    axes.set_xlabel("test training steps")


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


def fit_y(axes: Axes, values: np.ndarray, *, ceiling: float = np.inf) -> None:
    """Limits of y around the finite values up to `ceiling`; logarithmic when they span much."""
    shown = values[np.isfinite(values) & (values > 0)]
    if not len(shown):
        return
    low, high = float(shown.min()), min(float(shown.max()), max(ceiling, float(shown.min())))
    if high / low > _LOG_RATIO:
        axes.set_ylim(low / 1.15, high * 1.15)
        log_axis(axes, "y")
        axes.set_ylim(low / 1.15, high * 1.15)
    else:
        margin = 0.06 * (high - low) or 0.05 * high
        axes.set_ylim(low - margin, high + margin)
