"""Commands of README and docs, run as they stand on a finished small grid; own data as in its page.

tests/unit/test_documented_commands.py holds that no page shows a command that nothing checks.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from tests.documents import PAGES, ROOT, Command, commands, fences
from tests.workflow.project import Project

pytestmark = pytest.mark.slow  # minutes of the real engines

OPEN = {  # what a page leaves to its reader -> what is put there
    "SETTING/LABEL": "cosmixture-50shot-50val/maml",
    "TABLE ROW COLUMN": "main cosmixture-50shot-50val/maml nrmse",
    "results/GRID": "results/ci",
    "results/{grid}": "results/ci",
    "/path/to/store": "store",
    "grid=NAME": "grid=ci",
    "../archives": "archives",
}
ADDED = {  # to commands that would train for hours, or ask
    r"snakemake .*grid=(?!ci\b)|snakemake --cores \d$": "--dry-run",
    r"python -m pipeline plan( --grid paper)?$": "--no-measure",
    r"dvc (gc|commit)": "--force",
}
NOT_RUN = {  # and why
    r"(source|cd|git|pre-commit|pip|pytest|make) ": "set-up and tests: continuous integration",
    r"mlflow ui": "a server: tests/workflow/test_mlflow_ui.py",
    r"snakemake --workflow-profile workflow/profiles/slurm": "needs a cluster",
    r"snakemake --directory .test": "its own folder: continuous integration would make data there",
    r"snakemake data/ratings/NAME.parquet": "a data set that does not exist yet",
    r"snakemake .*grid=(sensors)": "own data: below",
    r"python -m pipeline (add-data|promote|adapt)": "own data: below",
    r"mlflow models serve": "a server: tests/workflow/test_serving.py",
    r"python -m benchmarks": "tests/unit/benchmarks",
}


def runs(command: Command) -> bool:
    listed = any(re.match(pattern, command.text) for pattern in NOT_RUN)
    return not listed and command.page.name not in ("CHANGELOG.md", "layout.md")


RUN = {command.text: command for page in PAGES for command in commands(page) if runs(command)}


@pytest.fixture(scope="module")
def shown(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the finished run that all commands share, with a remote."""
    project = finished.copy(tmp_path_factory.mktemp("docs") / "project")
    project.dvc("remote", "add", "--local", "--default", "elsewhere", project.path("elsewhere"))
    return project


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("text", RUN)
def test_a_documented_command_runs(shown: Project, text: str) -> None:
    for left_open, filled in OPEN.items():
        text = text.replace(left_open, filled)
    text += "".join(f" {more}" for pattern, more in ADDED.items() if re.search(pattern, text))
    said = shown.run("sh", "-c", text)
    assert "Traceback" not in said


def test_every_reason_not_to_run_is_needed() -> None:
    every = [command.text for page in PAGES for command in commands(page)]
    for pattern in NOT_RUN:
        assert any(re.match(pattern, text) for text in every), pattern


OWN_DATA = ROOT / "docs/own-data.md"


def write_sensors(file: Path) -> None:
    """140 tasks of 25 rows, with the columns of the page."""
    draw = np.random.default_rng(0)
    shape = (140, 25)
    kind = draw.choice(["a", "b"], shape)
    table = {"site": np.indices(shape)[0], "hour": draw.uniform(0, 24, shape)}
    table |= {"wind": draw.uniform(0, 9, shape), "kind": kind, "load": draw.normal(size=shape)}
    flat = {column: values.ravel() for column, values in table.items()}
    pd.DataFrame(flat).to_csv(file, index=False)


@pytest.mark.timeout(600)
def test_own_data_goes_as_its_page_says(fresh: Project) -> None:
    write_sensors(fresh.path("sensors.csv"))
    add, run, *others = (command.text for command in commands(OWN_DATA))
    fresh.run(*add.split())
    params, grid = (yaml.safe_load(fence.content) for fence in fences(OWN_DATA, "yaml")[:2])
    entry = params["datasets"]["sensors"]
    assert fresh.config()["datasets"]["sensors"] == entry, "what add-data writes is what is shown"
    grid |= {"seeds": [0], "seeds_per_job": 1, "training": {"meta_updates": 3}}
    fresh.path("grids/sensors.yaml").write_text(yaml.safe_dump(grid), encoding="utf-8")
    fresh.run(*run.split())
    assert fresh.path("results/sensors/report.html").is_file()
    (setting,) = fresh.path("results/sensors/runs/amaml_rkc").iterdir()
    rows = fresh.path("sensors.csv").read_text().splitlines()
    fresh.path("support.csv").write_text("\n".join(rows[:11]))
    fresh.path("query.csv").write_text("\n".join([rows[0], *rows[11:15]]))
    promote, adapt = (text for text in others if "promote" in text or "adapt" in text)
    fresh.run(*promote.split())
    said = fresh.run(*adapt.replace("SETTING", setting.name).split())
    assert "prediction" in said

    (example,) = fences(OWN_DATA, "python")
    champion = fresh.path(f"results/sensors/champions/{setting.name}.safetensors")
    fresh.path("SETTING.safetensors").write_bytes(champion.read_bytes())
    code = f"{example.content}\nprint(table['prediction'].shape)"
    assert fresh.run("python", "-c", code).splitlines()[-1] == "(4,)"
