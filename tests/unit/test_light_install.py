"""`pip install .`: the library runs alone, and commands say what to install.

The packages are there while the tests run: a process in which they cannot be imported stands for
an environment without them.
"""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.documents import ROOT, fences

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OF_THE_LIBRARY = {"scipy"}  # which torchdiffeq needs
BLOCKED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def plain(pin: str) -> str:
    return re.sub("[-_.]+", "-", re.split(r"[<>=\[]", pin)[0]).lower()


def light(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process that has none of the packages of the extra `workflow`."""
    missing = {plain(pin) for pin in PROJECT["optional-dependencies"]["workflow"]} - OF_THE_LIBRARY
    names = {
        module
        for module, found in packages_distributions().items()
        if missing & {plain(name) for name in found}
    }
    assert {"pandas", "pydantic", "yaml", "typer", "mlflow", "matplotlib"} <= names
    return subprocess.run(
        [sys.executable, "-c", BLOCKED.format(names=names) + code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_the_library_needs_torch_torchdiffeq_and_numpy() -> None:
    assert [plain(pin) for pin in PROJECT["dependencies"]] == ["torch", "torchdiffeq", "numpy"]
    (example,) = fences(ROOT / "README.md", "python")
    done = light(example.content)
    assert done.returncode == 0, done.stderr


def test_a_command_says_what_to_install() -> None:
    run = "import runpy; runpy.run_module('pipeline', run_name='__main__', alter_sys=True)"
    done = light(run, "schema")
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(r"error: the package `typer` is not installed\..*\n", done.stderr)
    assert "pip install '.[workflow]'" in done.stderr
