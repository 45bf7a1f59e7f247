"""The page: whole, self-contained, labelled, and each number linked to what is behind it."""

import base64
import csv
import json
import re
import shlex
from itertools import pairwise
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.records import METRICS
from pipeline.report.explain import explain
from pipeline.report.page import build_report
from tests import table_files
from tests.unit.report import conftest
from tests.unit.report.page_reader import Element, of, read_page

SYNTHETIC, RATINGS = conftest.SETTINGS


def page(results: Path) -> list[Element]:
    return read_page(build_report(results, grid="test"))


def ids(elements: list[Element]) -> list[str]:
    return [e.attributes["id"] for e in elements if "id" in e.attributes]


def add(results: Path, name: str, text: str) -> None:
    (results / "tables" / f"{name}.csv").write_text(text)


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
    add(results, "verdicts", "claim,text,verdict,held,tested\nbest,It is `best`,holds,3,4\n")
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
        if link.attributes.get("title", "").startswith("python"):
            commands.add(link.attributes["title"])
    tables = {shlex.split(command)[4] for command in commands}
    assert tables == {"main", "costs", "verdicts", "ablation"}
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
    assert len(written) == 1
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


def test_numbers_are_those_of_the_tables(results):
    elements = page(results)
    links = {a.attributes["title"]: a.text for a in of(elements, "a") if "title" in a.attributes}
    for row in table_files.read(results / "tables", "main"):
        for metric in METRICS:
            name = f"{row['setting']}/{row['label']}"
            text = links[f"python -m pipeline explain main {name} {metric} --results {results}"]
            mean, error = (float(part) for part in text.rstrip(" ★≈").split(" ± "))
            stderr = float(row[f"{metric}_stderr"])
            # two digits of the standard error: off by at most half of the second one
            assert abs(mean - float(row[metric])) <= 0.05 * stderr + 1e-12
            assert abs(error - stderr) <= 0.05 * stderr + 1e-12


def test_marks_without_a_test_name_the_smallest_mean_of_whole_methods(results):
    marked = marked_cells(page(results))
    rows = table_files.read(results / "tables", "main")
    whole = [r for r in rows if r["setting"] == SYNTHETIC and r["status"] == "ok"]
    methods = [r for r in whole if r["kind"] == "method"]
    best = min(methods, key=lambda row: float(row["nrmse"]))
    assert marked[SYNTHETIC] == {best["label"]: "★"}


def test_marks_of_a_test_are_taken_from_the_table(results):
    path = results / "tables" / "main.csv"
    with path.open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    for row in rows:
        row["best"] = str(row["label"] == "maml").lower()
        row["not_worse_than_best"] = str(row["label"] in ("maml", "fomaml")).lower()
    with path.open("w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    assert marked_cells(page(results)) == {
        s: {"maml": "★", "fomaml": "≈"} for s in conftest.SETTINGS
    }


def marked_cells(elements: list[Element]) -> dict[str, dict[str, str]]:
    """Marks by setting and label, in the tables that compare settings."""
    found: dict[str, dict[str, str]] = {}
    for link in of(elements, "a"):
        command = link.attributes.get("title", "")
        if "explain main" in command and link.text[-1] in "★≈":
            setting, label = shlex.split(command)[5].split("/")
            found.setdefault(setting, {})[label] = link.text[-1]
    return found


def test_simulated_data_are_labelled_wherever_they_appear(results):
    add(results, "ablation", f"setting,label,nrmse\n{RATINGS},amaml,0.5\n{SYNTHETIC},amaml,0.5\n")
    elements = page(results)
    for row in of(elements, "tr"):
        if RATINGS in row.text.split("explain")[0] and row.parents[-1] == "tbody":
            runs = "evidence" in " ".join(row.parents) or "runs/" in row.text
            assert runs or "SIMULATED" in row.text
        if SYNTHETIC in row.text:
            assert "SIMULATED" not in row.text
    for caption in of(elements, "caption"):
        if RATINGS in caption.text and "Runs of" not in caption.text:
            assert "SIMULATED" in caption.text
    for heading in of(elements, "h3"):
        if heading.text.startswith((RATINGS, "Ratings")):
            assert "SIMULATED" in heading.text
    captions = {e.children[1].attributes.get("alt"): e.text for e in of(elements, "figure")}
    assert [("SIMULATED" in text) for text in captions.values()] == [True, False]  # curves, memory


def test_sections_are_there_when_there_is_something_in_them(results):
    assert {"summary", "main", "curves", "cost", "methods", "origins", "glossary", "evidence"} == {
        e.attributes["id"] for e in of(page(results), "section") if "id" in e.attributes
    }
    add(results, "verdicts", "claim,verdict,evidence\nThe claim,does not hold,none\n")
    add(results, "fidelity", "label,horizon,cosine\namaml,2,0.99\n")
    add(results, "surprise", "a,b\n1,2\n")
    add(results, "equal_cost", "label,seconds\n")
    shown = {e.attributes["id"] for e in of(page(results), "section") if "id" in e.attributes}
    assert {"verdicts", "fidelity", "more"} <= shown
    assert "equal-cost" not in shown, "a table without rows"


def test_findings_and_captions_stand_below_their_figures(results):
    findings = {"memory": "A-MAML needs a tenth.", "curves": "MAML is <best>."}
    (results / "tables" / "findings.json").write_text(json.dumps(findings))
    captions = [figure.text for figure in of(page(results), "figcaption")]
    assert "MAML is <best>." in captions[0]
    assert "The vertical line is the horizon K" in captions[0]
    assert "A-MAML needs a tenth." in captions[1]


def test_drawings_are_inside(results):
    sources = [image.attributes["src"] for image in of(page(results), "img")]
    for source in sources:
        kind, content = source.split(",")
        assert kind == "data:image/svg+xml;base64"
        assert base64.b64decode(content) == conftest.DRAWING


def test_what_is_read_is_escaped(results):
    add(results, "surprise", 'claim,words\n<script>alert(1)</script>,"a <b> & ""c"""\n')
    (results / "tables" / "audit.md").write_text("<script>alert(1)</script> ![x](http://y/z.png)")
    elements = page(results)
    assert of(elements, "script") == []
    assert len(of(elements, "img")) == 2


def test_a_failed_run_is_said(results):
    text = " ".join(page(results)[0].text.split())
    assert "1 failed" in text
    assert "seed 1: meta-gradient norm 3.1e+09" in text


def test_bytes_do_not_depend_on_the_order_of_runs(results, tmp_path):
    other = conftest.make(tmp_path / "other" / "results" / "test", reverse=True)
    for root, order in ((results, 1), (other, -1)):
        findings = dict([("curves", "One."), ("memory", "Two.")][::order])
        (root / "tables" / "findings.json").write_text(json.dumps(findings))
    first = build_report(results, grid="test").read_text()
    assert first == build_report(results, grid="test").read_text()
    second = build_report(other, grid="test").read_text()
    assert first.replace(str(results), "R") == second.replace(str(other), "R")


def test_runs_that_are_not_here_are_told_from_the_tables(results):
    for record in results.glob("runs/*/*/*/*"):
        record.unlink()
    elements = page(results)
    (body,) = [e for e in of(elements, "tbody") if e.attributes.get("id") == f"e-{SYNTHETIC}.amaml"]
    assert "not here" in body.text
    assert "0" * 12 in body.text, "the commit stands in per_seed.csv"


@pytest.mark.parametrize("text", ["[]", '{"curves": 1}', "{"])
def test_findings_that_are_none_are_refused(results, text):
    (results / "tables" / "findings.json").write_text(text)
    with pytest.raises(BadInput, match=r"findings\.json.*needed a JSON object"):
        build_report(results, grid="test")


def test_missing_tables_are_named(results):
    (results / "tables" / "main.csv").unlink()
    with pytest.raises(BadInput, match=r"main\.csv: found no such table.*snakemake"):
        build_report(results, grid="test")
    assert not (results / "report.html").exists()


def test_unreadable_record_is_named(results):
    (results / "runs/amaml" / SYNTHETIC / "0/metrics.json").write_text("{")
    with pytest.raises(BadInput, match=r"amaml.*unreadable run record"):
        build_report(results, grid="test")
