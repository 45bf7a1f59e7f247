"""Markdown to HTML that fits in the page: no raw HTML, no images, headings below its own."""

from markdown_it import MarkdownIt
from markdown_it.token import Token

_SCROLL = '<div class="scroll" role="region" tabindex="0" aria-label="table">'


def to_html(markdown: str, *, top: int = 3) -> str:
    """HTML of CommonMark with tables; its highest heading becomes `<h{top}>`."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(markdown)
    levels = sorted({token.tag for token in tokens if token.type == "heading_open"})
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(6, top + levels.index(token.tag))}"
    return str(parser.renderer.render(_boxed(tokens), parser.options, {}))


def _boxed(tokens: list[Token]) -> list[Token]:
    """Tables in a box of their own that scrolls."""
    boxed = []
    for token in tokens:
        if token.type == "table_open":
            boxed.append(Token("html_block", "", 0, content=_SCROLL))
        boxed.append(token)
        if token.type == "table_close":
            boxed.append(Token("html_block", "", 0, content="</div>"))
    return boxed
