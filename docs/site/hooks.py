"""The pages of the site: those of the repository at their own places, so that links need no change.

Three more are made of the code: the reference of `pipeline.core`, the methods from their cards,
and what the columns of the tables mean.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from pipeline import core
from pipeline.config.card import MethodCard, MethodSettings
from pipeline.config.measures import CLASSES, NUMBERS
from pipeline.config.methods import METHODS
from pipeline.config.predictors import ASKED_FOR
from pipeline.report.columns import EVERY, columns_of
from pipeline.report.sections import glossary
from pipeline.report.texts import text_of

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages, and the files that they show or link to."""
    names = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
    pages = [*(ROOT / name for name in names), *ROOT.glob("docs/*.md")]
    linked = {
        (page.parent / link).resolve()
        for page in pages
        for link in LINK.findall(page.read_text(encoding="utf-8"))
    }
    for path in sorted(linked.union(pages)):
        if path.is_file():
            name = path.relative_to(ROOT).as_posix()
            files.append(File.generated(config, name, abs_src_path=str(path)))
    for make in (reference, methods, columns):
        name = f"docs/{make.__name__}.md"
        files.append(File.generated(config, name, content=make()))
    return files


def reference() -> str:
    """The public names of `pipeline.core`, from their docstrings."""
    parts = ["# The library, `pipeline.core`"]
    for name in core.__all__:
        public = getattr(core, name)
        if hasattr(public, "__module__"):
            parts.append(f"::: {public.__module__}.{name}")
        else:
            parts.append(f"## {name}\n\nNames: {', '.join(f'`{key}`' for key in public)}.")
    return "\n\n".join(parts)


def methods() -> str:
    start = f"# The methods\n\n{text_of('methods.md')}"
    return "\n\n".join([start, *map(_method, METHODS.values())])


def _method(card: MethodCard) -> str:
    parts = [f"## {card.title} (`{card.name}`)", card.text.strip(), f"From: {card.citation}."]
    settings = [
        f"- `{name}`: {field.description or field.annotation}"
        for name, field in card.settings.model_fields.items()
        if name not in MethodSettings.model_fields
    ]
    if settings:
        parts += ["Settings in `params.yaml`:", "\n".join(settings)]
    return "\n\n".join(parts)


def columns() -> str:
    """What the report says of words, of numbers and of classes, and of columns."""
    every, own = columns_of(NUMBERS.name).copy(), []
    shared = every.pop(EVERY)
    for table, meanings in every.items():
        own += [f"### Otherwise in `{table}`", _table(meanings)]
    words = glossary(NUMBERS, own=False, predictors=ASKED_FOR.values())
    of_classes = glossary(CLASSES, own=True, predictors=())
    words += f"\n\n## Where targets are classes\n\n{of_classes}"
    return "\n\n".join(["# Words and columns", words, "## Columns", _table(shared), *own])


def _table(meanings: dict[str, list[str]]) -> str:
    rows = [f"| `{name}` | {heading} | {text} |" for name, (heading, text) in meanings.items()]
    return "\n".join(["| column | heading | meaning |", "|---|---|---|", *rows])
