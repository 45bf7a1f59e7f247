"""The schema of params.yaml: each fault is refused, naming key, value found and what is allowed."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.schema import (
    RATING_DATASETS,
    SYNTHETIC_DATASETS,
    Params,
    check_params,
    load_params,
)
from pipeline.config.studies import STUDIES
from pipeline.data.sources import SOURCES
from pipeline.data.synthetic import FAMILIES
from pipeline.errors import BadInput

ROOT = Path(__file__).parents[3]
RAW = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
SCHEMA = ROOT / "workflow/schemas/params.schema.json"
ALPINE = "alpine-50shot-50val"
ML = "settings.ml-latest-small-2016-10shot-15val-50steps"
THRESHOLD = f"{ML}-threshold-released"
GONE = object()


def with_value(path: str, value: Any) -> dict[str, Any]:
    """The shipped parameters with one value replaced, added or (GONE) taken out."""
    raw = copy.deepcopy(RAW)
    *folders, last = path.split(".")
    place = raw
    for name in folders:
        place = place.setdefault(name, {})
    if value is GONE:
        del place[last]
    else:
        place[last] = value
    return raw


def refusal(path: str, value: Any) -> str:
    with pytest.raises(BadInput) as caught:
        check_params(with_value(path, value), where="p.yaml")
    message = str(caught.value)
    assert message.startswith("p.yaml: ")
    return message.removeprefix("p.yaml: ")


@pytest.mark.parametrize("grid", RAW["grids"])
def test_the_shipped_file_is_sound_for_every_grid(grid):
    params = check_params(RAW | {"grid": grid})
    assert params.active == params.grids[grid]
    assert params.grid_training().meta_updates == RAW["grids"][grid].get("training", {}).get(
        "meta_updates", 5000
    )
    assert all(params.grid_inner_steps(name) > 0 for name in params.active.settings)
    assert params.grid_evaluation().learning_rate == 0.01


def test_shipped_settings_say_what_their_names_say():
    for name, setting in check_params(RAW).settings.items():
        shots = f"{setting.support}shot-{setting.query}val"
        usual = {50: 200, 100: 500} if setting.is_synthetic else {}  # the paper's, by shots
        steps = f"-{setting.inner_steps}steps"
        if setting.inner_steps == usual.get(setting.support):
            steps = ""
        points = [p for p, value in setting.variant.model_dump().items() if value == "released"]
        variant = "".join(f"-{point}-released" for point in points)
        dataset = setting.dataset.removesuffix("-released")
        assert name == f"{dataset}-{shots}{steps}{variant}"


def test_data_sets_are_those_that_exist():
    assert set(RATING_DATASETS) == SOURCES.keys()
    assert set(SYNTHETIC_DATASETS) == FAMILIES.keys()


def test_solvers_are_those_of_the_core():
    from typing import get_args

    from pipeline.config.schema import Solver
    from pipeline.core import SOLVERS

    assert get_args(Solver) == SOLVERS


def test_a_grid_replaces_single_values():
    params = check_params(RAW | {"grid": "ci"})
    assert params.grid_training().meta_updates == 3
    assert params.grid_training().outer_lr == params.training.outer_lr
    assert params.grid_evaluation().steps == [0, 1, 5]
    assert params.grid_inner_steps(ALPINE) == 5
    assert check_params(RAW).grid_inner_steps(ALPINE) == 200


def test_a_label_may_name_another_method():
    raw = with_value("methods.loose", RAW["methods"]["amaml"] | {"method": "amaml", "rtol": 0.1})
    params = check_params(raw)
    assert (params.methods["loose"].method, params.methods["loose"].rtol) == ("amaml", 0.1)
    assert params.methods["maml1"].method == "maml1"


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("training.meta_update", 5, "unknown key (value 5). Did you mean `meta_updates`?"),
        ("traning", 5, "traning: unknown key (value 5). Did you mean `training`?"),
        ("data.min_rating", 5, "Did you mean `min_ratings`?"),
        (f"settings.{ALPINE}.suport", 5, f"settings.{ALPINE}.suport: unknown key (value 5). Did"),
        ("grids.ci.profile.repeat", 5, "Did you mean `repeats`? Allowed here: inner_steps, rep"),
        ("grids.ci.training.meta_update", 5, "grids.ci.training.meta_update: unknown key (valu"),
        ("grids.ci.training.meta_update", 5, "Did you mean `meta_updates`?"),
        ("grids.ci.evaluation.step", 5, "grids.ci.evaluation.step: unknown key (value 5). Did"),
        ("methods.imaml.cg_step", 5, "methods.imaml.cg_step: unknown key (value 5). Did you mean"),
        (
            "methods.imaml.cg_step",
            5,
            "`cg_steps`? Allowed here: cg_damping, cg_regulariser, cg_steps, method",
        ),
        (
            "methods.maml1.steps_divisor",
            5,
            "unknown key (value 5). Allowed here: method, training, variant.",
        ),
        (
            "methods.loose",
            {"method": "imaml", "cg_step": 5},
            "methods.loose.cg_step: unknown key (value 5). Did you mean `cg_steps`? Allowed here: "
            "cg_damping, cg_regulariser, cg_steps, method, proximal, training, variant.",
        ),
        ("grids.quick", {}, "grids.quick.seeds: missing; it has no default"),
        ("training.outer_lr", GONE, "training.outer_lr: missing; it has no default, write it in."),
        ("methods.imaml.proximal", GONE, "methods.imaml.proximal: missing"),
        ("synthetic", GONE, "synthetic: missing"),
        ("training.outer_lr", "1e-6", "found '1e-6'; Input should be a valid number (YAML reads"),
        ("methods.amaml.rtol", "1e-6", "methods.amaml.rtol: found '1e-6'; Input should be a val"),
        ("methods.amaml.rtol", "1e-6", "write 1.0e-6"),
        ("training.meta_updates", "1e3", "found '1e3'; Input should be a valid integer (write 100"),
        ("training.meta_updates", 1e3, "found 1000.0; Input should be a valid integer (write 1000"),
        ("training.meta_updates", True, "found True; Input should be a valid integer"),
        ("training.outer_lr", 0.0, "training.outer_lr: found 0.0; Input should be greater than 0"),
        ("training.outer_lr", float("inf"), "found inf; Input should be a finite number"),
        ("training.gradient_limit", float("nan"), "found nan; Input should be a finite number"),
        ("training.stop_change", -1.0, "found -1.0; Input should be greater than or equal to 0"),
        ("methods.amaml.omega", 1.5, "methods.amaml.omega: found 1.5; Input should be less than"),
        ("simulated.users", 49, "simulated.users: found 49; Input should be greater than or"),
        ("grids.ci.seeds", [-1], "grids.ci.seeds.0: found -1; Input should be greater than or eq"),
        ("grids.ci.seeds", [], "grids.ci.seeds: found []; List should have at least 1 item"),
        ("grids.ci.seeds_per_job", 0, "grids.ci.seeds_per_job: found 0; Input should be greater"),
        ("training.seeds_per_job", 2, "training.seeds_per_job: unknown key (value 2)"),
        ("evaluation.steps", [0, "5"], "evaluation.steps.1: found '5'"),
        ("device", "gpu", "device: found 'gpu'; Input should be 'auto', 'cuda' or 'cpu'"),
        ("dtype", "float16", "dtype: found 'float16'"),
        ("methods.amaml.solver", "dopri", "found 'dopri'; Input should be 'euler', 'midpoint',"),
        (f"settings.{ALPINE}.dataset", "jester", "found 'jester'; Input should be 'ml-100k'"),
        ("training", None, "training: found None; needed a mapping"),
        ("methods.maml1", None, "methods.maml1: found None; needed a mapping of its keys to valu"),
        ("methods.maml1", None, "({} for none)"),
        ("methods", [], "methods: found []; needed a mapping"),
        ("methods.magic", {}, "methods.magic: unknown method 'magic'; allowed: 'maml', 'maml1'"),
        ("methods.a b", {"method": "maml1"}, "found 'a b'; a name has letters, digits"),
        ("settings.a/b", RAW["settings"][ALPINE], "found 'a/b'; a name has letters, digits"),
        ("grid", "nope", "grid: found 'nope', allowed: ci, quickstart, ratings, paper"),
        ("grids.ci.methods", ["maml", "mamll"], "grids.ci.methods: found 'mamll', which has no"),
        ("grids.ci.methods", ["mamll"], "allowed: maml, maml1,"),
        ("grids.ci.settings", ["nope"], "grids.ci.settings: found 'nope', which has no entry"),
        ("grids.ci.seeds", [0, 0], "grids.ci.seeds: found [0, 0], each may stand there once"),
        ("grids.ci.methods", ["maml", "maml"], "grids.ci.methods: found ['maml', 'maml'], each"),
        ("grids.ci.settings", [ALPINE] * 2, "grids.ci.settings: found ["),
        ("grids.paper.companions", ["swep"], "grids.paper.companions: found 'swep', which is no"),
        ("grids.paper.companions", ["paper"], "companions: found 'paper', which is no other grid"),
        ("grids.paper.companions", ["ci", "ci"], "['ci', 'ci'], each may stand there once"),
        ("grids.ci.profile.inner_steps", [5, 5], "grids.ci.profile.inner_steps: found [5, 5]"),
        ("grids.ci.seeds", [0, 10], "found 10, but synthetic.seeds = 10 draws seeds 0..9 only"),
        ("synthetic.seeds", 2, "grids.paper.seeds: found 2, but synthetic.seeds = 2 draws"),
        ("grids.ci.training", {"meta_updates": 0}, "grids.ci.training.meta_updates: found 0;"),
        ("grids.ci.training", [1], "grids.ci.training: found [1]; needed a mapping"),
        ("grids.ci.evaluation", {"optimiser": "sgd"}, "grids.ci.evaluation.optimiser: found 'sg"),
        ("grids.ci.inner_steps", 0, "grids.ci.inner_steps: found 0"),
        ("synthetic.points", 149, f"settings.{ALPINE}: support + synthetic.evaluation_points = 1"),
        ("synthetic.points", 199, "support + query = 200 rows, but a task of alpine has at most"),
        ("synthetic.points", 199, "199 (synthetic.points); lower the shots or raise synthetic.po"),
        ("data.items", 49, "support + query = 50 rows, but a task of ml-1m has at most 49 (data."),
        ("data.items", 101, "data.items: found 101, but jester-1 has 100 items; lower it"),
        ("simulated.items", 99, "found 100, but simulated has 99 items; lower it or raise simul"),
        ("grids.paper.seeds_per_job", 1, "grids.paper.seeds_per_job: found 1, but a grid with"),
        ("data.min_ratings", 101, "data.min_ratings: found 101, but only data.items = 100 items"),
        ("synthetic.train_tasks", 14, "grids.ci: found a meta-batch of 5 tasks, but synthetic.t"),
        (
            "data.min_ratings",
            21,
            f"{THRESHOLD}.min_ratings: found 20, allowed: data.min_ratings = 21",
        ),
        (f"{ML}.min_ratings", 101, "to data.items = 100"),
        (f"settings.{ALPINE}.min_ratings", 20, "min_ratings is 20, but alpine has no ratings"),
        (f"settings.{ALPINE}.scaling", "test", "Input should be 'meta_train' or 'all'"),
        (f"settings.{ALPINE}.variant", {"threshold": "released"}, "leave min_ratings and variant."),
        (f"{ML}.variant", {"family": "released"}, "but ml-latest-small-2016 is no synthetic fam"),
        (f"{ML}.variant", {"family": "release"}, f"{ML}.variant.family: found 'release'; Input sh"),
        (f"{ML}.variant", {"fam": "ours"}, "variant.fam: unknown key (value 'ours'). Did you mean"),
        ("methods.maml.variant", {"forward": "released"}, "methods.maml.variant.forward: unknown "),
        ("methods.maml.variant", {"forward": "released"}, "Allowed here: meta_test, outer_optimis"),
        ("methods.amaml.variant", {"imaml": "released"}, "methods.amaml.variant.imaml: unknown"),
        ("methods.maml.variant", "released", "methods.maml.variant: found 'released'; needed a m"),
        ("methods.x", {"like": "amamml"}, "methods.x.like: found 'amamml', which is no entry of "),
        ("methods.x", {"like": ["amaml"]}, "methods.x.like: found ['amaml'], which is no entry"),
        ("methods.x", {"like": "imaml-released"}, "with values of its own; allowed: maml, maml1"),
        ("settings.x", {"like": "x"}, "settings.x.like: found 'x', which is no entry of `settings"),
        (
            "methods.x",
            {"like": "amaml", "omega": 0.5, "variant": {"backward": "released"}},
            "methods.x: omega is 0.5, but the `released` way back has no running cost",
        ),
        ("training.outer_optimiser", "adamw", "found 'adamw'; Input should be 'adam' or 'sgd'"),
        ("grids.ci.training", {"meta_batch": 91}, "leaves 90; raise synthetic.train_tasks"),
    ],
)
def test_a_fault_is_named(path, value, found):
    assert found in refusal(path, value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("training.outer_lr", 1),  # a whole number is a number
        ("grids.ratings.seeds", [99]),  # rating data can be split with any seed
        ("synthetic.points", 200),
        ("data.items", 50),
        ("simulated.items", 100),
        ("data.min_ratings", 20),  # the threshold of a setting's own
        ("synthetic.train_tasks", 15),
        ("grids.ci.training", {"meta_batch": 90}),
        ("raw_dir", "/archives"),
    ],
)
def test_what_is_just_allowed(path, value):
    check_params(with_value(path, value))


def test_a_running_cost_needs_kept_states():
    raw = with_value("methods.amaml.backward", "backsolve")
    check_params(raw)
    raw["methods"]["amaml"]["omega"] = 0.5
    with pytest.raises(BadInput) as caught:
        check_params(raw)
    assert str(caught.value).split("\n")[0] == (  # entries `like: amaml` have lines of their own
        "params.yaml: methods.amaml: omega is 0.5, but `backsolve` keeps no states for a running "
        "cost; set omega: 0.0 or backward: modified_euler"
    )


def test_a_word_is_not_told_to_be_a_number_of_yamls():
    assert "YAML" not in refusal("training.outer_lr", "fast")


def test_every_fault_has_its_line():
    raw = with_value("training.outer_lr", "1e-3")
    raw["grids"]["ci"]["seeds"] = "0"
    raw["methods"]["imaml"]["cg_steps"] = 0
    with pytest.raises(BadInput) as caught:
        check_params(raw)
    lines = str(caught.value).removeprefix("params.yaml: ").split("\n")
    assert [line.split(":")[0] for line in lines] == [
        "training.outer_lr",
        "methods.imaml.cg_steps",
        "methods.imaml-released.cg_steps",  # it is `like: imaml`
        "grids.ci.seeds",
    ]


def test_parameters_cannot_be_changed():
    params = check_params(RAW)
    with pytest.raises(ValueError, match="frozen"):
        params.training.outer_lr = 1.0


# --- files


def test_a_file_is_read(tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump(RAW))
    assert load_params(path) == check_params(RAW)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"a: [", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"", "found NoneType, needed a mapping of sections"),
        (b"- a\n", "found list, needed a mapping of sections"),
        (b"grid: ci\ndevice: cpu\ngrid: paper\n", "line 3: the key `grid` stands there twice"),
        (b"a:\n  b: 1\n  'b': 2\n", "line 3: the key `b` stands there twice"),
        (b"grid: ci\n", "data: missing"),
    ],
)
def test_a_file_that_is_none(tmp_path, content, found):
    path = tmp_path / "p.yaml"
    path.write_bytes(content)
    with pytest.raises(BadInput) as caught:
        load_params(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert found in str(caught.value)


def test_no_file(tmp_path):
    with pytest.raises(BadInput, match=r"p\.yaml: no such file; run from the project's root"):
        load_params(tmp_path / "p.yaml")


def test_a_folder_is_no_file(tmp_path):
    with pytest.raises(BadInput, match=f"{tmp_path}: cannot be read: Is a directory"):
        load_params(tmp_path)


def test_the_committed_schema_is_current():
    current = json.dumps(Params.model_json_schema(), indent=2) + "\n"
    found = SCHEMA.read_text(encoding="utf-8") if SCHEMA.is_file() else "no such file"
    assert found == current, (
        "workflow/schemas/params.schema.json is not that of pipeline/config/schema.py. Run: "
        f"python -m pipeline schema {SCHEMA.relative_to(ROOT)}"
    )


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("grids.ci.studies.stability.horizons", [1.0, 1.0], "each may stand there once"),
        ("grids.ci.studies.stability.horizons", [0.0], "greater than 0"),
        ("grids.ci.studies.fidelity.families", ["ml-100k"], "cosmixture"),
        ("grids.ci.studies.fidelity.batches", 0, "found 0"),
        ("grids.ci.studies.noise.batches", 1, "found 1"),
        ("grids.ci.studies.noise.methods", ["nope"], "found no entry 'nope'"),
        ("grids.ci.studies.other", {}, "other"),
        ("grids.ci.studies.fidelity.methods", ["nope"], "found no entry 'nope'"),
    ],
)
def test_studies_that_cannot_work(path, value, found):
    said = refusal(path, value)
    assert "grids.ci.studies" in said
    assert found in said


def test_a_grid_without_studies_has_none():
    assert check_params(RAW | {"grid": "ratings"}).active.studies.names == []
    assert check_params(RAW | {"grid": "paper"}).active.studies.names == list(STUDIES)
