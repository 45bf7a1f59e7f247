"""The figures of a grid inside the page: no file beside it is needed."""

import base64
from pathlib import Path

from pipeline.config.figures import FIGURES
from pipeline.report.blocks import Figure

LARGEST_SVG = 300_000  # bytes; a larger drawing goes in as PNG


def figure_names(results_dir: Path) -> list[str]:
    """Names of the grid's figures, sorted."""
    folder = results_dir / "figures"
    return sorted({path.stem for path in folder.glob("*") if path.suffix in (".svg", ".png")})


def figure(results_dir: Path, name: str, simulated: list[str]) -> Figure:
    """A figure with its caption; `simulated`: settings whose data no person gave."""
    card = FIGURES.get(name)
    title = card.title if card else name.replace("_", " ").capitalize()
    shown = simulated if card is None or card.shows_data else []
    return Figure(
        name,
        title,
        data_uri(results_dir, name),
        f"Chart: {title}.",
        card.caption.replace("`", "") if card else "",
        f"SIMULATED data where it shows {', '.join(shown)}" if shown else "",
    )


def data_uri(results_dir: Path, name: str) -> str:
    """The image as a data URI: the SVG where it is small, else the PNG."""
    drawing = results_dir / "figures" / f"{name}.svg"
    raster = drawing.with_suffix(".png")
    if drawing.is_file() and (drawing.stat().st_size <= LARGEST_SVG or not raster.is_file()):
        return _uri("svg+xml", drawing.read_bytes())
    return _uri("png", raster.read_bytes())


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
