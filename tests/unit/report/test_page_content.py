"""What stands on the page: the numbers of the tables, marks, labels, sections, captions."""

import base64
import csv
import shlex

from pipeline.runs.records import METRICS
from tests import table_files
from tests.unit.report import conftest
from tests.unit.report.page_reader import Element, add, of, page

SYNTHETIC, RATINGS = conftest.SETTINGS


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
    def shown() -> list[str]:
        sections = of(page(results), "section")
        return [e.attributes["id"] for e in sections if "id" in e.attributes]

    first = ["summary", "claims", "main", "curves", "comparisons"]
    last = ["methods", "origins", "glossary", "evidence"]
    assert shown() == [*first, "equal-cost", "audit", "cost", *last]
    place = "family,initialisation,inner_steps,horizon"
    add(results, "fidelity", f"{place},label,cosine\nalpine,trained,50,0.5,amaml,0.99\n")
    add(results, "stability", f"{place},method,cosine\nalpine,trained,50,0.5,backsolve,0.1\n")
    add(
        results, "horizons", f"grid,setting,label,step,own,nrmse\ntest,{SYNTHETIC},amaml,5,true,1\n"
    )
    add(results, "ablation", f"setting,label,nrmse\n{SYNTHETIC},amaml,0.5\n")
    add(results, "surprise", "a,b\n1,2\n")
    add(results, "equal_cost", "label,seconds\n")  # a table without rows
    new = ["fidelity", "horizons", "stability", "ablation", "audit", "cost", "more"]
    assert shown() == [*first, *new, *last]


def test_drawings_are_inside(results):
    sources = [image.attributes["src"] for image in of(page(results), "img")]
    for source in sources:
        kind, content = source.split(",")
        assert kind == "data:image/svg+xml;base64"
        assert base64.b64decode(content) == conftest.DRAWING


def test_a_failed_run_is_said(results):
    text = " ".join(page(results)[0].text.split())
    assert "1 failed" in text
    assert "seed 1: meta-gradient norm 3.1e+09" in text
