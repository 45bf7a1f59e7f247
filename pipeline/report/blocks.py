"""What a page is made of. The template parts.html.j2 draws it, each block by its `kind`."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar


@dataclass(frozen=True)
class Cell:
    """One cell. `title` is the `explain` command of its number, `href` its evidence on the page."""

    text: str
    title: str = ""
    href: str = ""
    tone: str = ""  # style class: best, close, holds, part, not, words
    badge: str = ""  # label after the text, such as SIMULATED
    note: "Cell | None" = None  # a second line, smaller


@dataclass(frozen=True)
class Head:
    """A column's heading; `title` says what the column holds."""

    text: str
    title: str = ""
    tone: str = ""  # words: prose stands below it
    note: str = ""  # a second line, smaller


@dataclass(frozen=True)
class Row:
    """A table row: the first cells name it. `group` separates blocks of rows by a line."""

    names: Sequence[Cell]
    cells: Sequence[Cell]
    group: str = ""


@dataclass(frozen=True)
class Table:
    """A table with its caption; `stack`: rows become cards on a narrow screen."""

    kind: ClassVar[str] = "table"
    caption: str
    names: Sequence[Head]
    heads: Sequence[Head]
    rows: Sequence[Row]
    badge: str = ""
    stack: bool = False
    more: str = ""  # a sentence on rows that are left out


class Part(SimpleNamespace):
    """Any other piece: `kind` is the macro of parts.html.j2 that draws it, the rest its values."""

    kind: str


Block = Table | Part


def anchor(name: str, text: str, badge: str = "") -> Part:
    """A sub-heading that can be linked to."""
    return Part(kind="anchor", id=name, text=text, badge=badge)


def fold(summary: str, blocks: Sequence[Block], *, printed: bool = True) -> Part:
    """Blocks behind a line that opens them; `printed`: paper shows them too."""
    return Part(kind="fold", summary=summary, blocks=blocks, printed=printed)


def prose(html: str) -> Part:
    """Paragraphs; `html` has been escaped."""
    return Part(kind="prose", html=html)


@dataclass(frozen=True)
class Section:
    """A section of the page; one without blocks is not shown."""

    id: str
    title: str
    blocks: Sequence[Block]
