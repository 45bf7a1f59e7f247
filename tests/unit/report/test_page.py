"""The page: whole, self-contained, labelled, and each number linked to what is behind it."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.paper.claims import CLAIM_COLUMNS
from pipeline.report.explain import explain
from pipeline.report.page import build_report
from pipeline.runs.records import METRICS
from tests import table_files
from tests.unit.report import conftest
from tests.unit.report.page_reader import add, ids, of, page, read_page

SYNTHETIC, RATINGS = conftest.SETTINGS
CLAIMS = f"{','.join(CLAIM_COLUMNS)}\n" + (
    "best,paper,It is `best`,all,,holds in part,,1,2,,,,,,,,,,,,\n"
    f"best,paper,It is `best`,{SYNTHETIC},cosmixture,better,true,1,1,50,amaml,fomaml,"
    "-0.1,-0.2,-0.05,0.001,10,,,,\n"
)


def test_every_cell_of_the_main_table_leads_to_its_evidence(results):
    elements = page(results)
    links = {a.attributes["title"]: a for a in of(elements, "a") if "title" in a.attributes}
    known = ids(elements)
    assert len(known) == len(set(known))
    bodies = {e.attributes["id"]: e for e in of(elements, "tbody") if "id" in e.attributes}
    for row in table_files.read(results / "tables", "main"):
        for column in (*METRICS, "n_seeds"):
            name = f"{row['setting']}/{row['label']}"
            wanted = f"python -m pipeline explain main {name} {column} --results {results}"
            link = links[wanted]
            assert link.attributes["href"] == f"#e-{row['setting']}.{row['label']}"
            evidence = bodies[link.attributes["href"][1:]]
            assert f"explain main {name} nrmse" in evidence.text
            if row["kind"] == "method":
                for seed in ("0", "1"):
                    folder = f"{results}/runs/{row['label']}/{row['setting']}/{seed}"
                    assert folder in evidence.text


def test_every_link_resolves_and_every_tooltip_is_a_command_that_works(results):
    (results / "tables" / "claims.csv").write_text(CLAIMS)
    add(results, "ablation", f"setting,switch,label,nrmse\n{SYNTHETIC},on,amaml,0.5\n")
    elements = page(results)
    known = set(ids(elements))
    commands = set()
    for link in of(elements, "a"):
        target = link.attributes["href"]
        if target.startswith("#"):
            assert target[1:] in known
        else:
            assert (results / target).is_file()
        if (at := (title := link.attributes.get("title", "")).find("python -m")) >= 0:
            commands.add(title[at:])
    tables = {shlex.split(command)[4] for command in commands}
    assert tables == {
        *("main", "costs", "claims", "ablation", "comparisons", "audit"),
        "equal_cost",
    }
    for command in commands:
        *_, table, row, column, _, folder = shlex.split(command)
        said = explain(Path(folder), table, row, column, database=results / "none.db")
        assert f"column   {column}" in said


def test_nothing_is_loaded_from_elsewhere(results):
    text = build_report(results, grid="test").read_text(encoding="utf-8")
    elements = read_page(results / "report.html")
    assert of(elements, "script") == []
    sources = [e.attributes[key] for e in elements for key in ("src", "srcset", "data", "poster")
               if key in e.attributes]  # fmt: skip
    sources += [link.attributes["href"] for link in of(elements, "link")]
    assert sources
    assert all(source.startswith("data:") for source in sources)
    (style,) = of(elements, "style")
    assert not re.search(r"url\(|@import|http", style.text)
    assert not re.search(r"(src|href)=.http", text)
    assert "//cdn" not in text


def test_reads_without_sight(results):
    """One h1, no heading level skipped, captions, alternative texts, languages, landmarks."""
    (results / "tables" / "audit.md").write_text("# Audit\n\n### Deep\n\n| a |\n|---|\n| 1 |\n")
    elements = page(results)
    levels = [int(e.tag[1]) for e in elements if re.fullmatch(r"h[1-6]", e.tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b - a <= 1 for a, b in pairwise(levels) if a < 5)
    assert of(elements, "html")[0].attributes["lang"] == "en"
    assert [len(of(elements, tag)) for tag in ("main", "nav", "header")] == [1, 1, 1]
    boxes = [e for e in elements if e.attributes.get("aria-label") == "table"]
    written = [table for box in boxes for table in of(box.children, "table")]  # in Markdown
    assert len(written) == 1  # the audit
    for table in of(elements, "table"):
        if table not in written:
            assert of(table.children, "caption")[0].text.strip()
            assert all(th.attributes["scope"] for th in of(table.children, "th"))
    images = of(elements, "img")
    assert len(images) == 2
    for image in images:
        assert len(image.attributes["alt"]) > 10
    for box in elements:
        if box.attributes.get("class", "").startswith("scroll"):
            assert box.attributes["tabindex"] == "0"
            assert box.attributes["aria-label"]


def test_what_is_read_is_escaped(results):
    add(results, "surprise", 'claim,words\n<script>alert(1)</script>,"a <b> & ""c"""\n')
    (results / "tables" / "audit.md").write_text("<script>alert(1)</script> ![x](http://y/z.png)")
    elements = page(results)
    assert of(elements, "script") == []
    assert len(of(elements, "img")) == 2


def test_bytes_do_not_depend_on_the_order_of_runs(results, tmp_path):
    other = conftest.make(tmp_path / "other" / "results" / "test", reverse=True)
    first = build_report(results, grid="test").read_text()
    assert first == build_report(results, grid="test").read_text()
    second = build_report(other, grid="test").read_text()
    assert first.replace(str(results.parent), "R") == second.replace(str(other.parent), "R")


def test_runs_that_are_not_here_are_told_from_the_tables(results):
    for record in results.glob("runs/*/*/*/*"):
        record.unlink()
    elements = page(results)
    (body,) = [e for e in of(elements, "tbody") if e.attributes.get("id") == f"e-{SYNTHETIC}.amaml"]
    assert "not here" in body.text
    assert "0" * 12 in body.text, "the commit stands in per_seed.csv"


def test_machines_that_runs_were_made_on_are_told_apart(results):
    """By system and torch, from the tables alone: the records may not be here."""
    file = results / "tables" / "per_seed.csv"
    lines = file.read_text().splitlines(keepends=True)
    lines[1] = lines[1].replace(",cpu,cpu,", ',cpu,"cpu, Linux-6.1, torch 2.11",')
    file.write_text("".join(lines))
    (table,) = [e for e in of(page(results), "table") if "Code and machines" in e.text]
    rows = [[c.text.strip() for c in of(row.children, "td")] for row in of(table.children, "tr")]
    assert [row for row in rows if row] == [
        ["cpu", str(len(lines) - 2)],
        ["cpu, Linux-6.1, torch 2.11", "1"],
    ]


def test_missing_tables_are_named(results):
    (results / "tables" / "main.csv").unlink()
    with pytest.raises(BadInput, match=r"main\.csv: found no such table.*snakemake"):
        build_report(results, grid="test")
    assert not (results / "report.html").exists()


def test_unreadable_record_is_named(results):
    (results / "runs/amaml" / SYNTHETIC / "0/metrics.json").write_text("{")
    with pytest.raises(BadInput, match=r"amaml.*metrics\.json: no seal in it"):
        build_report(results, grid="test")
