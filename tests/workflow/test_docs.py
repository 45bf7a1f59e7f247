"""Commands of README and docs, run as they stand on a finished small grid; own data as in its page.

tests/unit/test_documented_commands.py holds that no page shows a command that nothing checks.
"""

import re
from pathlib import Path

import pytest
import yaml

from tests.documents import PAGES, ROOT, Command, commands, fences, name
from tests.workflow.project import Project, new_project

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
ADDED = {  # to commands that would train for hours, or ask, or are shortened in a sentence
    r"snakemake (?!.*(--cores|-n|--report))": "--cores 2",
    r"snakemake .*grid=(?!ci\b)|snakemake --cores \d$": "--dry-run",
    r"python -m pipeline plan( --grid paper)?$": "--no-measure",
    r"dvc (gc|commit)": "--force",
}
NOT_RUN = {  # and why
    r"(source|cd|git|pre-commit|pip|pytest|make) ": "set-up and tests: continuous integration",
    r"mlflow (ui|server)": "a server: tests/workflow/test_mlflow_ui.py",
    r"snakemake --workflow-profile workflow/profiles/slurm": "needs a cluster",
    r"snakemake --directory .test": "its own folder: continuous integration would make data there",
    r"snakemake data/ratings/NAME.parquet": "a data set that does not exist yet",
    r"snakemake .*grid=(sensors)": "own data: below",
    r"python (-m pipeline (add-data|promote|adapt)|make_sensors.py)": "own data: below",
    r"python -m pipeline log-live": "goes on with its parent: tests/unit/tracking/test_live.py",
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
    said = shown.run("timeout", 600, "sh", "-c", text)
    assert "Traceback" not in said


def test_every_reason_not_to_run_is_needed() -> None:
    every = [command.text for page in PAGES for command in commands(page)]
    for pattern in NOT_RUN:
        assert any(re.match(pattern, text) for text in every), pattern


TUTORIAL, OWN_DATA = ROOT / "docs/tutorial.md", ROOT / "docs/own-data.md"
SETTING_OF_OWN = "sensors-10shot-10val-100steps"


@pytest.fixture(scope="module")
def sensors(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project of docs/tutorial.md after its training, which is shortened."""
    project = new_project(tmp_path_factory.mktemp("docs") / "project")
    (script,) = fences(TUTORIAL, "python")
    project.path("make_sensors.py").write_text(script.content, encoding="utf-8")
    shown = [command.text for command in commands(TUTORIAL)]
    make, add, train = (next(t for t in shown if key in t) for key in ("make_", "add-", "snake"))
    project.run(*make.split())
    said = project.run(*add.split())
    assert said.strip() == fences(TUTORIAL, "text")[0].content.strip()
    grid = project.config()["grids"]["sensors"]
    grid |= {"seeds": [0], "seeds_per_job": 1, "training": {"meta_updates": 3}}
    project.path("grids/sensors.yaml").write_text(yaml.safe_dump(grid), encoding="utf-8")
    project.run(*train.split())
    return project


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [TUTORIAL, OWN_DATA], ids=name)
def test_own_data_go_as_their_pages_say(sensors: Project, page: Path) -> None:
    assert sensors.path("results/sensors/report.html").is_file()
    shown = [command.text.replace("SETTING", SETTING_OF_OWN) for command in commands(page)]
    promote, adapt = (next(text for text in shown if key in text) for key in ("promote", "adapt"))
    sensors.run(*promote.split())
    assert "prediction" in sensors.run(*adapt.split())


def test_an_entry_is_the_one_that_is_shown(sensors: Project) -> None:
    params = yaml.safe_load(fences(OWN_DATA, "yaml")[0].content)
    assert sensors.config()["datasets"] == params["datasets"]


def test_the_example_with_an_initialisation_runs(sensors: Project) -> None:
    champion = sensors.path(f"results/sensors/champions/{SETTING_OF_OWN}.safetensors")
    sensors.path("SETTING.safetensors").write_bytes(champion.read_bytes())
    (example,) = fences(OWN_DATA, "python")
    code = f"{example.content}\nprint(table['prediction'].shape)"
    assert sensors.run("python", "-c", code).splitlines()[-1] == "(5,)"
