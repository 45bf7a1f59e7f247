"""Time and error of a meta-update against the horizon, both axes logarithmic."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pipeline.figures.style import Style, house_style, log_axis, panels, save, style_of

LINES = {  # candidate -> label of its style; others have a style of their own below
    "amaml_rkc": "amaml_rkc",
    "amaml_anytime": "amaml_anytime",
    "amaml": "amaml",
    "maml_sweep": "maml_sweep",
    "maml": "maml",
    "fomaml": "fomaml",
    "imaml": "imaml",
}
OWN_STYLES = {
    "amaml_rkc_tight": Style("#C5A600", (0, (1, 1)), "p"),
    "amaml_repeated": Style("#D55E00", (0, (3, 1, 1, 1)), "+"),
    "amaml_prototype": Style("#D55E00", (0, (1, 1)), "x"),
    "fomaml_loop": Style("#E69F00", (0, (1, 1)), "^"),
    "maml_loop": Style("#7f7f7f", "-", "o"),
    "higher": Style("#4d4d4d", "--", "s"),
    "torchopt": Style("#999999", "-.", "D"),
    "jax_fomaml": Style("#332288", (0, (1, 1)), "^"),
    "jax_sweep": Style("#332288", "-", "v"),
    "jax_maml": Style("#332288", "--", "o"),
}


def draw(record: Mapping[str, Any], stem: Path) -> None:
    """Write `{stem}.svg` and `{stem}.png`."""
    with house_style():
        figure, grid = panels(2, height=3.4)
        time, error = grid[:, 0]
        entries = [entry for entry in record["entries"] if entry["status"] == "ok"]
        shown = _lines(time, entries, lambda entry: 1e3 * entry["seconds"]["median"])
        ours = [entry for entry in entries if entry["kind"] == "ours"]
        shown |= _lines(error, ours, lambda entry: entry.get("relative_error"))
        time.set_ylabel("ms per meta-update")
        error.set_ylabel("relative error of the meta-gradient")
        for axes in (time, error):
            axes.set_xlabel("horizon, gradient-descent steps")
            for which in ("x", "y"):
                log_axis(axes, which)
        handles = [Line2D([], [], label=title, **_look(name)) for name, title in shown.items()]
        figure.legend(handles=handles, loc="outside lower center", ncols=3, handlelength=3.2)
        save(figure, stem)


def _lines(
    axes: Axes, entries: Sequence[Mapping[str, Any]], value: Callable[[Any], float | None]
) -> dict[str, str]:
    """Draw each candidate; return the titles of those drawn, by name."""
    shown = {}
    for name, title in {entry["candidate"]: entry["title"] for entry in entries}.items():
        points = [
            (entry["inner_steps"], height)
            for entry in entries
            if entry["candidate"] == name and (height := value(entry))
        ]
        if points:
            axes.plot(*zip(*points, strict=True), **_look(name))
            shown[name] = title
    return shown


def _look(name: str) -> dict[str, Any]:
    style = OWN_STYLES.get(name) or style_of(LINES.get(name, name))
    return {
        "color": style.color,
        "linestyle": style.linestyle,
        "linewidth": style.linewidth,
        "marker": style.marker,
        "markersize": 7.0 if style.marker == "*" else 4.5,
        "markeredgecolor": style.color if style.marker in ("x", "+") else "white",
        "markeredgewidth": 1.0 if style.marker in ("x", "+") else 0.5,
    }
