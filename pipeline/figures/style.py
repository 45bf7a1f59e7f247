"""How figures look: one colour, line and marker per method, and files with stable bytes."""

import io
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import ArrayLike
from PIL import Image

from pipeline.config.card import Style
from pipeline.config.methods import METHODS
from pipeline.config.predictors import PREDICTORS, UNTRAINED, UNTRAINED_STYLE
from pipeline.config.titles import kind_said, label_order, label_title
from pipeline.files import replacing

WIDTH = 9.0  # inches: a README column at 100 dpi
SINGLE_WIDTH = 7.0  # inches: a figure of one panel
COLUMNS = 3
POINT = 7.0  # size of a marker that stands alone
BANDS = 0.15  # opacity of bands around lines
GREY = "#4d4d4d"  # of rulers, and of keys that are of no method

STYLES = {
    **{name: card.style for name, card in METHODS.items()},
    **{
        f"{name}-{ending}": variant.style
        for name, card in METHODS.items()
        for ending, variant in card.variants.items()
    },
    UNTRAINED: UNTRAINED_STYLE,
    **{name: card.style for name, card in PREDICTORS.items()},
}
_FALLBACK_COLORS = ("#332288", "#117733", "#AA4499", "#999933", "#CC6677")
_FALLBACK_LINES = ((0, (3, 1)), (0, (5, 1, 1, 1)), (0, (2, 1)))

_RC: Any = {
    "svg.hashsalt": "figures",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so the bytes do not depend on fonts
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.which": "major",
    "grid.color": "#e5e5e5",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.markersize": 4,
}


def style_of(label: str) -> Style:
    """The style of a label in every figure; one of a few fixed spares for an unknown one."""
    if label in STYLES:
        return STYLES[label]
    number = zlib.crc32(label.encode())
    line = _FALLBACK_LINES[number % len(_FALLBACK_LINES)]
    return Style(_FALLBACK_COLORS[number % len(_FALLBACK_COLORS)], line, "h")


@contextmanager
def house_style() -> Iterator[None]:
    """Draw and save inside this block: matplotlib's defaults, then ours, whatever the user's."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def save(figure: Figure, stem: Path) -> None:
    """Write `{stem}.svg` and `{stem}.png`; the same figure gives the same bytes."""
    with replacing(stem.with_name(f"{stem.name}.svg")) as beside:
        figure.savefig(beside, format="svg", metadata={"Date": None})
    raster = io.BytesIO()
    figure.savefig(raster, format="png", metadata={"Software": None}, dpi=150)
    with replacing(stem.with_name(f"{stem.name}.png")) as beside, Image.open(raster) as image:
        # a chart has few colours: a palette takes a third of the bytes, and these go to git
        palette = image.convert("RGB").quantize(256, dither=Image.Dither.NONE)
        palette.save(beside, format="PNG", optimize=True, dpi=(150, 150))


def panels(
    count: int, *, rows_each: int = 1, height: float = 2.6, columns: int = COLUMNS
) -> tuple[Figure, np.ndarray]:
    """A figure with `count` panels (or stacks of `rows_each`), at most `columns` side by side.

    Returns:
        The figure, and its axes, shape (count, rows_each).
    """
    columns = min(count, columns)
    blocks = -(-count // columns)
    n_rows = blocks * rows_each
    width = WIDTH if columns > 1 else SINGLE_WIDTH
    # a title is nearer to its own panel than to the one above
    layout = ConstrainedLayoutEngine(h_pad=0.1 if blocks > 1 else 0.04167)
    figure = Figure(figsize=(width, height * n_rows + 1.0), layout=layout)
    grid = figure.subplots(n_rows, columns, squeeze=False)
    grid = grid.reshape(blocks, rows_each, columns).transpose(0, 2, 1).reshape(-1, rows_each)
    for axes in grid[count:].ravel():
        axes.remove()
    return figure, grid[:count]


def say(axes: Axes, text: str) -> None:
    """A word in the middle of a panel that has nothing to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center")


def line_options(style: Style) -> dict[str, Any]:
    """Of `Axes.plot` and `Line2D`; a marker's white edge keeps crossing lines apart."""
    return {
        "color": style.color,
        "linestyle": style.linestyle,
        "linewidth": style.linewidth,
        "marker": style.marker,
        "markersize": 7.0 if style.marker == "*" else 4.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.5,
    }


def draw_line(axes: Axes, label: str, x: ArrayLike, y: ArrayLike, **changes: Any) -> None:
    """Plot in the label's style."""
    axes.plot(x, y, **(line_options(style_of(label)) | changes))


def draw_band(
    axes: Axes, x: ArrayLike, low: ArrayLike, high: ArrayLike, color: Any, zorder: float = 1.0
) -> None:
    """Errors or an interval around a line."""
    axes.fill_between(x, low, high, color=color, alpha=BANDS, linewidth=0, zorder=zorder)


def by_label(rows: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The rows of each label, in the order of the table, which is the canonical one."""
    return [(str(label), own) for label, own in rows.groupby("label", sort=False)]


def legend(figure: Figure, labels: Iterable[str], *, extra: Iterable[Line2D] = ()) -> None:
    """One legend for the whole figure, below its panels, in canonical order."""
    handles = []
    for label in sorted(set(labels), key=label_order):
        name = label_title(label) + (f" ({kind})" if (kind := kind_said(label)) else "")
        handles.append(Line2D([], [], label=name, **line_options(style_of(label))))
    handles += list(extra)
    renderer = FigureCanvasAgg(figure).get_renderer()
    for columns in (4, 3, 2, 1) if figure.get_figwidth() >= WIDTH else (3, 2, 1):
        placed = figure.legend(
            handles=handles, loc="outside lower center", ncols=columns, handlelength=3.2
        )
        if columns == 1 or placed.get_window_extent(renderer).width <= figure.bbox.width:
            break
        placed.remove()  # long names: it would be cut off on both sides


def log_axis(axes: Axes, which: str) -> None:
    """A logarithmic x or y axis with short numbers at 1, 2 and 5 times powers of ten."""
    scale = axes.set_xscale if which == "x" else axes.set_yscale
    scale("log")
    axis = axes.xaxis if which == "x" else axes.yaxis
    low, high = axes.get_xlim() if which == "x" else axes.get_ylim()
    wide = high / low > 300
    axis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=20))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axis.set_minor_formatter(NullFormatter())


def ticks_at(axes: Axes, places: Iterable[float]) -> None:
    """Ticks of x at these places only, as short numbers."""
    there = sorted(set(places))
    axes.set_xticks(there, [short_number(place, above=1e3) for place in there])
    axes.minorticks_off()


def short_number(value: float, *, above: float = 1e4) -> str:
    """`0.02`, `500`, `20k`, `1M`: what fits under a tick; thousands are counted from `above` on."""
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= max(unit, above):
            return f"{value / unit:g}{letter}"
    return f"{value:g}"


# Names beside the right ends of lines, kept apart from one another.


class End(NamedTuple):
    """The end of a line in data coordinates, and what stands beside it."""

    x: float
    y: float
    text: str
    color: str


def label_ends(axes: Axes, ends: Sequence[End], *, gap: float = 0.065, size: float = 7.5) -> None:
    """Write each name right of the axes at the height of its line's end.

    Names that would touch are moved apart, `gap` of the axes' height from one to the next; a
    thin line leads from the name to the end; ends that are not finite have no name. Call it when
    the limits and scales are final.
    """
    axes.autoscale_view()  # which is put off until something is drawn
    to_axes = axes.transData + axes.transAxes.inverted()
    points = sorted(
        ((*to_axes.transform((end.x, end.y)), end) for end in ends if np.isfinite(end.y)),
        key=lambda p: (p[1], p[2].text),
    )
    heights = spread([min(max(float(y), 0.0), 1.0) for _, y, _ in points], gap)
    for (x, y, end), height in zip(points, heights, strict=True):
        axes.annotate(
            end.text,
            xy=(float(x), min(max(float(y), 0.0), 1.0)),
            xytext=(1.04, height),
            xycoords="axes fraction",
            textcoords="axes fraction",
            color=end.color,
            fontsize=size,
            va="center",
            annotation_clip=False,
            arrowprops={
                **{"arrowstyle": "-", "color": end.color, "linewidth": 0.5},
                **{"relpos": (0.0, 0.5), "shrinkA": 1, "shrinkB": 2},
            },
        )


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Ascending heights moved as little as an upward and a downward pass allow, `gap` apart."""
    placed: list[float] = []
    for height in heights:
        placed.append(max(height, placed[-1] + gap) if placed else height)
    ceiling = 1.0
    for place in range(len(placed) - 1, -1, -1):
        placed[place] = min(placed[place], ceiling)
        ceiling = placed[place] - gap
    return placed
