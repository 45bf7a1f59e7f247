"""Recipes: what makes an artifact stale, what does not, and that no module is forgotten."""

import ast
import copy
import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline import specs
from pipeline.config import Params, check_params
from pipeline.data.sources import SOURCES
from pipeline.study_specs import study_recipe

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pipeline"
RAW = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
METHODS = [label for label, given in RAW["methods"].items() if "like" not in given]
SYNTHETIC, RATINGS = "cosmixture-50shot-50val", "simulated-10shot-15val-50steps"

# Modules that no number depends on, and why. Everything else that a job imports from `pipeline`
# has to stand in `specs.CODE`.
HARMLESS = {
    "__init__.py": "the version",
    "allocator.py": "when memory goes back to the system",
    "checkpoint.py": "keeps a state and gives it back",
    "config.py": "what it holds reaches a job through its recipe",
    "core/methods/__init__.py": "the registry, compared with specs.MODULES below",
    "data/__init__.py": "a docstring",
    "data/sources.py": "what is read of it stands in the ratings recipe",
    "devices.py": "the device is no part of a recipe",
    "errors.py": "a message",
    "files.py": "writes what it is given",
    "progress.py": "a bar",
    "recipe_checks.py": "refuses recipes",
    "records.py": "names of columns and files",
    "specs.py": "what it decides stands in the recipe",
    "studies/__init__.py": "a docstring",
    "study_checks.py": "refuses recipes",
}


def params(change: Callable[[dict[str, Any]], None] = lambda raw: None) -> Params:
    """The shipped parameters after `change`."""
    raw = copy.deepcopy(RAW)
    change(raw)
    return check_params(raw)


def everything(given: Params) -> dict[tuple[str, ...], str]:
    """Digests of all recipes of the grid, and of both kinds of data."""
    found = {}
    for dataset in ("cosmixture", "simulated", "ml-100k"):
        if dataset in SOURCES:
            found["archive", dataset] = specs.archive_recipe(given, dataset)
            found["ratings", dataset] = specs.ratings_recipe(given, dataset)
        found["tasks", dataset] = specs.tasks_recipe(given, dataset)
    for setting in (SYNTHETIC, RATINGS):
        for seed in (0, 1):
            found["episodes", setting, str(seed)] = specs.episodes_recipe(given, setting, seed)
            for method in METHODS:
                key = ("run", setting, str(seed), method)
                found[key] = specs.run_recipe(given, method, setting, seed)
    for method in METHODS:
        found["profile", method] = specs.profile_recipe(given, method)
    return {key: specs.digest(recipe) for key, recipe in found.items()}


@functools.cache
def shipped() -> dict[tuple[str, ...], str]:
    return everything(params())


def changed(change: Callable[[dict[str, Any]], None]) -> set[tuple[str, ...]]:
    """Which recipes a change of params.yaml changes."""
    before, after = shipped(), everything(params(change))
    assert before.keys() == after.keys()
    return {key for key in before if before[key] != after[key]}


def setter(path: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(raw: dict[str, Any]) -> None:
        *folders, last = path.split(".")
        for name in folders:
            raw = raw[name]
        raw[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value", "method"),
    [
        ("methods.maml.steps_divisor", 5, "maml"),
        ("methods.imaml.cg_steps", 7, "imaml"),
        ("methods.imaml.proximal", 2.0, "imaml"),
        ("methods.amaml.rtol", 1e-4, "amaml"),
        ("methods.amaml.solver", "rk4", "amaml"),
        ("methods.amaml_anytime.omega", 0.2, "amaml_anytime"),
    ],
)
def test_a_methods_setting_changes_that_methods_runs_only(path, value, method):
    found = changed(setter(path, value))
    assert {key for key in found if key[0] != "profile"} == {
        ("run", setting, seed, method) for setting in (SYNTHETIC, RATINGS) for seed in "01"
    }
    # every number of steps is profiled as it is, so MAML's divisor changes no profile
    wanted = set() if path == "methods.maml.steps_divisor" else {("profile", method)}
    assert {key for key in found if key[0] == "profile"} == wanted


def about(found: set[tuple[str, ...]]) -> set[tuple[str, str]]:
    """Kind and data set or setting (method, of a profile)."""
    return {key[:2] for key in found}


@pytest.mark.parametrize(
    ("path", "value", "wanted"),
    [
        (
            "data.min_ratings",
            20,
            {("tasks", "simulated"), ("tasks", "ml-100k"), ("episodes", RATINGS), ("run", RATINGS)},
        ),
        ("data.test_tasks", 50, {("episodes", RATINGS), ("run", RATINGS)}),
        ("synthetic.evaluation_points", 90, {("episodes", SYNTHETIC), ("run", SYNTHETIC)}),
        (
            "synthetic.points",
            300,
            {("tasks", "cosmixture"), ("episodes", SYNTHETIC), ("run", SYNTHETIC)},
        ),
        (
            "simulated.users",
            500,
            {
                *(("archive", "simulated"), ("ratings", "simulated"), ("tasks", "simulated")),
                *(("episodes", RATINGS), ("run", RATINGS)),
            },
        ),
        (f"settings.{SYNTHETIC}.support", 40, {("episodes", SYNTHETIC), ("run", SYNTHETIC)}),
        (f"settings.{SYNTHETIC}.standardise", False, {("episodes", SYNTHETIC), ("run", SYNTHETIC)}),
        (f"settings.{SYNTHETIC}.inner_steps", 100, {("run", SYNTHETIC)}),
        ("model.ratings", [20], {("run", RATINGS)}),
        ("training.gradient_limit", 10.0, {("run", SYNTHETIC), ("run", RATINGS)}),
        ("evaluation.learning_rate", 0.1, {("run", SYNTHETIC), ("run", RATINGS)}),
        ("grids.quickstart.training.meta_updates", 9, {("run", SYNTHETIC), ("run", RATINGS)}),
    ],
)
def test_a_change_reaches_what_is_made_from_it(path, value, wanted):
    assert about(changed(setter(path, value))) == wanted


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("device", "cpu"),
        ("training.checkpoint_every", 7),
        ("grids.quickstart.training.checkpoint_every", 7),
        ("data.raw_dir", "/elsewhere"),
        ("raw_dir", "/elsewhere"),
        ("data.retries", 9),
        ("data.timeout_s", 1.0),
        ("grids.quickstart.seeds", [0, 1, 2]),
        ("grids.quickstart.seeds_per_job", 3),
        ("grids.quickstart.methods", ["amaml"]),
        ("grids.ci.training.meta_updates", 9),
        ("methods.another", {"method": "reptile"}),
        (
            "settings.another",
            {"dataset": "alpine", "support": 5, "query": 5, "inner_steps": 5},
        ),
    ],
)
def test_what_changes_no_recipe(path, value):
    assert changed(setter(path, value)) == set()


def test_what_a_source_says_about_reading_is_in_the_recipe(monkeypatch):
    before = specs.ratings_recipe(params(), "ml-100k")
    for name, value, stale in (("hi", 10.0, True), ("urls", ("x",), False)):
        other = dataclasses.replace(SOURCES["ml-100k"], **{name: value})
        monkeypatch.setattr(specs, "SOURCES", {**SOURCES, "ml-100k": other})
        assert (specs.ratings_recipe(params(), "ml-100k") != before) is stale, name


def test_grids_differ_in_what_they_replace_only():
    quick, ratings = (params(setter("grid", name)) for name in ("quickstart", "paper"))
    a, b = (specs.run_recipe(given, "imaml", SYNTHETIC, 0) for given in (quick, ratings))
    for name, pair in {"meta_updates": (300, 5000), "ledger_every": (100, 1000)}.items():
        assert (a["training"].pop(name), b["training"].pop(name)) == pair
    assert a == b


def test_inner_steps_become_each_methods_settings():
    given = params()
    settings = {m: specs.core_settings(given, m, 200) for m in METHODS}
    assert settings["maml"] == {"inner_steps": 20, "inner_lr": 0.01}
    assert settings["maml1"] == {"inner_steps": 1, "inner_lr": 0.01}
    assert settings["imaml"]["inner_steps"] == 200
    assert settings["amaml"]["horizon"] == pytest.approx(2.0)
    assert settings["amaml"]["omega"] == 0.0
    assert settings["amaml_anytime"]["omega"] == 0.5
    assert specs.core_settings(given, "maml", 5)["inner_steps"] == 1
    profile = specs.profile_recipe(given, "maml")["settings"]
    assert {int(k): v["inner_steps"] for k, v in profile.items()} == {
        k: k for k in (1, 50, 100, 200, 300, 500)
    }


def test_settings_are_those_the_core_takes():
    from pipeline.core import check_settings

    given = params()
    for method in METHODS:
        check_settings(given.methods[method].method, specs.core_settings(given, method, 50))


def test_canonical_text_does_not_depend_on_order_and_refuses_nan():
    assert specs.canonical({"b": [1, 2.5], "a": None}) == '{"a":null,"b":[1,2.5]}'
    assert specs.digest({"a": 1, "b": 2}) == specs.digest({"b": 2, "a": 1})
    assert specs.digest({"a": [1, 2]}) != specs.digest({"a": [2, 1]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        specs.canonical({"a": float("nan")})


def test_a_recipe_survives_json():
    recipe = specs.run_recipe(params(), "amaml", RATINGS, 1)
    assert json.loads(specs.canonical(recipe)) == recipe


# --- code digests


def forget() -> None:
    specs.code_digest.cache_clear()
    specs._meaning.cache_clear()


@pytest.fixture
def copied(tmp_path, monkeypatch) -> Iterator[Path]:
    """A copy of the package that recipes digest instead of the real one."""
    shutil.copytree(PACKAGE, tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(specs, "PACKAGE", tmp_path / "pipeline")
    forget()
    yield tmp_path / "pipeline"
    forget()


def digests(*methods: str) -> dict[str, tuple[str, str]]:
    """Digests of each method's run and profile, of the code as it is now."""
    forget()
    given = params()
    return {
        method: (
            specs.digest(specs.run_recipe(given, method, SYNTHETIC, 0)),
            specs.digest(specs.profile_recipe(given, method)),
        )
        for method in methods
    }


def edit(path: Path, more: str = "\n\nEDITED = 1\n") -> None:
    path.write_text(path.read_text(encoding="utf-8") + more, encoding="utf-8")


def test_another_methods_module_leaves_a_run_alone(copied):
    before = digests(*METHODS)
    edit(copied / "core/methods/imaml.py")
    after = digests(*METHODS)
    assert {m for m in METHODS if before[m][0] != after[m][0]} == {"imaml"}
    assert {m for m in METHODS if before[m][1] != after[m][1]} == {"imaml"}


@pytest.mark.parametrize(
    "module", ["core/mlp.py", "core/solvers/flow.py", "core/methods/problem.py", "core/meta.py"]
)
def test_a_core_module_changes_every_run(copied, module):
    before = digests("maml", "amaml")
    edit(copied / module)
    after = digests("maml", "amaml")
    for method, (run, profile) in before.items():
        assert after[method][0] != run
        assert after[method][1] != profile


def test_a_new_method_module_changes_nothing(copied):
    before = digests(*METHODS)
    (copied / "core/methods/another.py").write_text("NEW = 1\n")
    assert digests(*METHODS) == before


def test_comments_docstrings_and_layout_do_not_count(copied):
    module = copied / "core/another.py"
    module.write_text('def f(a, b):\n    """Doc."""\n    return a + b\n')
    before = digests("maml")
    module.write_text(
        '"""A module."""\n\n# a comment\ndef f(\n    a,\n    b,\n):\n    return (a + b)  # more\n'
    )
    assert digests("maml") == before
    module.write_text('def f(a, b):\n    """Doc."""\n    return a - b\n')
    assert digests("maml") != before


def test_a_function_of_a_docstring_alone_is_read(copied):
    (copied / "core/another.py").write_text('def f():\n    """Doc."""\n')
    assert digests("maml")


def test_renaming_a_module_counts(copied):
    before = digests("maml")
    (copied / "core/work.py").rename(copied / "core/work_counts.py")
    assert digests("maml") != before


def test_every_glob_matches_a_file():
    for kind, globs in specs.CODE.items():
        for pattern in globs:
            assert list(PACKAGE.glob(pattern)), f"CODE[{kind!r}]: {pattern} matches nothing"


def test_modules_are_where_the_methods_are():
    from pipeline.core import METHODS as FUNCTIONS

    where = {}
    for name, function in FUNCTIONS.items():
        plain = function.func if isinstance(function, functools.partial) else function
        where[name] = plain.__module__.removeprefix("pipeline.core.methods.")
    assert where == specs.MODULES


# --- no module is forgotten


@functools.cache
def imported(path: Path) -> set[Path]:
    """Files of `pipeline` that a file imports, wherever in it the statement stands."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not followed here"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    found = set()
    for name in names:
        parts = name.split(".")
        if parts[0] != "pipeline":
            continue
        for depth in range(1, len(parts) + 1):  # a package's __init__ runs too
            place = ROOT.joinpath(*parts[:depth])
            found |= {p for p in (place / "__init__.py", place.with_suffix(".py")) if p.is_file()}
    return found


def reached(*entries: str) -> set[str]:
    """What is imported from `entries` on, not looking into harmless modules."""
    waiting, seen = [PACKAGE / entry for entry in entries], set()
    while waiting:
        path = waiting.pop()
        name = path.relative_to(PACKAGE).as_posix()
        if name in seen:
            continue
        seen.add(name)
        if name not in HARMLESS:
            waiting += imported(path)
    return seen


JOBS: dict[str, tuple[Callable[[Params], specs.Recipe], tuple[str, ...]]] = {
    "archive": (lambda p: specs.archive_recipe(p, "simulated"), ("data/simulated.py",)),
    "ratings": (lambda p: specs.ratings_recipe(p, "ml-100k"), ("data/ratings.py",)),
    "rating tasks": (lambda p: specs.tasks_recipe(p, "ml-100k"), ("data/task_sets.py",)),
    "synthetic tasks": (lambda p: specs.tasks_recipe(p, "alpine"), ("data/task_sets.py",)),
    "rating episodes": (lambda p: specs.episodes_recipe(p, RATINGS, 0), ("data/episodes.py",)),
    "episodes": (lambda p: specs.episodes_recipe(p, SYNTHETIC, 0), ("data/episodes.py",)),
}
for label in METHODS:
    method = RAW["methods"][label].get("method", label)
    own = f"core/methods/{specs.MODULES[method]}.py"
    JOBS |= {
        f"run {label}": (
            lambda p, label=label: specs.run_recipe(p, label, SYNTHETIC, 0),
            ("train.py", own),
        ),
        f"profile {label}": (
            lambda p, label=label: specs.profile_recipe(p, label),
            ("cost_profile.py", own),
        ),
    }


for name in ("stability", "fidelity", "noise"):
    JOBS[f"study {name}"] = (
        lambda p, name=name: study_recipe(p.model_copy(update={"grid": "ci"}), name),
        (f"studies/{name}.py",),
    )


@pytest.mark.parametrize("job", JOBS)
def test_every_module_that_a_job_imports_is_in_its_recipe(job, monkeypatch):
    recipe_of, entries = JOBS[job]
    globs: set[str] = set()

    def collect(*patterns: str) -> str:
        globs.update(patterns)
        return ""

    monkeypatch.setattr(specs, "code_digest", collect)
    recipe_of(params())
    covered = {p.relative_to(PACKAGE).as_posix() for g in globs for p in PACKAGE.glob(g)}
    forgotten = reached(*entries) - covered - HARMLESS.keys()
    assert not forgotten, (
        f"{job}: editing {', '.join(sorted(forgotten))} would leave old artifacts standing. "
        "Add it to CODE in pipeline/specs.py, or to HARMLESS here if no number depends on it."
    )


def test_nothing_harmless_is_listed_in_vain():
    everywhere = set().union(*(reached(*entries) for _, entries in JOBS.values()))
    assert HARMLESS.keys() <= everywhere | {"config.py"}


def test_the_walk_follows_imports():
    found = reached("train.py")
    assert {"core/mlp.py", "core/solvers/flow.py", "data/episodes.py", "trivial.py"} <= found
    assert "data/task_sets.py" in found  # two steps away, from inside a function
    assert "core/methods/imaml.py" not in found
