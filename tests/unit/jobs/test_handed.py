"""Recipes reach their jobs whole, however long they are."""

import json
import shlex
from pathlib import Path

import pytest

from pipeline.cli.options import parse_spec, parse_specs
from pipeline.jobs import handed as handing
from pipeline.jobs.handed import handed, write_handed

MOST = 131_072  # bytes of one argument: MAX_ARG_STRLEN of Linux
LONG = {"kind": "tables", "runs": {f"maml-{n}": {str(n): "0" * 16} for n in range(5000)}}


def test_a_short_recipe_stands_in_its_command():
    assert handed({"kind": "run"}) == '{"kind":"run"}'


@pytest.mark.parametrize("recipe", [LONG, [LONG, LONG]], ids=["one", "a block's"])
def test_a_long_recipe_is_read_from_its_file(recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(json.dumps(LONG)) > MOST
    spec = handed(recipe)
    assert len(spec) < 200
    write_handed([{"kind": "run"}, recipe])
    read = parse_specs if isinstance(recipe, list) else parse_spec
    assert read(spec) == recipe
    assert len(list(handing.FOLDER.iterdir())) == 1


def test_another_recipe_has_another_file(tmp_path):
    other = {**LONG, "kind": "tracking"}
    write_handed([LONG], tmp_path)
    write_handed([other], tmp_path)
    assert handed(LONG) != handed(other)
    assert [path.name for path in (tmp_path / handing.FOLDER).iterdir()] == [
        Path(handed(other)).name
    ]


def test_what_stands_in_a_command_fits_into_one_argument_whatever_the_quoting():
    worst = "'" * (handing.LONGEST - 20)
    assert len(shlex.quote(handed({"a": worst})).encode()) < MOST
