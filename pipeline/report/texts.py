"""The texts that the page is made with, and Markdown as HTML that fits in it."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt

HERE = Path(__file__).parent
_BOX = '<div class="scroll" role="region" tabindex="0" aria-label="table">\n<table>'


def text_of(name: str) -> str:
    """The text of `pipeline/report/{name}`."""
    return (HERE / name).read_text(encoding="utf-8")


def to_html(markdown: str, *, top: int = 3) -> str:
    """HTML of CommonMark with tables: no raw HTML, no images; its highest heading is `<h{top}>`.

    Tables stand in a box of their own that scrolls.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(markdown)
    levels = sorted({token.tag for token in tokens if token.type == "heading_open"})
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, top + levels.index(token.tag))}"
    html = str(parser.renderer.render(tokens, parser.options, {}))
    # raw HTML is escaped, so that these tags are tables of Markdown
    return html.replace("<table>", _BOX).replace("</table>", "</table>\n</div>")


def templates(*, autoescape: bool) -> Environment:
    """The templates beside this file; a value that a template misses is an error."""
    return Environment(
        loader=FileSystemLoader(HERE),
        autoescape=autoescape,  # noqa: S701, off for Markdown: what renders it passes no HTML
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
