"""Evidence by behaviour: a rewritten core keeps it, a changed number loses it where it counts.

The package is copied, edited as a person would edit it, and asked by a process of its own.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runs.behaviour import BOUND, difference

ROOT = Path(__file__).parents[3]
ASK = """
import json, sys
from pathlib import Path
from pipeline.config.schema import load_params
from pipeline.runs.probes import PROBES
from pipeline.jobs.recipes import run_recipe

params = load_params(Path("params.yaml"))
small, measure = PROBES["run"]
found = {}
for name in sys.argv[1:]:
    label, setting = name.split("@")
    recipe = run_recipe(params, label, setting, 1)
    found[name] = {"numbers": measure(small(recipe)), "code": recipe["code"]}
print(json.dumps(found))
"""
POINTS, RATINGS = "cosmixture-50shot-50val", "ml-1m-10shot-15val-50steps"
ALL = [
    *(f"{label}@{POINTS}" for label in ("maml", "maml_sweep", "fomaml", "reptile", "imaml")),
    *(f"{label}@{POINTS}" for label in ("amaml", "amaml_rkc", "amaml_anytime")),
    *(f"amaml-outer_optimiser-released@{POINTS}", f"fomaml@{RATINGS}"),
]


def ask(root: Path, names: list[str]) -> dict[str, dict]:
    """Behaviour and digest of the code of each run, by the package below `root`."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, *names], cwd=root, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def today() -> dict[str, dict]:
    return ask(ROOT, ALL)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(
        ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__")
    )
    for name in ("params.yaml", "grids"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name)
        elif (ROOT / name).is_file():
            shutil.copy2(ROOT / name, tmp_path / name)
    return tmp_path


def edit(root: Path, old: str, new: str) -> Path:
    """Replace a text that stands once in the package; the file."""
    (file,) = (p for p in (root / "pipeline").rglob("*.py") if old in p.read_text("utf-8"))
    text = file.read_text("utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), "utf-8")
    return file


RKC = {"amaml_rkc", "amaml_anytime"}
CHANGES = {
    "a term of modified Euler": ("a.add_(b), h, 0.5)", "a, h, 0.5)", {"amaml"}),
    "damping of Chebyshev steps": ("EPSILON = 2 / 13", "EPSILON = 2 / 14", RKC),
    "the sign of Reptile": ("problem.start - psi", "psi - problem.start", {"reptile"}),
    "a step of conjugate gradients": (
        "residual + _safe(next_square, square) * direction",
        "residual",
        {"imaml"},
    ),
    "a term of the sweep": (
        "points[0].hvp(lam), alpha=step.plan)",
        "lam, alpha=step.plan)",
        {"maml_sweep"},
    ),
}


OFTEN = "damping of Chebyshev steps"  # stands for the others, which take half a minute each


@pytest.mark.parametrize(
    "change", [pytest.param(c, marks=[pytest.mark.slow] * (c != OFTEN)) for c in CHANGES]
)
def test_a_changed_method_is_refused_and_no_other(change, copied, today):
    old, new, touched = CHANGES[change]
    edit(copied, old, new)
    names = [name for name in ALL if name.endswith(POINTS) and "-outer" not in name]
    found = ask(copied, names)
    faults = {name: difference(today[name]["numbers"], found[name]["numbers"]) for name in names}
    assert {name.split("@")[0] for name, fault in faults.items() if fault} == touched
    for name, fault in faults.items():
        if fault:
            assert re.search(r"\S+ is \S+ in the evidence and \S+ with this code", fault), name


@pytest.mark.slow  # asks every method anew
def test_another_epsilon_of_adam_touches_what_adam_trains(copied, today):
    adam = "torch.optim.Adam"
    edit(copied, f"{adam},", f"lambda theta, lr: {adam}(theta, lr=lr, eps=1e-7),")
    found = ask(copied, ALL)
    same = {n for n in ALL if not difference(today[n]["numbers"], found[n]["numbers"])}
    assert same == {f"amaml-outer_optimiser-released@{POINTS}"}


def test_another_order_of_frozen_rows_touches_rating_data(copied, today):
    drawn = "generator.permutation(given.counts[position])"
    edit(copied, drawn, f"{drawn}[::-1]")
    names = [f"fomaml@{POINTS}", f"fomaml@{RATINGS}"]
    found = ask(copied, names)
    refused = {n for n in names if difference(today[n]["numbers"], found[n]["numbers"])}
    assert refused == {f"fomaml@{RATINGS}"}


def test_another_order_of_drawn_rows_touches_everything(copied, today):
    edit(copied, "keys.argsort(axis=1)[:, :needed]", "keys.argsort(axis=1)[:, :needed][:, ::-1]")
    names = [f"fomaml@{POINTS}", f"fomaml@{RATINGS}"]
    found = ask(copied, names)
    assert all(difference(today[n]["numbers"], found[n]["numbers"]) for n in names)


def test_a_refactoring_changes_the_code_and_no_number(copied, today):
    """A module renamed, a function moved to another, a variable renamed."""
    moved = edit(copied, "def _safe(", "def _quotient(")
    text = moved.read_text("utf-8").replace("_safe(", "_quotient(").replace("square", "energy")
    moved.write_text(text, "utf-8")
    core = copied / "pipeline/core"
    (core / "mlp.py").rename(core / "tanh_network.py")
    for file in (copied / "pipeline").rglob("*.py"):
        text = file.read_text("utf-8")
        file.write_text(text.replace("pipeline.core.mlp", "pipeline.core.tanh_network"), "utf-8")
    found = ask(copied, ALL)
    for name in ALL:
        assert found[name]["code"] != today[name]["code"]
        assert difference(today[name]["numbers"], found[name]["numbers"]) is None, name


def test_differences_name_the_number():
    kept = {"a": 1.0, "b": None, "c": 2.0}
    assert difference(kept, kept) is None
    assert difference(kept, kept | {"c": 2.0 * (1 + BOUND / 2)}) is None
    assert difference(kept, kept | {"c": 2.0 * (1 + 3 * BOUND)}).startswith("c is 2 in")
    assert "undefined in the evidence" in difference(kept, kept | {"b": 1.0})
    assert "only this code has the number d" in difference(kept, kept | {"d": 1.0})


def test_noise_of_rounding_around_zero_is_no_difference():
    assert difference({"a": 1e-17}, {"a": -3e-16}) is None
