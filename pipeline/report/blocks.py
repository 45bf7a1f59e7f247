"""What a page is made of: prose, tables, figures, and folds of these. The template draws them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar


@dataclass(frozen=True)
class Cell:
    """One cell. `title` is the `explain` command of its number, `href` its evidence on the page."""

    text: str
    title: str = ""
    href: str = ""
    tone: str = ""  # style class: best, close, holds, part, not, words
    badge: str = ""  # label after the text, such as SIMULATED
    more: str = ""  # the rest of a long text, behind a fold
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

    @property
    def wide(self) -> bool:
        return len(self.heads) > 8

    @property
    def groups(self) -> list[list[Row]]:
        """Consecutive rows of one group together."""
        grouped: list[list[Row]] = []
        for row in self.rows:
            if grouped and grouped[-1][0].group == row.group:
                grouped[-1].append(row)
            else:
                grouped.append([row])
        return grouped


@dataclass(frozen=True)
class Figure:
    """An image with its caption; `source` is a data URI."""

    kind: ClassVar[str] = "figure"
    name: str
    title: str
    source: str
    alt: str
    caption: str
    badge: str = ""


@dataclass(frozen=True)
class Prose:
    """Paragraphs; `html` has been escaped."""

    kind: ClassVar[str] = "prose"
    html: str


@dataclass(frozen=True)
class Anchor:
    """A sub-heading that can be linked to."""

    kind: ClassVar[str] = "anchor"
    id: str
    text: str
    badge: str = ""


@dataclass(frozen=True)
class Fold:
    """Blocks behind a line that opens them; `printed`: paper shows them too."""

    kind: ClassVar[str] = "fold"
    summary: str
    blocks: "Sequence[Block]"
    printed: bool = True


@dataclass(frozen=True)
class Evidence:
    """The runs of one setting, each group of rows under its own anchor."""

    kind: ClassVar[str] = "evidence"
    setting: str
    groups: Sequence["EvidenceGroup"]


@dataclass(frozen=True)
class EvidenceGroup:
    """The runs behind one row of the main table; `command` explains a cell of it."""

    id: str
    title: str
    label: str
    command: str
    note: str = ""
    runs: Sequence[Sequence[Cell]] = ()


Block = Table | Figure | Prose | Anchor | Fold | Evidence


@dataclass(frozen=True)
class Section:
    """A section of the page; one without blocks is not shown."""

    id: str
    title: str
    blocks: Sequence[Block] = field(default_factory=list)
