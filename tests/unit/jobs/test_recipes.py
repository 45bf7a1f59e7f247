"""Recipes: what makes an artifact stale, and what does not."""

import copy
import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.config.load import read_config
from pipeline.config.schema import Params, check_params
from pipeline.data.sets import SOURCES
from pipeline.jobs import code
from pipeline.jobs import recipes as specs
from pipeline.runs.recipe import canonical, digest, parameters_of
from tests.unit.jobs.finished_grid import edit
from tests.unit.tiny_runs import METHODS, ROOT

RAW = read_config(ROOT / "params.yaml")
SYNTHETIC, RATINGS = "cosmixture-50shot-50val", "simulated-10shot-15val-50steps"


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
    return {key: digest(recipe) for key, recipe in found.items()}


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
        ("grids.quickstart.inner_steps", 100, {("run", SYNTHETIC), ("run", RATINGS)}),
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
        ("grids.ci.settings", [{"dataset": "alpine", "shots": "5/5", "inner_steps": 5}]),
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
    assert canonical({"b": [1, 2.5], "a": None}) == '{"a":null,"b":[1,2.5]}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": float("nan")})


def test_a_recipe_survives_json():
    recipe = specs.run_recipe(params(), "amaml", RATINGS, 1)
    assert json.loads(canonical(recipe)) == recipe


# --- code digests


def digests(*methods: str) -> dict[str, tuple[str, str]]:
    """Digests of each method's run and profile, of the code as it is now."""
    code.forget()
    given = params()
    return {
        method: (
            digest(specs.run_recipe(given, method, SYNTHETIC, 0)),
            digest(specs.profile_recipe(given, method)),
        )
        for method in methods
    }


def test_another_methods_module_leaves_a_run_alone(copied):
    before = digests(*METHODS)
    edit(copied / "core/methods/imaml.py")
    after = digests(*METHODS)
    assert {m for m in METHODS if before[m][0] != after[m][0]} == {"imaml"}
    assert {m for m in METHODS if before[m][1] != after[m][1]} == {"imaml"}


@pytest.mark.parametrize(
    "module", ["core/mlp.py", "core/solvers/flow.py", "core/problem.py", "core/meta.py"]
)
def test_a_core_module_changes_every_run(copied, module):
    before = digests("maml", "amaml")
    edit(copied / module)
    after = digests("maml", "amaml")
    for method, (run, profile) in before.items():
        assert after[method][0] != run
        assert after[method][1] != profile


@pytest.mark.parametrize("folder", ["core/methods", "config/methods", "data/sets", "data/families"])
def test_a_new_method_or_data_set_changes_nothing(copied, folder):
    before = digests(*METHODS), everything(params())
    (copied / folder / "another.py").write_text("NEW = 1\n")
    assert (digests(*METHODS), everything(params())) == before


@pytest.mark.parametrize("module", ["config/methods/maml.py", "data/sets/jester_1.py"])
def test_a_card_changes_no_record(copied, module):
    before = everything(params())
    edit(copied / module)
    code.forget()
    assert everything(params()) == before


def test_a_family_changes_what_is_drawn_from_it_and_the_profiles(copied):
    before = everything(params())
    edit(copied / "data/families/cosmixture.py")
    code.forget()
    after = everything(params())
    assert {key[:2] for key in before if before[key] != after[key]} == {
        *(("tasks", "cosmixture"), ("episodes", SYNTHETIC), ("run", SYNTHETIC)),
        *(("profile", method) for method in METHODS),
    }


def test_the_cards_of_a_grid_change_its_tables(copied):
    def made() -> str:
        code.forget()
        return specs.tables_recipe(params(), [])["code"]

    before = made()
    edit(copied / "config/methods/maml_sweep.py", "NEW = 1\n")
    after = made()
    assert after != before
    edit(copied / "data/families/cosmixture.py", "NEW = 1\n")
    assert made() != after


def test_data_parameters_hold_no_digest_of_code():
    """Else evidence would fall with the text of the code."""
    for setting in (SYNTHETIC, RATINGS, "ml-1m-10shot-15val-50steps"):
        data = specs.data_parameters(params(), setting, 0)
        text = json.dumps(data)
        assert "code" not in text
        assert data["tasks"]["dataset"] == params().settings[setting].dataset


def test_parameters_of_a_run_do_not_change_with_the_code(copied):
    before = specs.run_recipe(params(), "maml", SYNTHETIC, 0)
    for module in ("core/mlp.py", "data/episodes.py", "data/task_sets.py", "runs/job.py"):
        edit(copied / module)
    code.forget()
    after = specs.run_recipe(params(), "maml", SYNTHETIC, 0)
    assert after["code"] != before["code"]
    assert after["episodes"] != before["episodes"]
    assert parameters_of(after) == parameters_of(before)
