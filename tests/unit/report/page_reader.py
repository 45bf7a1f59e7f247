"""A page as a browser's parser sees it: elements with their attributes and text."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from pipeline.report.page import build_report

VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str]
    parents: tuple[str, ...]
    text: str = ""
    children: list["Element"] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[Element] = []
        self.open: list[Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        parents = tuple(element.tag for element in self.open)
        element = Element(tag, {key: value or "" for key, value in attrs}, parents)
        self.elements.append(element)
        for parent in self.open:
            parent.children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open[-1].tag == tag, f"</{tag}> closes <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        for element in self.open:
            element.text += data


def read_page(path: Path) -> list[Element]:
    """All elements in document order; the tags have to match."""
    reader = _Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader.elements


def of(elements: list[Element], tag: str) -> list[Element]:
    return [element for element in elements if element.tag == tag]


def page(results: Path) -> list[Element]:
    """The elements of the page built from a results folder."""
    return read_page(build_report(results, grid="test"))


def ids(elements: list[Element]) -> list[str]:
    return [e.attributes["id"] for e in elements if "id" in e.attributes]


def add(results: Path, name: str, text: str) -> None:
    """Write one more table."""
    (results / "tables" / f"{name}.csv").write_text(text)
