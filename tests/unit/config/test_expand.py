"""The table of differences: each point changes what it should of a recipe, and nothing else."""

from pathlib import Path
from typing import Any

import pytest

from pipeline.config.expand import METHOD_POINTS, SETTING_POINTS, points_of
from pipeline.config.load import read_config
from pipeline.config.schema import Params, check_params
from pipeline.config.titles import DATASETS, METHODS, VARIANTS, label_order, label_title
from pipeline.data.families import PRINTED
from pipeline.jobs import recipes
from pipeline.runs.recipe import Recipe, digest

ROOT = Path(__file__).parents[3]
RAW = read_config(ROOT / "params.yaml")
SYNTHETIC, RATINGS = "cosmixture-50shot-50val", "ml-latest-small-2016-10shot-15val-50steps"
ABLATION = check_params(RAW | {"grid": "ablation"})
OBJECTIVE = {"settings.regulariser": 1.0, "settings.outer_regulariser": 1.0}
FORWARD, BACKWARD = {"settings.solver": "rk4"}, {"settings.backward": "released"}
OUTER = {"training.outer_optimiser": "sgd", "training.outer_lr": 0.01}
META_TEST = {"evaluation.optimiser": "adam", "evaluation.learning_rate": 0.001}


def flat(recipe: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    found = {}
    for key, value in recipe.items():
        if isinstance(value, dict):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[prefix + key] = value
    return found


def changed(before: Recipe, after: Recipe) -> dict[str, Any]:
    """Keys that differ, with the new value."""
    a, b = flat(before), flat(after)
    assert a.keys() == b.keys()
    return {key: b[key] for key in b if a[key] != b[key]}


def run(label: str, setting: str = SYNTHETIC, params: Params = ABLATION) -> Recipe:
    return recipes.run_recipe(params, label, setting, 0)


@pytest.mark.parametrize("setting", [SYNTHETIC, RATINGS])
@pytest.mark.parametrize(
    ("method", "label", "wanted"),
    [
        ("amaml", "amaml-inner_objective-released", OBJECTIVE),
        ("amaml", "amaml-forward-released", FORWARD),
        ("amaml", "amaml-backward-released", BACKWARD),
        ("amaml", "amaml-outer_optimiser-released", OUTER),
        ("amaml", "amaml-meta_test-released", META_TEST),
        ("amaml", "amaml-released-all", OBJECTIVE | FORWARD | BACKWARD | OUTER | META_TEST),
        (
            "imaml",
            "imaml-released",
            {"settings.cg_regulariser": 1.0, "settings.cg_damping": 10.0},
        ),
    ],
)
def test_a_methods_point_changes_these_values_of_its_runs(method, label, wanted, setting):
    assert changed(run(method, setting), run(label, setting)) == {"label": label} | wanted


@pytest.mark.parametrize(
    ("setting", "point", "episodes", "run_too"),
    [
        (SYNTHETIC, "scaling", {"scaling": "all"}, {"data.scaling": "all"}),
        (RATINGS, "scaling", {"scaling": "all"}, {"data.scaling": "all"}),
        (RATINGS, "threshold", {"min_ratings": 20}, {"data.min_ratings": 20}),
        (
            SYNTHETIC,
            "family",
            {"tasks": ...},
            {"dataset": "cosmixture-released", "data.tasks.dataset": "cosmixture-released"},
        ),
    ],
)
def test_a_settings_point_changes_these_values(setting, point, episodes, run_too):
    name = f"{setting}-{point}-released"
    before, after = (recipes.episodes_recipe(ABLATION, s, 0) for s in (setting, name))
    found = changed(before, after)
    assert found.keys() == episodes.keys()
    assert all(value in (..., found[key]) for key, value in episodes.items())
    wanted = {"setting": name, "episodes": digest(after)} | run_too
    assert changed(run("amaml", setting), run("amaml", name)) == wanted
    if point == "family":
        tasks = changed(
            *(recipes.tasks_recipe(ABLATION, d) for d in ("cosmixture", run_too["dataset"]))
        )
        assert tasks == {"dataset": "cosmixture-released"}


def test_a_variant_of_any_method_may_have_the_authors_outer_loop():
    methods = [*RAW["methods"]]
    points = ["outer_optimiser", "meta_test"]
    grid = RAW["grids"]["ablation"] | {"methods": methods, "switch": dict.fromkeys(methods, points)}
    params = check_params(RAW | {"grid": "x", "grids": RAW["grids"] | {"x": grid}})
    for method in methods:
        for point, wanted in (("outer_optimiser", OUTER), ("meta_test", META_TEST)):
            label = f"{method}-{point}-released"
            before, after = run(method, params=params), run(label, params=params)
            assert changed(before, after) == {"label": label} | wanted


def test_points_are_those_that_a_method_has_values_for():
    points = {label: points_of(ABLATION.methods[label]) for label in ("maml", "imaml", "amaml")}
    always = ["outer_optimiser", "meta_test"]
    assert points["maml"] == always
    assert points["imaml"] == [*always, "imaml"]
    assert points["amaml"] == ["inner_objective", "forward", "backward", *always]
    assert {name for found in points.values() for name in found} == METHOD_POINTS.keys()


def test_every_point_has_its_texts():
    for point in [*METHOD_POINTS.values(), *SETTING_POINTS.values()]:
        assert all((point.title, point.paper, point.released, point.ours))


def test_every_shipped_variant_has_its_title_and_place():
    switched = {label: of.base for label, of in ABLATION.active.variants.items()}
    named = {label: method for method, its in VARIANTS.items() for label in its}
    assert switched.items() <= named.items()
    for label, method in named.items():
        assert label_title(label) != label
        others = [other for other in METHODS if other != method]
        after = [other for other in others if label_order(other) < label_order(label)]
        assert after == [other for other in others if label_order(other) < label_order(method)]
        assert label_order(method) < label_order(label)
    assert {f"{family}-released" for family in PRINTED} <= DATASETS.keys()
