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


def test_conda_environment_has_what_the_workflow_needs_at_the_locks_pins() -> None:
    environment = yaml.safe_load((ROOT / "workflow/envs/pipeline.yaml").read_text())
    needed = [*_project()["dependencies"], *_project()["optional-dependencies"]["workflow"]]
    pins = [_plain(pin) for pin in environment["dependencies"][-1]["pip"]]
    assert {pin.split("==")[0] for pin in pins} == {_name(pin) for pin in needed}
    assert set(pins) <= _locked()


def test_lock_has_the_pins_of_pyproject_and_no_address() -> None:
    extras = _project()["optional-dependencies"]
    pins = [pin for extra in ("workflow", "docs", "dev") for pin in extras[extra] if "==" in pin]
    assert {_plain(pin) for pin in pins} <= _locked(), "run `make lock`"
    assert {_name(each) for each in _project()["dependencies"]} <= {
        pin.split("==")[0] for pin in _locked()
    }
    text = (ROOT / "requirements.lock").read_text()
    assert "://" not in text
    assert "@" not in text


def test_every_package_of_the_lock_is_known_by_its_digests() -> None:
    """All but torch, whose build and CUDA stack differ by platform."""
    packages = re.split(r"^(?=\w)", (ROOT / "requirements.lock").read_text(), flags=re.M)[1:]
    assert len(packages) > 100
    assert [each for each in packages if "--hash=sha256:" not in each] == []
    assert "require-hashes -r requirements.lock" in (ROOT / "Makefile").read_text()


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


def _locked() -> set[str]:
    """Pins of the lock, and of torch, which is installed after it."""
    text = (ROOT / "requirements.lock").read_text()
    torch = re.search(r"^TORCH := (\S+)$", (ROOT / "Makefile").read_text(), re.M)
    return {_plain(pin) for pin in [*re.findall(r"^(\w\S*)", text, re.M), torch.group(1)]}


def _name(requirement: str) -> str:
    return re.sub("[-_.]+", "-", re.split(r"[<>=\[]", requirement)[0]).lower()


def _plain(pin: str) -> str:
    return f"{_name(pin)}=={pin.strip().split('==')[1]}"
