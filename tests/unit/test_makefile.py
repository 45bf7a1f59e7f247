"""`make` repairs an environment that lacks pip or was moved, and leaves a sound one alone."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.tiny_runs import ROOT

PIP = """#!/bin/sh
echo 'pip 25.0 from {venv}/lib/python3.11/site-packages/pip (python 3.11)'
"""
NEW = "-m venv --clear .venv"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with an environment that is ready, as far as `make` looks into it."""
    folder = tmp_path / "a project"
    programs = folder / ".venv/bin"
    programs.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, folder)
    for name, text in (("pip", PIP.format(venv=folder / ".venv")), ("python", "#!/bin/sh\n")):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (folder / ".venv/.ready").touch()
    return folder


def made(folder: Path) -> str:
    """What `make setup` would do."""
    return subprocess.check_output(["make", "-n", "setup"], cwd=folder, text=True)


def does_new(said: str) -> bool:
    return any(line.startswith('test "" ||') and NEW in line for line in said.splitlines())


def test_a_sound_environment_is_left_alone(project: Path) -> None:
    assert "venv" not in made(project)


def test_another_list_of_packages_is_installed_into_it(project: Path) -> None:
    (project / ".venv/.ready").unlink()
    said = made(project)
    assert "pip install" in said
    assert not does_new(said)


def test_one_without_pip_is_made_anew(project: Path) -> None:
    (project / ".venv/bin/pip").unlink()
    assert does_new(made(project))


def test_one_that_was_moved_is_made_anew(project: Path) -> None:
    assert does_new(made(project.rename(project.with_name("elsewhere"))))


def test_one_that_was_copied_is_made_anew(project: Path) -> None:
    """Its programs would use the packages of the first."""
    copied = project.with_name("copied")
    shutil.copytree(project, copied)
    assert does_new(made(copied))


def test_none_is_made(project: Path) -> None:
    shutil.rmtree(project / ".venv")
    assert does_new(made(project))


def test_one_behind_a_link_is_sound(project: Path) -> None:
    other = project.with_name("worktree")
    other.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.lock"):
        shutil.copy(ROOT / name, other)
    (other / ".venv").symlink_to(project / ".venv")
    (project / ".venv/.ready").touch()
    assert "venv" not in made(other)
