"""README and docs: links lead somewhere, and Python examples run as they stand."""

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("config/*.md")])


@cache
def tokens(page: Path) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8"))


def inline(page: Path) -> Iterator[Token]:
    for token in tokens(page):
        yield from token.children or []


def fences(page: Path, language: str) -> list[Token]:
    return [t for t in tokens(page) if t.type == "fence" and t.info.split(" ")[0] == language]


@cache
def anchors(page: Path) -> set[str]:
    """What a repository host makes of headings: lower case, dashes, no other punctuation."""
    headings = (after for t, after in pairwise(tokens(page)) if t.type == "heading_open")
    return {re.sub(r"[^\w\- ]", "", h.content.lower()).replace(" ", "-") for h in headings}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    links = [str(t.attrs.get("href") or t.attrs.get("src") or "") for t in inline(page)]
    broken = []
    for link in filter(None, links):
        place, _, anchor = link.partition("#")
        if "://" in place:
            continue
        target = (page.parent / place).resolve() if place else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", [p for p in PAGES if fences(p, "python")], ids=name)
def test_python_examples_are_python(page: Path) -> None:
    for fence in fences(page, "python"):
        compile(fence.content, f"{name(page)}:{(fence.map or [0])[0] + 1}", "exec")


def test_the_example_of_the_library_runs() -> None:
    (example,) = fences(ROOT / "README.md", "python")
    names: dict = {}
    exec(example.content, names)
    out = names["out"]
    assert out.gradient.shape == names["theta"].shape
    assert out.adapted.shape == (5, *names["theta"].shape)


def test_the_site_has_every_page() -> None:
    listed = (ROOT / "docs/site/mkdocs.yml").read_text(encoding="utf-8")
    missing = [p.name for p in ROOT.glob("docs/*.md") if f": docs/{p.name}\n" not in listed]
    assert missing == [], "name them under `nav` in docs/site/mkdocs.yml"
