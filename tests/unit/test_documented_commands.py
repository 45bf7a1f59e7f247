"""Every command that a page shows is one that its program takes: names, options, files, grids.

Read by the programs' own parsers and run by none of them; tests/workflow/test_docs.py runs them.
"""

import re
import tomllib
from collections.abc import Callable

import click
import pytest
import typer

from pipeline import cli
from tests.documents import PAGES, ROOT, Command, commands

ALL = list(dict.fromkeys(command for page in PAGES for command in commands(page)))
OF_OTHERS = {  # nothing of this project's can be wrong in them
    "cd": "a shell's own",
    "git": "not told how by us",
    "pre-commit": "installed by who wants it",
    "source": "a shell's own",
}


def pipeline(command: Command) -> None:
    """Its options are known; where nothing is left open, all it needs is there."""
    words = [word.strip("[]") for word in command.words if word != "|"][3:]
    if words == ["--help"]:
        return
    known = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    assert words[0] in known, f"one of {', '.join(known)}"
    needed = known[words[0]]
    options = {o for p in needed.params for o in (*p.opts, *p.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options
    if "[" not in command.text:
        given = ["1" if re.fullmatch("[A-Z]", word) else word for word in words[1:]]
        needed.make_context(words[0], given)


def python(command: Command) -> None:
    if command.words[1] != "-m":  # a file that the page shows
        assert f"# {command.words[1]}\n" in command.page.read_text(encoding="utf-8")
        return
    _, _, module, *words = command.words
    if module == "pipeline":
        return pipeline(command)
    path = ROOT / module.replace(".", "/")
    file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    source = "".join(f.read_text() for f in (file, *(path.glob("*.py") if path.is_dir() else [])))
    assert all(f'"{word}"' in source for word in words if word.startswith("--"))


def snakemake(command: Command) -> None:
    from snakemake.cli import get_argument_parser

    given = get_argument_parser().parse_args(command.words[1:])
    rules = {
        found
        for file in ROOT.glob("workflow/**/*")
        if file.suffix == ".smk" or file.name == "Snakefile"
        for found in re.findall(r"^ *rule (\w+):", file.read_text(), re.M)
    }
    assert all(target in rules or "/" in target for target in given.targets)
    page = command.page.read_text(encoding="utf-8")
    grids = {path.stem for path in ROOT.glob("grids/*.yaml")} | {"NAME"}
    own = re.findall(r"(?:grids/|add-data )(\w+)\.(?:yaml|csv)", page)
    config = dict(word.split("=") for word in given.config or [])
    assert config.keys() <= {"grid", "raw_dir"}
    assert config.get("grid", "NAME") in grids.union(own)
    if given.workflow_profile:
        assert (ROOT / given.workflow_profile).is_dir()


def make(command: Command) -> None:
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):.*## ", text, re.M)
    for word in command.words[1:]:
        variable, assigned, _ = word.partition("=")
        assert (f"{variable}" in re.findall(r"\b[A-Z]+\b", text)) if assigned else word in targets


def dvc(command: Command) -> None:
    from dvc.cli import parse_args

    parse_args(command.words[1:])


def mlflow(command: Command) -> None:
    from mlflow.cli import cli as group

    found: click.Command = group
    words = command.words[1:]
    with click.Context(group) as context:
        while isinstance(found, click.Group):
            name, found, words = found.resolve_command(context, words)
    found.make_context(name, words)


def pip(command: Command) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert command.words[1] == "install"
    for word in command.words[2:]:
        if extra := re.fullmatch(r"\.\[(.*)\]", word):
            assert set(extra[1].split(",")) <= project["optional-dependencies"].keys()


def pytests(command: Command) -> None:
    assert all((ROOT / word).exists() for word in command.words[1:] if "/" in word)


CHECKS: dict[str, Callable[[Command], None]] = {
    **{"python": python, "snakemake": snakemake, "make": make, "dvc": dvc, "mlflow": mlflow},
    **{"pip": pip, "pytest": pytests},
    **{program: lambda command: None for program in OF_OTHERS},
}


@pytest.mark.parametrize("command", ALL, ids=str)
def test_a_documented_command_is_one(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    program = command.words[0]
    assert program in CHECKS, "not covered: a check of this program's commands is needed here"
    try:
        CHECKS[program](command)
    except (SystemExit, click.ClickException) as error:
        pytest.fail(f"{command}: {error}\n{capsys.readouterr().err}")


def test_commands_are_found() -> None:
    assert len(ALL) > 60
