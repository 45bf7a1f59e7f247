"""Numbers of docs/costs.md are those of the record of `make bench`, as they are rounded.

Its first table holds medians in ms and errors in percent. In sentences a number is cited as in
`2.0<!-- fomaml/500 over amaml_rkc/500 -->`: a ratio of times, a field of an entry, or an extra.
"""

import json
import re

import pytest

from tests.documents import ROOT

TEXT = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
RECORD = json.loads((ROOT / "benchmarks/results/cpu.json").read_text(encoding="utf-8"))
ENTRIES = {f"{e['candidate']}/{e['inner_steps']}": e for e in RECORD["entries"]}
SCALES = {"peak_tensor_bytes": 1e-6, "compile_seconds": 1.0}
CITATIONS = re.findall(r"([\d.]+)<!-- (.+?) -->", TEXT)
ROWS = {
    title: [cell.strip() for cell in cells.strip("| ").split("|")]
    for title, cells in re.findall(r"^\| (.+?) \|(.+)\|$", TEXT.split("\nOn a GPU")[0], re.M)
}
CANDIDATES = {
    "`amaml_rkc`, rtol 1e-3": "amaml_rkc",
    "JAX, FOMAML": "jax_fomaml",
    "JAX, exact MAML, stored states": "jax_sweep",
    "JAX, exact MAML, reverse mode": "jax_maml",
    "`fomaml`, batched": "fomaml",
    "`maml_sweep`, batched": "maml_sweep",
    "`maml`, batched and unrolled": "maml",
    "`amaml`, the paper's scheme": "amaml",
    "a plain PyTorch FOMAML loop": "fomaml_loop",
    "`torchopt` MetaSGD": "torchopt",
    "`higher`": "higher",
}


def rounded_to(said, value):
    """Whether `said` is `value` in two or three digits."""
    found = float(said.replace(",", ""))
    return any(found == float(f"{value:.{digits}g}") for digits in (2, 3))


@pytest.mark.parametrize(("title", "name"), CANDIDATES.items())
def test_the_table_is_of_the_record(title, name):
    *times, error = ROWS[title]
    for steps, said in zip((50, 500, 5_000), times, strict=True):
        entry = ENTRIES[f"{name}/{steps}"]
        if entry["status"] == "ok":
            assert rounded_to(said, 1e3 * entry["seconds"]["median"])
        else:
            assert said == ""
    percent = 100 * ENTRIES[f"{name}/500"]["relative_error"]
    assert error == f"{percent:.{0 if percent > 10 else 1}f} %"


@pytest.mark.parametrize(("said", "what"), CITATIONS)
def test_a_cited_number_is_that_of_the_record(said, what):
    first, *rest = what.split(" ")
    match rest:
        case ["over", second]:
            value = ENTRIES[first]["seconds"]["median"] / ENTRIES[second]["seconds"]["median"]
        case [field]:
            value = ENTRIES[first][field] * SCALES[field]
        case _:
            value = RECORD["extras"][first]["ratio"]
    decimals = len(said.partition(".")[2])
    assert f"{value:.{decimals}f}" == said


def test_the_fastest_first_order_loop_is_the_one_that_is_named():
    """What `amaml_rkc` is compared with."""
    for steps in (50, 500, 5_000):
        loops = ("fomaml", "fomaml_loop", "jax_fomaml")
        times = {name: ENTRIES[f"{name}/{steps}"]["seconds"]["median"] for name in loops}
        assert min(times, key=times.__getitem__) == "jax_fomaml"
