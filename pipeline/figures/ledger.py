"""Fidelity of the meta-gradient during training, and test errors against it."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.config.measures import measure_in
from pipeline.config.titles import counted, is_own
from pipeline.data.families import FAMILIES
from pipeline.data.sets import SOURCES
from pipeline.figures.curves import against_updates, fit_y
from pipeline.figures.style import GREY, POINT, by_label, draw_line, legend, log_axis, panels, say
from pipeline.tables.series import fidelity_points, ledger_entries

_KINDS = {
    "synthetic": lambda name: name in FAMILIES,
    "ratings": lambda name: name in SOURCES,
    "own data": is_own,
}


def draw_ledger(training: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Cosine above, relative error below, against meta-updates; means over seeds.

    Args:
        training, main: the tables `training.csv` and `main.csv`.
        settings: one stack of panels each, in this order.
    """
    figure, stacks = against_updates(
        *(ledger_entries(training), main, settings),
        *("cosine to the true\nmeta-gradient", "relative error"),
    )
    for above, below, rows in stacks:
        for label, line in by_label(rows):
            draw_line(above, label, line["update"], line["cosine"])
            draw_line(below, label, line["update"], line["relative_error"])
        fit_y(below, rows["relative_error"])
        above.set_ylim(min(-0.05, float(rows["cosine"].min()) - 0.05), 1.05)
        _mark_one(below)
    return figure


def draw_fidelity_nrmse(training: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Test error over the setting's lowest, against fidelity; a point per method and setting.

    A row of panels for the synthetic settings, one for the rating settings, and one for those of
    a person's own data, where there are any.
    """
    points = fidelity_points(training, main)
    points = points[points["setting"].isin(settings)]
    kinds = {
        kind: points[points["dataset"].map(is_kind).astype(bool)]
        for kind, is_kind in _KINDS.items()
    }
    kinds = {kind: rows for kind, rows in kinds.items() if len(rows)}
    if not kinds:
        figure, grid = panels(1)
        say(grid[0, 0], "no method has a fidelity and a test error")
        return figure
    figure, grid = panels(2 * len(kinds), height=3.0, columns=2)
    grid = grid.reshape(-1, 2)
    for (left, right), (kind, rows) in zip(grid, kinds.items(), strict=True):
        for axes, measure in ((left, "relative_error"), (right, "cosine")):
            for label, line in by_label(rows):
                draw_line(axes, label, line[measure], line["ratio"], linestyle="", markersize=POINT)
            fit_y(axes, rows["ratio"])
            axes.set_title(f"{kind}: {counted(rows['setting'].nunique(), 'setting')}")
            axes.set_ylabel(f"test {measure_in(main.columns).title} / lowest\nof the setting")
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
        axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":", zorder=0)
