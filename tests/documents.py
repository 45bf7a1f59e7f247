"""Pages for people (README, docs and their like), and what stands in them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *(ROOT / folder / "README.md" for folder in ("config", ".test")),
    ]
)
PROGRAMS = ("python", "snakemake", "make", "dvc", "mlflow", "pip", "pytest", "pre-commit", "git")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def inline(page: Path) -> Iterator[Token]:
    for token in tokens(page):
        yield from token.children or []


def fences(page: Path, *languages: str) -> list[Token]:
    return [t for t in tokens(page) if t.type == "fence" and t.info.split(" ")[0] in languages]


def anchors(page: Path) -> set[str]:
    """What a repository host makes of headings: lower case, dashes, no other punctuation."""
    headings = (after for t, after in pairwise(tokens(page)) if t.type == "heading_open")
    return {re.sub(r"[^\w\- ]", "", h.content.lower()).replace(" ", "-") for h in headings}


@dataclass(frozen=True)
class Command:
    """A command that a page shows: a line of a block of commands, or `code` in a sentence."""

    page: Path
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text)

    def __str__(self) -> str:
        return f"{name(self.page)}: {self.text}"


def commands(page: Path) -> list[Command]:
    """Commands of a page, in their order; those of blocks are in blocks `sh`."""
    found = []
    for fence in fences(page, "sh"):
        for line in fence.content.replace("\\\n", " ").splitlines():
            plain = re.split(r"(?:^|\s)#", line)[0]
            found += [part.strip() for part in re.split(r";|&&", plain)]
    for token in inline(page):
        if token.type == "code_inline" and len(token.content.split()) > 1:
            found += [token.content] if token.content.split()[0] in PROGRAMS else []
    return [Command(page, text) for text in dict.fromkeys(filter(None, found))]
