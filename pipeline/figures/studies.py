"""Figures of the studies: stability of ways back, fidelity and noise against the horizon."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.config.methods import TRAINS_STUDIES, WAYS
from pipeline.config.studies import NO_REFERENCE, SOLVER_TITLES, STIFF, WRONG
from pipeline.config.titles import DATASETS, label_title
from pipeline.figures.style import (
    GREY,
    End,
    Style,
    by_label,
    draw_line,
    label_ends,
    legend,
    line_options,
    log_axis,
    panels,
    style_of,
    ticks_at,
)
from pipeline.tables.studies import stiffness_slope, with_evaluations

ERRORS = (3e-4, 3e3)  # relative errors that are drawn; what lies above is marked at the edge
FIDELITY_ERRORS = (1e-4, 1e2)


def draw_stability(table: pd.DataFrame) -> Figure:
    """Relative error of the meta-gradient against T, one panel per family and initialisation.

    What has no converged reference is left out.
    """
    table = table[table["status"] != NO_REFERENCE]
    cases = list(_cases(table))
    figure, grid = panels(len(cases), height=2.5, columns=2)
    for axes, (title, rows) in zip(grid[:, 0], cases, strict=True):
        lines = [
            (way.title, way.style, rows[rows["method"] == name])
            for name, (_, way) in WAYS.items()
            if (rows["method"] == name).any()
        ]
        axes.set_title(title)
        axes.set_xlabel("horizon T")
        axes.set_ylabel("relative error of the\nmeta-gradient")
        _draw_errors(axes, lines, "horizon", ERRORS)
        ticks_at(axes, table["horizon"])
        least = table["horizon"].min()
        axes.text(least, WRONG * 1.15, "as large as the gradient", fontsize=7, color=GREY)
    figure.legend(handles=_marks(), loc="outside lower center", ncols=2)
    return figure


def draw_fidelity(table: pd.DataFrame) -> Figure:
    """Cosine and relative error of every method against K, one row of panels per case."""
    cases = list(_cases(table))
    figure, grid = panels(2 * len(cases), height=2.2, columns=2)
    grid = grid.reshape(-1, 2)
    for (left, right), (title, rows) in zip(grid, cases, strict=True):
        for axes in (left, right):
            axes.set_title(title)
            axes.set_xscale("log")
        left.set_ylim(-0.4, 1.06)
        left.set_ylabel("cosine to the\ntrue meta-gradient")
        right.set_ylabel("relative error")
        lines = by_label(rows.sort_values("inner_steps"))
        for label, line in lines:
            draw_line(left, label, line["inner_steps"], line["cosine"])
        named = [(label_title(label), style_of(label), line) for label, line in lines]
        _draw_errors(right, named, "inner_steps", FIDELITY_ERRORS)
        for axes in (left, right):
            ticks_at(axes, table["inner_steps"])
    for axes in grid[-1]:
        axes.set_xlabel("inner steps K (horizon T = alpha K)")
    legend(figure, table["label"], extra=_marks())
    return figure


def draw_noise(table: pd.DataFrame) -> Figure:
    """Cosine between the directions of two meta-batches against K, one panel per case."""
    cases = list(_cases(table))
    figure, grid = panels(len(cases), height=2.5, columns=2)
    for axes, (title, rows) in zip(grid[:, 0], cases, strict=True):
        axes.set_title(title)
        axes.set_xscale("log")
        axes.axhline(0.0, color=GREY, linewidth=0.8, linestyle=":")
        for label, line in by_label(rows.sort_values("inner_steps")):
            draw_line(axes, label, line["inner_steps"], line["pairwise_cosine"])
        axes.set_ylim(min(-0.1, rows["pairwise_cosine"].min() - 0.05), 1.05)
        axes.set_xlabel("inner steps K")
        axes.set_ylabel("cosine between\ntwo meta-batches")
        ticks_at(axes, table["inner_steps"])
    legend(figure, table["label"])
    return figure


def _cases(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Title and rows of each family and initialisation."""
    for (family, start), rows in table.groupby(["family", "initialisation"], sort=False):
        yield f"{DATASETS[family]}, {start} initialisation", rows


def _draw_errors(
    axes: Axes,
    lines: list[tuple[str, Style, pd.DataFrame]],
    x: str,
    limits: tuple[float, float],
) -> None:
    """Named lines of relative errors, log-log.

    Where a line left the panel or diverged it has a mark below the upper edge, each line at a
    height of its own, so that none hides another.
    """
    low, high = limits
    axes.set_xscale("log")
    axes.set_ylim(low, high)
    log_axis(axes, "y")
    axes.set_ylim(low, high)
    axes.axhline(WRONG, color=GREY, linewidth=0.8, linestyle=":")
    ends, height = [], high
    for title, style, rows in lines:
        line = rows.sort_values(x)
        error = line["relative_error"].clip(lower=low)
        axes.plot(line[x], error, **line_options(style))
        failed, beyond = line[error.isna()], line[error > high]
        for some, marker, edge in ((beyond, "^", 0.5), (failed, "x", 1.8)):
            if len(some):  # an empty line that is not clipped confuses the layout
                place = np.full(len(some), height)
                mark = _mark(marker, style.color, edge)
                axes.plot(some[x], place, **mark, clip_on=False, zorder=5)
        last = float(error.iloc[-1])
        end = last if last <= high else height
        ends.append(End(float(line[x].iloc[-1]), end, title, style.color))
        if len(beyond) or len(failed):
            height /= (high / low) ** 0.05
    label_ends(axes, ends, gap=0.11)


def _mark(marker: str, color: Any, edge: float) -> dict[str, Any]:
    look = {"marker": marker, "color": color, "markeredgewidth": edge}
    return look | {"linestyle": "", "markersize": 6.5}


def _marks() -> list[Line2D]:
    """What the marks at the upper edge mean."""
    return [
        Line2D([], [], label="diverged", **_mark("x", GREY, 1.8)),
        Line2D([], [], label="error beyond the panel", **_mark("^", GREY, 0.5)),
    ]


# The figure of the stiffness study: cost of RK45 and of Chebyshev steps as curvature grows.

SOLVERS = {"dopri5": Style("#0072B2", "-", "s"), "rkc": TRAINS_STUDIES.style}
_FAMILY_MARKERS = ("o", "^")


def draw_stiffness(table: pd.DataFrame) -> Figure:
    """Evaluations and steps of RK45 and the Chebyshev solver against mean rho times T."""
    figure, grid = panels(2, height=3.2, columns=2)
    rows = with_evaluations(table)
    rows = rows.assign(steps=rows["accepted"] + rows["rejected"])
    rows = rows[rows["rho_t"].notna()]
    families = dict(zip(dict.fromkeys(table["family"]), _FAMILY_MARKERS, strict=False))
    for axes, what, text in (
        (grid[0, 0], "evaluations", "evaluations for one solve"),
        (grid[1, 0], "steps", "steps, rejected ones included"),
    ):
        axes.set_xlabel("stiffness: mean rho times T")
        axes.set_ylabel(text)
        for solver, style in SOLVERS.items():
            own = rows[rows["solver"] == solver]
            ok = own["status"] == "ok"
            dots = {"color": style.color, "linestyle": "", "markersize": 5}
            dots |= {"markeredgecolor": "white", "markeredgewidth": 0.5}
            for family, marker in families.items():
                some = own[(own["family"] == family) & ok]
                axes.plot(some["rho_t"], some[what], marker=marker, **dots)
            axes.plot(own["rho_t"][~ok], own[what][~ok], "x", color=style.color, ms=7, mew=2)
        log_axis(axes, "x")
        log_axis(axes, "y")
    _fits(grid[0, 0], table)
    grey: dict[str, Any] = {"color": GREY, "linestyle": ""}
    handles = [
        *(
            Line2D([], [], color=s.color, lw=2.5, label=SOLVER_TITLES[n])
            for n, s in SOLVERS.items()
        ),
        *(Line2D([], [], marker=m, label=DATASETS[f], **grey) for f, m in families.items()),
        Line2D([], [], marker="x", mew=2, label="given up there", **grey),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
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
