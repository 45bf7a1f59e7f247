"""An entry is added to a YAML file, and everything else in it stays as it stands."""

import pytest
import yaml

from pipeline.config.add_entry import with_entry
from pipeline.errors import BadInput

ENTRY = {"table": "a: b.csv", "task": "007", "inputs": ["no", "größe", "x, y"], "items": 3}
HEAD = "# first\ngrid: ci # of grids/\n"
BLOCK = """  new:
    table: 'a: b.csv'
    task: '007'
    inputs: ['no', größe, 'x, y']
    items: 3
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "\ndatasets:\n{}"),
        ("dtype: float32", "dtype: float32\n\ndatasets:\n{}"),
        ("datasets: {{}}\ndtype: f\n", "datasets:\n{}dtype: f\n"),
        ("datasets: # mine\ndtype: f\n", "datasets: # mine\n{}dtype: f\n"),
        ("datasets: {{}} # mine\n", "datasets: # mine\n{}"),
        ("datasets:", "datasets:\n{}"),
        (
            "datasets:\n  old: {{table: x}} # why\n\n# methods\ndtype: f\n",
            "datasets:\n  old: {{table: x}} # why\n{}\n# methods\ndtype: f\n",
        ),
        (
            "datasets:\n  old:\n    inputs:\n    - a\n    - b\n  # end\ndtype: f",
            "datasets:\n  old:\n    inputs:\n    - a\n    - b\n{}  # end\ndtype: f",
        ),
        ("datasets:\n  old: {{a: [1,\n    2]}}", "datasets:\n  old: {{a: [1,\n    2]}}\n{}"),
    ],
)
def test_layout_and_comments_stay(before: str, after: str) -> None:
    found = with_entry(HEAD + before.format(), "datasets", "new", ENTRY, "p.yaml")
    assert found == HEAD + after.format(BLOCK)
    assert yaml.safe_load(found)["datasets"]["new"] == ENTRY


def test_the_indent_of_the_section_is_kept() -> None:
    found = with_entry("datasets:\n    old:\n        a: 1\n", "datasets", "new", {"b": 2}, "p.yaml")
    assert yaml.safe_load(found) == {"datasets": {"old": {"a": 1}, "new": {"b": 2}}}


@pytest.mark.parametrize(
    "text", ["datasets: {old: {a: 1}}\n", "datasets: *x\n", "{datasets: {}}\n"]
)
def test_what_cannot_be_added_to_is_said_with_the_lines(text: str) -> None:
    if "*x" in text:
        text = "base: &x {old: {a: 1}}\n" + text
    with pytest.raises(BadInput, match=r"(?s)p\.yaml: datasets: .*by hand:\ndatasets:\n  new:\n"):
        with_entry(text, "datasets", "new", ENTRY, "p.yaml")
