"""The page and `explain` on a grid that the real workflow made; the page in a real browser."""

import html
import re
import shlex
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from pipeline.seals import read_sealed
from tests.unit.report.page_reader import of, read_page
from tests.workflow.conftest import METHODS
from tests.workflow.project import Project

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
QUIET = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--virtual-time-budget=20000", "--dump-dom"),
)
SETTING = "cosmixture-50shot-50val"
# a page in frames of several widths, which says what of it does not fit
MEASURE = """
<iframe style="border:0" width="{width}" height="900" srcdoc="{page}"></iframe><pre id="said"></pre>
<script>
document.querySelector("iframe").onload = event => {{
  const page = event.target.contentDocument, found = [page.documentElement.scrollWidth];
  page.querySelectorAll("details").forEach(fold => fold.open = true);
  for (const element of page.querySelectorAll("main *, header *, nav *")) {{
    const box = element.closest(".scroll");
    if (element.getBoundingClientRect().right > {width} + 1 && (!box || box === element))
      found.push(element.tagName + "." + element.className);
  }}
  found.push("images " + [...page.images].filter(i => i.naturalWidth > 0).length);
  document.getElementById("said").textContent = found.join(" ");
}};
</script>
"""


def test_page_names_every_run_and_the_commit(finished: Project) -> None:
    elements = read_page(finished.path("results/ci/report.html"))
    text = elements[0].text
    runs = [path.parent for path in finished.path("results/ci").glob("runs/*/*/*/spec.json")]
    assert len(runs) == len(METHODS) * 2 * 2  # settings, seeds
    for run in runs:
        assert str(run.relative_to(finished.root)) in text
    commits = {read_sealed(run / "metrics.json")["git_commit"] for run in runs}
    assert all(commit[:12] in text for commit in commits)
    assert len(of(elements, "img")) == len([*finished.path("results/ci/figures").glob("*.svg")])


def test_explain_from_the_command_line(finished: Project) -> None:
    said = finished.run("python", "-m", "pipeline", "explain", "main", f"{SETTING}/amaml", "nrmse")
    assert "runs     2, seeds 0, 1" in said
    assert re.search(r"MLflow +[0-9a-f]{32}", said)
    refused = finished.run("python", "-m", "pipeline", "explain", "main", "x", "nrmse", rc=2)
    assert refused.startswith("error: results/ci/tables/main.csv: found no row named 'x'")
    assert "Traceback" not in refused


@pytest.mark.slow  # trains
def test_commands_that_explain_prints_remake_the_run(project: Project) -> None:
    row = f"{SETTING}/fomaml/1"
    said = project.run("python", "-m", "pipeline", "explain", "per_seed", row, "nrmse")
    commands = [line.split("remake")[1].strip() for line in said.splitlines() if "remake" in line]
    table, workflow, training = commands
    folder = project.path(f"results/ci/runs/fomaml/{SETTING}/1")
    before = read_sealed(folder / "spec.json"), read_sealed(folder / "metrics.json")["nrmse"]

    project.run(*shlex.split(training))
    assert (
        read_sealed(folder / "spec.json"),
        read_sealed(folder / "metrics.json")["nrmse"],
    ) == before

    remove, make = workflow.split(" && ")
    project.run(*shlex.split(remove))
    assert not folder.exists()
    project.run(*shlex.split(make))
    assert (
        read_sealed(folder / "spec.json"),
        read_sealed(folder / "metrics.json")["nrmse"],
    ) == before

    assert "build_tables" in project.run(*shlex.split(table), "--dry-run")


@pytest.mark.parametrize(
    "name",
    ["pipeline/report/methods.md", "pipeline/report/page.css"],
)
def test_texts_of_the_page_make_it_again_and_nothing_else(project: Project, name: str) -> None:
    path = project.path(name)
    path.write_text(path.read_text() + "\n")
    assert project.planned() == Counter(build_report=1)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
@pytest.mark.parametrize("width", [1280, 360])
def test_page_fits_its_window(finished: Project, tmp_path: Path, width: int) -> None:
    page = finished.path("results/ci/report.html").read_text(encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(MEASURE.format(width=width, page=html.escape(page)), encoding="utf-8")
    command = [str(CHROMIUM), *QUIET, f"--user-data-dir={tmp_path / 'browser'}", frame.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = re.search(r'<pre id="said">(\d+) (.*?)</pre>', done.stdout)
    assert said is not None
    assert int(said[1]) <= width
    figures = len([*finished.path("results/ci/figures").glob("*.svg")])
    assert said[2] == f"images {figures}", (
        "what is wider than the window, and figures that were drawn"
    )
