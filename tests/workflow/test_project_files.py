"""Files that repeat what another file says, held equal."""

import json
import re
import tomllib

import yaml

from pipeline import __version__
from pipeline.config.schema import GridFile, ParamsFile, load_params
from pipeline.jobs.artifacts import RUN_FILES
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


def test_what_is_whole_is_the_same_for_records_and_recipes() -> None:
    assert (*RUN_FILES, "spec.json") == FILES


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
