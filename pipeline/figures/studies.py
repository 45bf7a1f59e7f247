"""Figures of the studies: stability of ways back, fidelity and noise against the horizon."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.config.methods import TRAINS_STUDIES, WAYS
from pipeline.config.studies import NO_REFERENCE, SOLVER_TITLES, STIFF, WRONG
from pipeline.config.titles import DATASETS, label_title
from pipeline.figures.style import (
    WIDTH,
    End,
    Style,
    draw_line,
    label_ends,
    legend,
    log_axis,
    short_number,
    style_of,
)
from pipeline.tables.studies import stiffness_slope, with_evaluations

ERRORS = (3e-4, 3e3)  # relative errors that are drawn; what lies above is marked at the edge
FIDELITY_ERRORS = (1e-4, 1e2)
_GREY = "#4d4d4d"


def draw_stability(table: pd.DataFrame) -> Figure:
    """Relative error of the meta-gradient against T, one panel per family and initialisation.

    What has no converged reference is left out.
    """
    table = table[table["status"] != NO_REFERENCE]
    cells = _cells(table)
    figure, grid = study_grid(-(-len(cells) // 2), min(2, len(cells)), 2.5)
    for axes, (family, start) in zip(grid.ravel(), cells, strict=False):
        rows = table[(table["family"] == family) & (table["initialisation"] == start)]
        _panel(axes, f"{DATASETS[family]}, {start} initialisation", "horizon", ERRORS)
        axes.set_xlabel("horizon T")
        axes.set_ylabel("relative error of the\nmeta-gradient")
        ends, marked = [], 0
        for name, (_, way) in WAYS.items():
            line = rows[rows["method"] == name].sort_values("horizon")
            if len(line):
                marked += _leaves(line, ERRORS)
                ends.append(
                    _draw_errors(
                        axes, line, "horizon", way.style, way.title, ERRORS, max(marked - 1, 0)
                    )
                )
        _ticks(axes, table["horizon"])
        _ruler(axes, table["horizon"].min(), "as large as the gradient")
        label_ends(axes, ends, gap=0.11)
    for axes in grid.ravel()[len(cells) :]:
        axes.remove()
    figure.legend(handles=_marks(), loc="outside lower center", ncols=2)
    return figure


def draw_fidelity(table: pd.DataFrame) -> Figure:
    """Cosine and relative error of every method against K, one row of panels per case."""
    cells = _cells(table)
    figure, grid = study_grid(len(cells), 2, 2.2)
    for (left, right), (family, start) in zip(grid, cells, strict=True):
        rows = table[(table["family"] == family) & (table["initialisation"] == start)]
        title = f"{DATASETS[family]}, {start} initialisation"
        left.set_xscale("log")
        left.set_ylim(-0.4, 1.06)
        left.set_title(title)
        left.set_ylabel("cosine to the\ntrue meta-gradient")
        _panel(right, title, "inner_steps", FIDELITY_ERRORS)
        right.set_ylabel("relative error")
        ends, marked = [], 0
        for label in dict.fromkeys(rows["label"]):
            line = rows[rows["label"] == label].sort_values("inner_steps")
            draw_line(left, label, line["inner_steps"], line["cosine"])
            marked += _leaves(line, FIDELITY_ERRORS)
            ends.append(
                _draw_errors(
                    *(right, line, "inner_steps", style_of(label)),
                    *(label_title(label), FIDELITY_ERRORS, max(marked - 1, 0)),
                )
            )
        for axes in (left, right):
            _ticks(axes, table["inner_steps"])
        _ruler(right, table["inner_steps"].min(), "")
        label_ends(right, ends, gap=0.105, size=7.0)
    for axes in grid[-1]:
        axes.set_xlabel("inner steps K (horizon T = alpha K)")
    legend(figure, table["label"], extra=_marks())
    return figure


def draw_noise(table: pd.DataFrame) -> Figure:
    """Cosine between the directions of two meta-batches against K, one panel per case."""
    cells = _cells(table)
    figure, grid = study_grid(-(-len(cells) // 2), min(2, len(cells)), 2.5)
    for axes, (family, start) in zip(grid.ravel(), cells, strict=False):
        rows = table[(table["family"] == family) & (table["initialisation"] == start)]
        axes.set_title(f"{DATASETS[family]}, {start} initialisation")
        axes.set_xscale("log")
        axes.axhline(0.0, color=_GREY, linewidth=0.8, linestyle=":")
        for label in dict.fromkeys(rows["label"]):
            line = rows[rows["label"] == label].sort_values("inner_steps")
            draw_line(axes, label, line["inner_steps"], line["pairwise_cosine"])
        axes.set_ylim(min(-0.1, rows["pairwise_cosine"].min() - 0.05), 1.05)
        axes.set_xlabel("inner steps K")
        axes.set_ylabel("cosine between\ntwo meta-batches")
        _ticks(axes, table["inner_steps"])
    for axes in grid.ravel()[len(cells) :]:
        axes.remove()
    legend(figure, table["label"])
    return figure


def _draw_errors(
    axes: Axes,
    line: pd.DataFrame,
    x: str,
    style: Style,
    title: str,
    limits: tuple[float, float],
    place: int,
) -> End:
    """A line of errors; marks below the upper edge where it left the panel or diverged.

    Args:
        place: of the line among the panel's: each has its own height for marks, so that none
            hides another.
    """
    height = limits[1] / (limits[1] / limits[0]) ** (0.05 * place)
    error = line["relative_error"].clip(lower=limits[0])
    axes.plot(
        line[x],
        error,
        color=style.color,
        linestyle=style.linestyle,
        linewidth=style.linewidth,
        marker=style.marker,
        markeredgecolor="white",
        markeredgewidth=0.5,
    )
    beyond = line[line["relative_error"] > limits[1]]
    failed = line[line["relative_error"].isna()]
    for some, marker, edge in ((beyond, "^", 0.5), (failed, "x", 1.8)):
        if some.empty:  # an empty line that is not clipped confuses the layout
            continue
        axes.plot(
            some[x],
            np.full(len(some), height),
            marker=marker,
            color=style.color,
            linestyle="",
            markersize=6.5,
            markeredgewidth=edge,
            clip_on=False,
            zorder=5,
        )
    last = float(error.iloc[-1])
    end = last if last <= limits[1] else height
    return End(float(line[x].iloc[-1]), end, title, style.color)


def _leaves(line: pd.DataFrame, limits: tuple[float, float]) -> bool:
    """Whether a line has marks: it diverged, or left the panel."""
    return bool((~(line["relative_error"] <= limits[1])).any())


def _panel(axes: Axes, title: str, x: str, limits: tuple[float, float]) -> None:
    axes.set_title(title)
    axes.set_ylim(*limits)
    log_axis(axes, "y")
    axes.set_ylim(*limits)
    axes.set_xscale("log")


def _ruler(axes: Axes, x: float, text: str) -> None:
    axes.axhline(WRONG, color=_GREY, linewidth=0.8, linestyle=":")
    if text:
        axes.text(x, WRONG * 1.15, text, fontsize=7, color=_GREY, va="bottom")


def _ticks(axes: Axes, values: Iterable[float]) -> None:
    """The measured places, as plain numbers."""
    places = sorted(set(values))
    axes.set_xticks(places, [short_number(v, above=1e3) for v in places])
    axes.minorticks_off()


def _marks() -> list[Line2D]:
    """What the marks at the upper edge mean."""
    options = {"color": _GREY, "linestyle": "", "markersize": 6.5}
    return [
        Line2D([], [], marker="x", markeredgewidth=1.8, label="diverged", **options),  # type: ignore[arg-type]
        Line2D([], [], marker="^", label="error beyond the panel", **options),  # type: ignore[arg-type]
    ]


def _cells(table: pd.DataFrame) -> list[tuple[str, str]]:
    return list(dict.fromkeys(zip(table["family"], table["initialisation"], strict=True)))


def study_grid(rows: int, columns: int, height: float) -> tuple[Figure, np.ndarray]:
    """A figure of rows x columns panels, `height` inches each; its axes (rows, columns)."""
    figure = Figure(figsize=(WIDTH, height * rows + 0.8), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)


# The figure of the stiffness study: cost of RK45 and of Chebyshev steps as curvature grows.

SOLVERS = {"dopri5": Style("#0072B2", "-", "s"), "rkc": TRAINS_STUDIES.style}


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
