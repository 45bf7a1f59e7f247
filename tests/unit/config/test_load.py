"""The one reader of YAML: what it reads, what it refuses, and that it agrees with DVC's."""

import time
from pathlib import Path

import pytest
from dvc.utils.serialize import parse_yaml as dvc_reads
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from pipeline.config.load import parse_yaml, read_mapping, read_overrides
from pipeline.config.schema import ParamsFile, check_params, load_params
from pipeline.errors import BadInput
from tests.unit.config.test_schema import RAW, refusal

ROOT = Path(__file__).parents[3]
BOMB = "a0: &a0 [1]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-06", 1e-6),  # as `dvc exp run -S training.outer_lr=0.000001` writes it
        ("1E5", 1e5),
        ("010", 10),
        ("0o17", 15),
        ("1_000", 1000),
        ("1:30", "1:30"),
        ("2026-11-28", "2026-11-28"),
        ("2026-99-99", "2026-99-99"),
        ("'1e-06'", "1e-06"),
        ("1e", "1e"),
        ("true", True),
        ("~", None),
    ],
)
def test_scalars_are_read_as_yaml_1_2_has_them(text, value):
    found = parse_yaml(f"x: {text}")["x"]
    assert (found, type(found)) == (value, type(value))


@settings(max_examples=150, deadline=None)
@given(text=st.from_regex(r"[-+]?[0-9]{1,5}(\.[0-9]{0,5})?([eE][-+]?[0-9]{1,2})?", fullmatch=True))
def test_numbers_are_those_that_dvc_reads(text):
    ours = parse_yaml(f"x: {text}")["x"]
    assert repr(ours) == repr(dvc_reads(f"x: {text}", "params.yaml")["x"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2", "the key `a` stands there twice"),
        ("x: !!int 12:3x", "line 1: found 12:3x, needed a whole number"),
        ("x: !!float 2000-01-01", "needed a number"),
        ("x: !!bool maybe", "needed true or false"),
        ("x: !!timestamp 1", "found the tag"),
        ("x: !!set {a, b}", "found the tag"),
        ("x: !!python/object/apply:os.getcwd []", "found the tag"),
        ("x: !!binary '%'", "found the tag"),
        ("x: " + "9" * 5000, "needed a whole number of at most 19 digits"),
        ("x: " + "[" * 40 + "]" * 40, "brackets within brackets"),
        ("x: " + "[" * 5000 + "]" * 5000, "brackets within brackets"),
        ("? [a]\n: b", "a list or mapping as a key"),
        ("x: &x [*x]", "brackets within brackets"),
        (BOMB, "more than 100,000 values"),
        ("x: [", "expected"),
        ("x: \x01", "not allowed"),
    ],
)
def test_what_is_refused_at_once_in_one_message(text, said, tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text(text)
    started = time.monotonic()
    with pytest.raises(BadInput) as caught:
        read_mapping(file)
    assert str(caught.value).startswith(f"{file}: ")
    assert said in str(caught.value)
    assert len(str(caught.value)) < 600
    assert time.monotonic() - started < 5


def test_a_large_file_is_not_read(tmp_path):
    file = tmp_path / "p.yaml"
    file.write_text("# " + "x" * 1_000_000)
    with pytest.raises(BadInput, match="needed at most 1,000,000"):
        read_mapping(file)


def test_aliases_are_read():
    assert parse_yaml("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}")["c"] == {"x": 1, "y": 2}


def test_a_file_of_the_command_line_is_read_as_the_parameters_are(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("training:\n  outer_lr: 1e-06\n")
    given = {"grid": "ci", "data": {"items": "50", "raw_dir": "here"}}
    assert read_overrides([file], given) == {
        "training": {"outer_lr": 1e-6},
        "grid": "ci",
        "data": {"items": 50, "raw_dir": "here"},
    }
    file.write_text("training:\n  outer_lr: 1.0e-3\n  outer_lr: 1.0e-2\n")
    with pytest.raises(BadInput, match="`outer_lr` stands there twice"):
        read_overrides([file], {})


def test_a_rate_that_dvc_wrote_is_a_number(tmp_path):
    for name in ("params.yaml", "grids"):
        (tmp_path / name).symlink_to(ROOT / name)
    text = (ROOT / "params.yaml").read_text().replace("outer_lr: 1.0e-3", "outer_lr: 1e-06")
    (tmp_path / "params.yaml").unlink()
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").training.outer_lr == 1e-6


@pytest.mark.parametrize(
    "path",
    ["grids.ci.inner_steps", "simulated.users", "synthetic.points", "evaluation.steps.0"],
)
def test_a_number_of_60_digits_is_refused(path):
    if path.endswith(".0"):
        assert "less than or equal to" in refusal(path.removesuffix(".0"), [10**59])
    else:
        assert "less than or equal to" in refusal(path, 10**59)


def test_a_long_value_is_shown_short():
    assert len(refusal("training.outer_lr", ["x" * 100_000])) < 400


@pytest.mark.parametrize("name", [2016, 1e5, 201610])
def test_a_folder_that_is_a_number_is_refused_with_the_remedy(name):
    with pytest.raises(BadInput, match=r"raw_dir: found .* on the command line, \./NAME"):
        check_params(RAW | {"raw_dir": name})


def test_every_whole_number_has_a_bound():
    assert issubclass(ParamsFile, BaseModel)
    schema = ParamsFile.model_json_schema()
    open_ended = [
        place for place, kind in _integers(schema, "") if not {"maximum", "enum", "const"} & {*kind}
    ]
    assert open_ended == []


def _integers(node, place):
    if isinstance(node, dict):
        if node.get("type") == "integer":
            yield place, node
        for key, part in node.items():
            yield from _integers(part, f"{place}/{key}")
    elif isinstance(node, list):
        for part in node:
            yield from _integers(part, place)
