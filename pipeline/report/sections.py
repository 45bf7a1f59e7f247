"""The sections of the page: which tables and figures stand where (sections.yaml), and figures."""

import base64
from collections.abc import Iterable, Mapping
from fnmatch import fnmatch
from html import escape
from pathlib import Path
from typing import Any

import yaml

from pipeline.config.figures import FIGURES
from pipeline.config.measures import CLASSES, Measure, measure_in
from pipeline.config.predictors import ASKED_FOR, PredictorCard
from pipeline.config.titles import SIMULATED, is_own
from pipeline.report.appendix import Links, anchors, evidence_blocks
from pipeline.report.blocks import Block, Part, Section, prose
from pipeline.report.champions import champion_blocks
from pipeline.report.claims import claim_blocks
from pipeline.report.evidence import Run
from pipeline.report.grid_tables import read_table, table_names
from pipeline.report.main_tables import main_blocks
from pipeline.report.origins import method_blocks, origin_blocks, summary_block
from pipeline.report.plain_tables import plain_table
from pipeline.report.texts import templates, text_of, to_html

# Shown in sections of their own, or series that figures draw, too long to read.
NOT_SHELVED = ("main", "claims", "per_seed", "curves", "training", "norms")
LARGEST_SVG = 300_000  # bytes; a larger drawing goes in as PNG


def page_sections(results_dir: Path, grid: str, runs: list[Run]) -> list[Section]:
    """The sections that have something to show, in order."""
    names = table_names(results_dir)
    main = read_table(results_dir, "main")
    claims = read_table(results_dir, "claims") if "claims" in names else None
    measure = measure_in(main.columns)
    links = Links(results_dir, anchors(main, runs), measure)
    own = all(is_own(run.dataset) for run in runs)
    tables = [name for name in names if name not in NOT_SHELVED]
    figures = figure_names(results_dir)
    simulated = list(dict.fromkeys(run.setting for run in runs if run.dataset in SIMULATED))
    sections = [
        Section("summary", "Summary", [summary_block(grid, runs, claims, measure)]),
        Section("claims", "Claims", claim_blocks(claims, links) if claims else []),
        Section("main", "Test errors", main_blocks(main, links)),
        Section("champions", "Champions, ready for use", champion_blocks(results_dir)),
    ]
    for shelf in yaml.safe_load(text_of("sections.yaml")):
        texts = [results_dir / "tables" / f"{name}.md" for name in shelf.get("texts", ())]
        taken = [read_table(results_dir, name) for name in _take(shelf, "tables", tables)]
        blocks: list[Block] = [
            *(prose(to_html(path.read_text(encoding="utf-8"))) for path in texts if path.is_file()),
            *(figure(links, n, simulated, own=own) for n in _take(shelf, "figures", figures)),
            *(plain_table(table, links) for table in taken if table.rows),
        ]
        if blocks and "intro" in shelf:
            blocks.insert(0, prose(f"<p>{escape(measure.said(shelf['intro']))}</p>"))
        sections.append(Section(shelf["id"], shelf["title"], blocks))
    labels = {row["label"] for row in main.rows}
    asked = [card for name, card in ASKED_FOR.items() if name in labels]
    terms = glossary(measure, own=own, predictors=asked)
    sections += [
        Section("methods", "Methods", method_blocks(runs)),
        Section("origins", "How every number was made", origin_blocks(links, grid, runs, names)),
        Section("glossary", "Glossary", [prose(to_html(terms))]),
        Section("evidence", "Evidence", evidence_blocks(main, runs, links)),
    ]
    return [section for section in sections if section.blocks]


def _take(shelf: Mapping[str, Any], what: str, names: list[str]) -> list[str]:
    """Those of `names` that the shelf's patterns name, in their order; removed from `names`."""
    found = [n for pattern in shelf.get(what, ()) for n in names if fnmatch(n, pattern)]
    for name in found:
        names.remove(name)
    return found


def figure_names(results_dir: Path) -> list[str]:
    """Names of the grid's figures, sorted."""
    folder = results_dir / "figures"
    return sorted({path.stem for path in folder.glob("*") if path.suffix in (".svg", ".png")})


def glossary(measure: Measure, *, own: bool, predictors: Iterable[PredictorCard]) -> str:
    """The terms of the page as Markdown; `predictors`: those that the grid asks for."""
    template = templates(autoescape=False).get_template("glossary.md")
    return template.render(classes=measure is CLASSES, own=own, predictors=predictors)


def figure(links: Links, name: str, simulated: list[str], *, own: bool) -> Part:
    """A figure with its caption.

    Args:
        simulated: settings whose data no person gave.
        own: the grid has a person's own data alone.
    """
    card = FIGURES.get(name)
    shown = ", ".join(simulated) if card is None or card.shows_data else ""
    caption = links.measure.said(card.caption) if card else ""
    if card and card.printed and not own:
        caption = f"{caption.removesuffix('.')} ({card.printed})."
    return Part(
        kind="figure",
        name=name,
        title=links.measure.said(card.title) if card else name.replace("_", " ").capitalize(),
        source=data_uri(links.results_dir, name),
        caption=caption,
        badge=f"SIMULATED data where it shows {shown}" if shown else "",
    )


def data_uri(results_dir: Path, name: str) -> str:
    """The image as a data URI, so that the page needs no file beside it.

    The SVG where it is small, else the PNG.
    """
    path, raster = (results_dir / "figures" / f"{name}.{end}" for end in ("svg", "png"))
    kind = "svg+xml"
    if not path.is_file() or (path.stat().st_size > LARGEST_SVG and raster.is_file()):
        path, kind = raster, "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
