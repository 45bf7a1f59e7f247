"""The figures of a grid inside the page: no file beside it is needed."""

import base64
from pathlib import Path

from pipeline.config.figures import FIGURES
from pipeline.errors import BadInput
from pipeline.files import read_json
from pipeline.report.blocks import Figure

LARGEST_SVG = 300_000  # bytes; a larger drawing goes in as PNG


def figure_names(results_dir: Path) -> list[str]:
    """Names of the grid's figures, sorted."""
    folder = results_dir / "figures"
    return sorted({path.stem for path in folder.glob("*") if path.suffix in (".svg", ".png")})


def read_findings(results_dir: Path) -> dict[str, str]:
    """One sentence per figure from `tables/findings.json`; empty where there is none.

    Raises:
        BadInput: when the file is no mapping of names to sentences.
    """
    path = results_dir / "tables" / "findings.json"
    if not path.is_file():
        return {}
    try:
        findings = read_json(path)
    except ValueError as error:
        findings = error
    if not isinstance(findings, dict) or not all(isinstance(s, str) for s in findings.values()):
        raise BadInput(
            f"{path}: found {findings!r:.80}; needed a JSON object of figure names and sentences. "
            "Delete it and run `snakemake` again."
        )
    return findings


def figure(results_dir: Path, name: str, finding: str, simulated: list[str]) -> Figure:
    """A figure with its caption; `simulated`: settings whose data no person gave."""
    card = FIGURES.get(name)
    title = card.title if card else name.replace("_", " ").capitalize()
    shown = simulated if card is None or card.shows_data else []
    return Figure(
        name,
        title,
        data_uri(results_dir, name),
        f"Chart: {title}. {finding}".strip(),
        card.caption.replace("`", "") if card else "",
        finding,
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
