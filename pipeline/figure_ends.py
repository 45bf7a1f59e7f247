"""Names beside the right ends of lines, kept apart from one another."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.axes import Axes


class End(NamedTuple):
    """The end of a line in data coordinates, and what stands beside it."""

    x: float
    y: float
    text: str
    color: str


def label_ends(axes: Axes, ends: Sequence[End], *, gap: float = 0.065, size: float = 7.5) -> None:
    """Write each name right of the axes at the height of its line's end.

    Names that would touch are moved apart, `gap` of the axes' height from one to the next; a
    thin line leads from the name to the end. Call it when the limits and scales are final.
    """
    axes.autoscale_view()  # which is put off until something is drawn
    to_axes = axes.transData + axes.transAxes.inverted()
    points = sorted(
        ((*to_axes.transform((end.x, end.y)), end) for end in ends), key=lambda p: (p[1], p[2].text)
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
