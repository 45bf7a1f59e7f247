"""docs/extending.md as it is written: files are added, nothing is edited, everything shows them."""

import re
from pathlib import Path

import pytest

from tests.workflow.project import ROOT, Project

pytestmark = pytest.mark.slow  # minutes of the real engines

GUIDE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\S+)\n(.*?)```", GUIDE, re.S))
SCHEMA = "workflow/schemas/params.schema.json"
SETTING = "cosmixture-50shot-50val"


def follow(project: Project, *names: str) -> None:
    """Write the guide's files with these names."""
    files = {path: text for path, text in FILES.items() if Path(path).stem in names}
    assert files
    for path, text in files.items():
        assert not project.path(path).exists()
        project.path(path).write_text(text, encoding="utf-8")


def reduce(project: Project, methods: list[str], settings: list[dict[str, str]]) -> None:
    """The grid `ci` with few runs and no studies."""
    project.set(
        grids__ci__methods=methods,
        grids__ci__settings=settings,
        grids__ci__seeds=[0],
        grids__ci__studies={},
        grids__ci__profile={"inner_steps": [1], "repeats": 1},
    )


@pytest.mark.timeout(300)
def test_a_method_is_a_module_and_a_card(fresh: Project) -> None:
    follow(fresh, "heavy_ball")
    fresh.set(methods__heavy_ball={"momentum": 0.5})
    fresh.run("python", "-m", "pipeline", "schema", SCHEMA)  # what `make schema` does
    reduce(fresh, ["fomaml", "heavy_ball"], [{"dataset": "cosmixture", "shots": "50/50"}])
    fresh.snakemake()
    results = fresh.path("results/ci")
    for table in ("main", "per_seed", "curves", "training", "costs", "equal_cost"):
        text = (results / f"tables/{table}.csv").read_text(encoding="utf-8")
        assert "heavy_ball" in text, table
    assert "MAML, heavy ball" in (results / "tables/main.md").read_text(encoding="utf-8")
    figure = (results / "figures/curves.svg").read_text(encoding="utf-8")
    assert "#332288" in figure
    report = (results / "report.html").read_text(encoding="utf-8")
    assert "gradient descent with momentum" in report
    said = fresh.run(
        "python", "-m", "pipeline", "explain", "main", f"{SETTING}/heavy_ball", "nrmse"
    )
    assert re.search(r"MLflow +[0-9a-f]{32}", said)
    changed = fresh.run("git", "diff", "--name-only", "--", "pipeline", "workflow")
    assert changed.split() == [SCHEMA]


@pytest.mark.timeout(300)
def test_a_family_is_one_file(fresh: Project) -> None:
    follow(fresh, "ripple")
    reduce(fresh, ["fomaml"], [{"dataset": "ripple", "shots": "50/50", "inner_steps": 200}])
    fresh.snakemake()
    results = fresh.path("results/ci")
    assert "ripple-50shot-50val" in (results / "tables/main.csv").read_text(encoding="utf-8")
    assert "Ripple" in (results / "report.html").read_text(encoding="utf-8")
    assert (results / "figures/instances.svg").is_file()
    said = fresh.run(
        "python",
        "-m",
        "pipeline",
        "explain",
        "main",
        "ripple-50shot-50val-200steps/fomaml",
        "nrmse",
    )
    assert re.search(r"MLflow +[0-9a-f]{32}", said)
    assert fresh.run("git", "diff", "--name-only", "--", "pipeline", "workflow") == ""
