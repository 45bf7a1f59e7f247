"""Files that repeat what another file says, held equal."""

import json
import re
import tomllib
from pathlib import Path

import yaml

from pipeline import __version__
from pipeline.config.schema import GridFile, ParamsFile, load_params
from pipeline.runs.records import FILES
from tests.workflow.project import ROOT


def test_schema_file_is_the_one_of_the_code() -> None:
    for name, kind in (("params", ParamsFile), ("grid", GridFile)):
        stored = json.loads((ROOT / f"workflow/schemas/{name}.schema.json").read_text())
        del stored["$schema"]
        assert stored == kind.model_json_schema(), "run `make schema`"


def test_conda_environment_has_the_pins_of_pyproject() -> None:
    environment = yaml.safe_load((ROOT / "workflow/envs/pipeline.yaml").read_text())
    assert environment["dependencies"][-1]["pip"] == _project()["dependencies"]


def test_lock_has_the_pins_of_pyproject_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text()
    locked = {_plain(line.split(" ;")[0]) for line in text.splitlines()}
    wanted = [*_project()["dependencies"], *_project()["optional-dependencies"]["dev"]]
    missing = {_plain(pin) for pin in wanted} - locked
    assert missing == {_plain(wanted[0])}, "run `make lock`"  # torch is installed on its own
    assert "://" not in text
    assert "@" not in text


def test_rules_declare_every_file_of_a_run() -> None:
    rules = (ROOT / "workflow/rules/train.smk").read_text()
    declared = re.findall(r"^RUN_FILES \+?= \[(.*?)\]", rules, re.M)
    assert tuple(re.findall(r'"([\w.]+)"', ", ".join(declared))) == FILES


def test_dvc_follows_every_file_of_the_tables() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["tables"]["do"]
    kinds = ("outs", "metrics", "plots")
    declared = {Path(name).name for kind in kinds for entry in stages[kind] for name in entry}
    rules = (ROOT / "workflow/rules/results.smk").read_text()
    names = re.search(r"TABLE_NAMES = \[(.*?)\]", rules, re.S)[1]
    tables = {f"{name}.csv" for name in re.findall(r'"(\w+)"', names)}
    written = {"main.md", "claims.md", "summary.json", "figures", "report.html"}
    assert declared == tables | written


def test_version_and_licence_are_the_same_wherever_they_are_named() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    releases = re.findall(r"^## (\d\S*) - (\S+)$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert releases[0] == (citation["version"], citation["date-released"])
    assert citation["version"] == __version__
    assert citation["license"] == _project()["license"]


def test_params_file_is_sound() -> None:
    load_params(ROOT / "params.yaml")


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _plain(pin: str) -> str:
    name, version = pin.strip().split("==")
    return f"{re.sub('[-_.]+', '-', name).lower()}=={version}"
