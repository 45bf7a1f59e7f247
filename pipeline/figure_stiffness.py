"""The figure of the stiffness study: cost of RK45 and of Chebyshev steps as curvature grows."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.figure_studies import study_grid
from pipeline.figure_style import Style, log_axis, style_of
from pipeline.labels import DATASETS
from pipeline.study_findings import SOLVER_TITLES, STIFF, stiffness_slope, with_evaluations

SOLVERS = {"dopri5": Style("#0072B2", "-", "s"), "rkc": style_of("amaml_rkc")}
_GREY = "#4d4d4d"


def draw_stiffness(table: pd.DataFrame) -> Figure:
    """Evaluations and steps of RK45 and the Chebyshev solver against mean rho times T."""
    figure, grid = study_grid(1, 2, 3.4)
    rows = with_evaluations(table)
    rows = rows.assign(steps=rows["accepted"] + rows["rejected"])
    rows = rows[rows["rho_t"].notna()]
    for axes, what, text in (
        (grid[0, 0], "evaluations", "evaluations for one solve"),
        (grid[0, 1], "steps", "steps, rejected ones included"),
    ):
        axes.set_xlabel("stiffness: mean rho times T")
        axes.set_ylabel(text)
        for solver, style in SOLVERS.items():
            own = rows[rows["solver"] == solver]
            for family, marker in zip(_families(table), ("o", "^"), strict=False):
                some = own[(own["family"] == family) & (own["status"] == "ok")]
                axes.plot(
                    *(some["rho_t"], some[what], marker),
                    **{"color": style.color, "markersize": 5, "markeredgecolor": "white"},
                    markeredgewidth=0.5,
                )
            gone = own[own["status"] != "ok"]
            axes.plot(gone["rho_t"], gone[what], "x", color=style.color, markersize=7, mew=2)
        log_axis(axes, "x")
        log_axis(axes, "y")
    _fits(grid[0, 0], table)
    figure.legend(handles=_keys(table), loc="outside lower center", ncols=4)
    return figure


def _fits(axes: Axes, table: pd.DataFrame) -> None:
    """The fitted power law of each solver over the stiff solves, with its exponent."""
    rows = with_evaluations(table)
    for solver, style in SOLVERS.items():
        slope = stiffness_slope(table, solver)
        if slope is None:
            continue
        some = rows[(rows["solver"] == solver) & (rows["status"] == "ok")]
        some = some[some["rho_t"] >= STIFF]
        span = np.array([some["rho_t"].min(), some["rho_t"].max()])
        middle = np.exp(np.log(some["evaluations"]).mean())
        at = middle * (span / np.exp(np.log(some["rho_t"]).mean())) ** slope
        axes.plot(span, at, color=style.color, linewidth=1.2)
        above = solver == "dopri5"
        axes.annotate(
            f"{SOLVER_TITLES[solver]}: slope {slope:.2f}",
            xy=(float(np.sqrt(span.prod())), float(np.sqrt(at.prod()))),
            xytext=(-8 if above else 8, 8 if above else -8),
            textcoords="offset points",
            ha="right" if above else "left",
            va="bottom" if above else "top",
            color=style.color,
        )


def _keys(table: pd.DataFrame) -> list[Line2D]:
    handles = [
        Line2D([], [], color=style.color, linewidth=2.5, label=SOLVER_TITLES[solver])
        for solver, style in SOLVERS.items()
    ]
    for family, marker in zip(_families(table), ("o", "^"), strict=False):
        handles.append(
            Line2D([], [], color=_GREY, linestyle="", marker=marker, label=DATASETS[family])
        )
    handles.append(
        Line2D([], [], color=_GREY, linestyle="", marker="x", mew=2, label="given up there")
    )
    return handles


def _families(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["family"]))
