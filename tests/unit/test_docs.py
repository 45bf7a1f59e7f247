"""README and docs: links lead somewhere, and examples run as they stand.

tests/workflow/test_docs.py runs the commands that take longer than being read.
"""

import re
import runpy
import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.config.schema import load_params, on_grid
from tests.documents import PAGES, PROGRAMS, ROOT, anchors, fences, inline, name

RUN_ELSEWHERE = {  # page -> test that runs its Python
    "README.md": "tests/unit/test_light_install.py",
    "docs/extending.md": "tests/workflow/test_extending.py",
    "docs/own-data.md": "tests/workflow/test_docs.py",
    "docs/tutorial.md": "tests/workflow/test_docs.py",
}


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
def test_python_examples_run(page: Path) -> None:
    names: dict = {}
    for fence in fences(page, "python"):
        code = compile(fence.content, f"{name(page)}:{(fence.map or [0])[0] + 1}", "exec")
        if name(page) not in RUN_ELSEWHERE:
            exec(code, names)


@pytest.mark.parametrize("page", [p for p in PAGES if fences(p, "yaml")], ids=name)
def test_parameters_are_sound(page: Path, tmp_path: Path) -> None:
    """Blocks of a page together: `# grids/NAME.yaml` is a file, all else belongs to params.yaml."""
    shutil.copytree(ROOT / "grids", tmp_path / "grids")
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    grids = []
    for fence in fences(page, "yaml"):
        if found := re.match(r"# grids/(\w+)\.yaml\n", fence.content):
            grids.append(found[1])
            (tmp_path / f"grids/{found[1]}.yaml").write_text(fence.content, encoding="utf-8")
            continue
        for section, entries in yaml.safe_load(fence.content).items():
            params.setdefault(section, {}).update(entries)
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    sound = load_params(tmp_path / "params.yaml")
    for grid in grids:
        assert on_grid(sound, grid).active.methods


@pytest.mark.parametrize(("page", "test"), RUN_ELSEWHERE.items())
def test_examples_that_run_elsewhere_do(page: str, test: str) -> None:
    assert page in (ROOT / test).read_text(encoding="utf-8")


def test_the_site_has_every_page() -> None:
    listed = (ROOT / "docs/site/mkdocs.yml").read_text(encoding="utf-8")
    missing = [p.name for p in ROOT.glob("docs/*.md") if f": docs/{p.name}\n" not in listed]
    assert missing == [], "name them under `nav` in docs/site/mkdocs.yml"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_stand_in_blocks_that_say_so(page: Path) -> None:
    lines = [line for fence in fences(page, "") for line in fence.content.splitlines()]
    commands = [line for line in lines if line.split(" ")[0] in PROGRAMS]
    assert commands == [], "begin the block with ```sh, that of an output with ```text"


def test_the_site_makes_pages_of_the_code() -> None:
    hooks = runpy.run_path(str(ROOT / "docs/site/hooks.py"))
    for page, said in {
        "reference": "meta_gradient",
        "methods": "amaml",
        "columns": "nrmse",
    }.items():
        assert said in hooks[page](), page
