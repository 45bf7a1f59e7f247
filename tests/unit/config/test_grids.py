"""Names and parameters of every run of the shipped grids, held where they are: evidence is found
by them. Meant to change one? Then `python -m tests.unit.config.test_grids` writes the file anew.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.grids import switched_name, varied_name
from pipeline.config.schema import Params, check_params, load_params, on_grid
from pipeline.errors import BadInput
from pipeline.jobs.recipes import episodes_recipe, profile_recipe, run_recipe, study_recipe
from pipeline.runs.recipe import digest, parameters_of
from tests.unit.tiny_runs import tiny_config

ROOT = Path(__file__).parents[3]
HELD = Path(__file__).with_name("names_and_parameters.json")
SHIPPED = load_params(ROOT / "params.yaml")


def names_and_parameters(params: Params) -> dict[str, dict[str, str]]:
    """Artifacts of the active grid -> digests of their parameters."""
    active = params.active
    recipes = {f"profile/{label}": profile_recipe(params, label) for label in active.methods}
    recipes |= {f"studies/{name}": study_recipe(params, name) for name in active.studies.names}
    found: dict[str, dict[str, str]] = {"": {name: _short(of) for name, of in recipes.items()}}
    for setting in active.settings:
        found[setting] = {
            label: _short(run_recipe(params, label, setting, active.seeds[0]))
            for label in active.methods
        }
    return found


def _short(recipe: dict[str, Any]) -> str:
    return digest(parameters_of(recipe))[:8]


@pytest.mark.parametrize("grid", SHIPPED.grids)
def test_names_and_parameters_stay(grid):
    held = json.loads(HELD.read_text(encoding="utf-8"))
    assert names_and_parameters(on_grid(SHIPPED, grid)) == held[grid]


def test_names_of_what_is_varied():
    assert varied_name("reptile", "outer_lr", 0.003) == "reptile-outer_lr-0.003"
    assert varied_name("amaml_anytime", "omega", 1.0) == "amaml_anytime-omega-1.0"
    assert varied_name("amaml_rkc", "early_stopping", True) == "amaml_rkc-early"
    assert varied_name("alpine-50shot-50val", "standardise", False).endswith("-standardise-false")
    assert switched_name("amaml", "forward") == "amaml-forward-released"
    assert switched_name("amaml", "all") == "amaml-released-all"
    assert switched_name("imaml", "imaml") == "imaml-released"


def test_what_is_varied_stands_in_fields():
    variants = SHIPPED.grids["choices"].variants
    assert variants["reptile-outer_lr-0.003"].model_dump() == {
        "base": "reptile",
        "varied": {"outer_lr": 0.003},
        "switched": [],
    }
    assert SHIPPED.grids["ablation"].variants["amaml-released-all"].switched == ["all"]
    setting = "cosmixture-50shot-50val-family-released"
    found = SHIPPED.grids["ablation-data"].variants[setting]
    assert (found.base, found.switched) == ("cosmixture-50shot-50val", ["family"])
    assert SHIPPED.grids["paper"].variants == {}


def test_axes_multiply_and_k_of_the_paper_is_not_in_the_name():
    raw = tiny_config()
    raw["synthetic"] |= {"points": 200, "evaluation_points": 100}
    raw["grids"]["tiny"]["settings"] = [
        {"dataset": ["cosmixture", "alpine"], "shots": ["50/50", "8/6"], "inner_steps": [200, 3]},
        {"dataset": "alpine", "shots": "100/100", "switch": ["ours", "scaling"]},
        {"dataset": "alpine", "shots": "100/100", "vary": {"standardise": [False]}},
    ]
    params = check_params(raw)
    assert params.active.settings == [
        *("cosmixture-50shot-50val", "cosmixture-50shot-50val-3steps"),
        *("cosmixture-8shot-6val-200steps", "cosmixture-8shot-6val-3steps"),
        *("alpine-50shot-50val", "alpine-50shot-50val-3steps"),
        *("alpine-8shot-6val-200steps", "alpine-8shot-6val-3steps"),
        *("alpine-100shot-100val", "alpine-100shot-100val-scaling-released"),
        "alpine-100shot-100val-standardise-false",
    ]
    assert params.settings["alpine-100shot-100val"].inner_steps == 500
    assert not params.settings["alpine-100shot-100val-standardise-false"].standardise


def crossed(**grid: Any) -> Params:
    raw = tiny_config()
    raw["grids"]["tiny"] |= {"methods": ["fomaml", "reptile"]} | grid
    return check_params(raw)


def test_crossed_values_are_every_combination():
    axes = {"aggregate": ["unit", "clip"], "meta_batch": [2, 4]}
    params = crossed(cross={"reptile": axes})
    names = [
        f"reptile-aggregate-{rule}-meta_batch-{size}"
        for rule in axes["aggregate"]
        for size in (2, 4)
    ]
    assert params.active.methods == ["fomaml", "reptile", *names]
    assert params.active.variants[names[1]].varied == {"aggregate": "unit", "meta_batch": 4}
    training = params.method_training(names[1])
    assert (training["aggregate"], training["meta_batch"]) == ("unit", 4)
    assert params.method_training("reptile")["aggregate"] == "mean"


def test_a_method_has_its_own_training_in_a_setting():
    rows = {"dataset": "cosmixture", "shots": "8/6", "inner_steps": [3, 5]}
    own = {"reptile": {"aggregate": "clip", "outer_lr": 0.02}}
    plain = {"dataset": "alpine", "shots": "8/6", "inner_steps": 3}
    params = crossed(settings=[rows | {"training": own}, plain])
    for setting in params.active.settings:
        there = run_recipe(params, "reptile", setting, 0)["training"]
        other = run_recipe(params, "fomaml", setting, 0)["training"]
        assert other == run_recipe(params, "fomaml", params.active.settings[-1], 0)["training"]
        if setting.startswith("cosmixture"):
            assert (there["aggregate"], there["outer_lr"]) == ("clip", 0.02)
        else:
            assert there == other


@pytest.mark.parametrize(
    ("key", "value"), [("meta_updates", 70), ("validate_every", 7), ("keep", "best")]
)
def test_all_methods_train_in_a_setting_as_it_says(key, value):
    rows = {"dataset": "cosmixture", "shots": "8/6", "inner_steps": [3, 5], key: value}
    plain = {"dataset": "alpine", "shots": "8/6", "inner_steps": 3}
    params = crossed(settings=[rows, plain])
    of_grid = params.grid_training().model_dump()[key]
    assert of_grid != value
    for label in params.active.methods:
        found = [
            run_recipe(params, label, setting, 0)["training"].get(key, of_grid)
            for setting in params.active.settings
        ]
        assert found == [value, value, of_grid]


def test_a_setting_has_its_own_number_of_validation_tasks():
    rows = {"dataset": "simulated", "shots": "6/4", "inner_steps": 5}
    params = crossed(settings=[rows, rows | {"validation_tasks": 7}])
    plain, more = params.active.settings
    assert more == f"{plain}-validation_tasks-7"
    assert episodes_recipe(params, plain, 0)["validation_tasks"] == 3
    assert episodes_recipe(params, more, 0)["validation_tasks"] == 7


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cross": {"maml": {"meta_batch": [2]}}}, "cross: found 'maml', no method of this grid"),
        ({"cross": {"reptile": {"solver": ["rkc"]}}}, "cross.reptile: found 'solver'"),
        ({"cross": {"reptile": {"aggregate": ["sum"]}}}, "found 'sum'"),
        (
            {"cross": {"reptile": {"meta_batch": [2]}}, "vary": {"reptile": {"meta_batch": [2]}}},
            "found 'reptile-meta_batch-2' twice",
        ),
        (
            {
                "settings": [
                    {"dataset": "alpine", "shots": "8/6", "inner_steps": 3}
                    | {"training": {"reptil": {"meta_batch": 2}}}
                ]
            },
            "settings.0.training: found 'reptil', no method of this grid. Did you mean `reptile`?",
        ),
    ],
)
def test_what_a_grid_cannot_cross_or_give_is_named(change, said):
    with pytest.raises(BadInput, match=re.escape(said)):
        crossed(**change)


if __name__ == "__main__":
    every = {grid: names_and_parameters(on_grid(SHIPPED, grid)) for grid in SHIPPED.grids}
    lines = [
        f' "{grid}": {{\n'
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(of)}" for name, of in found.items())
        + "\n }"
        for grid, found in every.items()
    ]
    HELD.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
