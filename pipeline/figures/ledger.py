"""Fidelity of the meta-gradient during training, and test errors against it."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.config.schema import SYNTHETIC_DATASETS
from pipeline.config.titles import counted
from pipeline.figures.curves import fit_y, panel_title
from pipeline.figures.style import COLUMNS, POINT, WIDTH, draw_line, legend, log_axis, panels
from pipeline.tables.series import fidelity_points, ledger_entries

_GREY = "#4d4d4d"


def draw_ledger(training: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Cosine above, relative error below, against meta-updates; means over seeds.

    Args:
        training, main: the tables `training.csv` and `main.csv`.
        settings: one stack of panels each, in this order.
    """
    entries = ledger_entries(training)
    figure, grid = panels(len(settings), rows_each=2, height=2.0)
    for column, (setting, (above, below)) in enumerate(zip(settings, grid, strict=True)):
        rows = entries[entries["setting"] == setting]
        for label in dict.fromkeys(rows["label"]):
            line = rows[rows["label"] == label]
            draw_line(above, label, line["update"], line["cosine"])
            draw_line(below, label, line["update"], line["relative_error"])
        fit_y(below, rows["relative_error"].to_numpy(float))
        above.set_ylim(min(-0.05, float(rows["cosine"].min()) - 0.05), 1.05)
        above.set_title(panel_title(main[main["setting"] == setting].iloc[0]))
        above.sharex(below)
        above.tick_params(labelbottom=False)
        below.set_xlim(0, rows["update"].max() * 1.04)
        below.set_xlabel("meta-updates")
        _mark_one(below)
        if column % COLUMNS == 0:
            above.set_ylabel("cosine to the true\nmeta-gradient")
            below.set_ylabel("relative error")
    legend(figure, entries.loc[entries["setting"].isin(settings), "label"])
    return figure


def draw_fidelity_nrmse(training: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Test nRMSE over the setting's lowest, against fidelity; a point per method and setting.

    A row of panels for the synthetic settings and one for the rating settings, where both are.
    """
    points = fidelity_points(training, main)
    points = points[points["setting"].isin(settings)]
    synthetic = points["dataset"].isin(SYNTHETIC_DATASETS)
    kinds = {"synthetic": points[synthetic], "ratings": points[~synthetic]}
    kinds = {kind: rows for kind, rows in kinds.items() if len(rows)}
    if not kinds:
        figure, grid = panels(1)
        text = "no method has a fidelity and a test error"
        grid[0, 0].text(0.5, 0.5, text, transform=grid[0, 0].transAxes, ha="center")
        return figure
    figure = Figure(figsize=(WIDTH, 3.0 * len(kinds) + 1.0), layout="constrained")
    grid = figure.subplots(len(kinds), 2, squeeze=False)
    for (left, right), (kind, rows) in zip(grid, kinds.items(), strict=True):
        for axes, measure in ((left, "relative_error"), (right, "cosine")):
            for label in dict.fromkeys(rows["label"]):
                line = rows[rows["label"] == label]
                draw_line(axes, label, line[measure], line["ratio"], linestyle="", markersize=POINT)
            fit_y(axes, rows["ratio"].to_numpy(float))
            axes.set_title(f"{kind}: {counted(rows['setting'].nunique(), 'setting')}")
            axes.set_ylabel("test nRMSE / lowest\nof the setting")
        if (rows["relative_error"] > 0).any():
            log_axis(left, "x")
    for axes, text in zip(grid[-1], ("relative error", "cosine"), strict=True):
        axes.set_xlabel(f"{text} of the meta-gradient, late in training")
    legend(figure, points["label"])
    return figure


def _mark_one(axes: Axes) -> None:
    """A line where the error is as large as the gradient, if the panel reaches it."""
    low, high = axes.get_ylim()
    if low < 1.0 < high:
        axes.axhline(1.0, color=_GREY, linewidth=0.8, linestyle=":", zorder=0)
