"""The schema of params.yaml: each fault is refused, naming key, value found and what is allowed."""

import copy
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.load import read_config
from pipeline.config.schema import (
    check_params,
    load_params,
)
from pipeline.config.studies import STUDIES
from pipeline.errors import BadInput
from tests.unit.tiny_runs import write_config

ROOT = Path(__file__).parents[3]
RAW = read_config(ROOT / "params.yaml")
ALPINE = "alpine-50shot-50val"
THRESHOLD = "ml-latest-small-2016-10shot-15val-50steps-threshold-released"
RATED = {"dataset": "ml-1m", "shots": "10/15", "inner_steps": 50}
DRAWN = {"dataset": "alpine", "shots": "50/50"}
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
    assert all(line.startswith(("p.yaml: ", "grids/")) for line in message.split("\n"))
    return message


@pytest.mark.parametrize("grid", RAW["grids"])
def test_the_shipped_file_is_sound_for_every_grid(grid):
    params = check_params(RAW | {"grid": grid})
    assert params.active == params.grids[grid]
    assert params.grid_training().meta_updates == RAW["grids"][grid].get("training", {}).get(
        "meta_updates", 5000
    )
    assert all(params.grid_inner_steps(name) > 0 for name in params.active.settings)
    assert params.grid_evaluation().learning_rate == 0.01


def test_solvers_are_those_of_the_core():
    from typing import get_args

    from pipeline.config.methods import METHODS
    from pipeline.core import SOLVERS

    choices = METHODS["amaml"].settings.model_fields["solver"].annotation
    assert get_args(choices) == SOLVERS


def test_outer_optimisers_are_those_of_the_core():
    from typing import get_args

    from pipeline.config.card import OuterOptimiser
    from pipeline.core.meta import OPTIMISERS

    assert get_args(OuterOptimiser) == tuple(OPTIMISERS)


def test_rules_and_schedules_are_those_of_the_core():
    from typing import get_args

    from pipeline.config.card import Aggregate
    from pipeline.config.schema import Training
    from pipeline.core import AGGREGATES
    from pipeline.core.schedules import SCHEDULES

    assert get_args(Aggregate) == tuple(AGGREGATES)
    assert get_args(Training.model_fields["schedule"].annotation) == tuple(SCHEDULES)


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
        ("settings", {}, "p.yaml: settings: unknown key (value {})"),
        ("grids.ci.settings", [DRAWN | {"shot": 5}], "grids/ci.yaml: settings.0.shot: unknown key"),
        ("grids.ci.settings", [DRAWN | {"shot": 5}], "(value 5). Did you mean `shots`? Allowed"),
        ("grids.ci.profile.repeat", 5, "Did you mean `repeats`? Allowed here: inner_steps, rep"),
        ("grids.ci.training.meta_update", 5, "grids/ci.yaml: training.meta_update: unknown key"),
        ("grids.ci.training.meta_update", 5, "Did you mean `meta_updates`?"),
        ("grids.ci.evaluation.step", 5, "grids/ci.yaml: evaluation.step: unknown key (value 5)."),
        ("methods.imaml.cg_step", 5, "methods.imaml.cg_step: unknown key (value 5). Did you mean"),
        (
            "methods.imaml.cg_step",
            5,
            "`cg_steps`? Allowed here: cg_damping, cg_regulariser, cg_steps, evalu",
        ),
        (
            "methods.maml1.steps_divisor",
            5,
            "unknown key (value 5). Allowed here: evaluation, method, rates, training.",
        ),
        (
            "methods.loose",
            {"method": "imaml", "cg_step": 5},
            "methods.loose.cg_step: unknown key (value 5). Did you mean `cg_steps`? Allowed here: "
            "cg_damping, cg_regulariser, cg_steps, evaluation, method, proximal, rates, training.",
        ),
        ("grids.quick", {}, "grids/quick.yaml: seeds: missing; it has no default"),
        ("training.outer_lr", GONE, "training.outer_lr: missing; it has no default, write it in."),
        ("methods.imaml.proximal", GONE, "methods.imaml.proximal: missing"),
        ("synthetic", GONE, "synthetic: missing"),
        ("training.outer_lr", "1e-6", "found '1e-6'; Input should be a valid number (write it"),
        ("methods.amaml.rtol", "1e-6", "methods.amaml.rtol: found '1e-6'; Input should be a val"),
        ("methods.amaml.rtol", "1e-6", "write it without quotes"),
        ("training.meta_updates", "1e3", "found '1e3'; Input should be a valid integer (write 100"),
        ("training.meta_updates", 1e3, "found 1000.0; Input should be a valid integer (write 1000"),
        ("training.meta_updates", True, "found True; Input should be a valid integer"),
        ("training.outer_lr", 0.0, "training.outer_lr: found 0.0; Input should be greater than 0"),
        ("training.outer_lr", float("inf"), "found inf; Input should be a finite number"),
        ("training.gradient_limit", float("nan"), "found nan; Input should be a finite number"),
        ("training.stop_change", -1.0, "found -1.0; Input should be greater than or equal to 0"),
        ("methods.amaml.omega", 1.5, "methods.amaml.omega: found 1.5; Input should be less than"),
        ("simulated.users", 49, "simulated.users: found 49; Input should be greater than or"),
        ("grids.ci.seeds", [-1], "grids/ci.yaml: seeds.0: found -1; Input should be greater than"),
        ("grids.ci.seeds", [], "grids/ci.yaml: seeds: found []; List should have at least 1 item"),
        ("grids.ci.seeds_per_job", 0, "grids/ci.yaml: seeds_per_job: found 0; Input should be"),
        ("training.seeds_per_job", 2, "training.seeds_per_job: unknown key (value 2)"),
        ("evaluation.steps", [0, "5"], "evaluation.steps.1: found '5'"),
        (
            "device",
            "gpu",
            "device: found 'gpu', not allowed. Did you mean `cpu`? Allowed: auto, cuda",
        ),
        ("dtype", "float16", "dtype: found 'float16'"),
        (
            "methods.amaml.solver",
            "dopri",
            "found 'dopri', not allowed. Did you mean `dopri5`? Allowed: euler, midpo",
        ),
        (
            "grids.ci.settings",
            [RATED | {"dataset": ["ml-1m", "jester"]}],
            "grids/ci.yaml: settings.0.dataset: found 'jester', no data set. Did you mean "
            "`jester-1`? Allowed: simulated, ",
        ),
        (
            "grids.ci.settings",
            [RATED | {"shots": "10"}],
            "settings.0.shots.0: found '10', needed",
        ),
        (
            "grids.ci.settings",
            [RATED | {"shots": 10}],
            "settings.0.shots.0: found 10; Input should",
        ),
        (
            "grids.ci.settings",
            [{"dataset": "ml-1m", "shots": "10/15"}],
            "grids/ci.yaml: settings.0.inner_steps: missing; needed for ml-1m with 10 shots, which",
        ),
        ("grids.ci.settings", [RATED, RATED], "grids/ci.yaml: settings: found ['ml-1m-10shot-15v"),
        (
            "grids.ci.settings",
            [DRAWN | {"switch": "threshold"}],
            "settings.0.switch: found 'thresh",
        ),
        ("grids.ci.settings", [RATED | {"switch": "family"}], "found 'family', no point of ml-1m."),
        ("grids.ci.settings", [RATED | {"switch": "treshold"}], "Did you mean `threshold`?"),
        (
            "grids.ci.settings",
            [DRAWN | {"vary": {"min_ratings": 20}}],
            "alpine has no ratings; lea",
        ),
        (
            "grids.ci.settings",
            [DRAWN | {"vary": {"scaled": 1}}],
            "Did you mean `scaling`? Allowed:",
        ),
        ("grids.ci.settings", [DRAWN | {"vary": {"scaling": "al"}}], "Did you mean `all`?"),
        (
            "grids.ci.vary",
            {"mam": {"x": 1}},
            "vary: found 'mam', no method of this grid. Did you m",
        ),
        (
            "grids.ci.vary",
            {"maml": {"step": 1}},
            "vary.maml: found 'step', no parameter of it. Allo",
        ),
        ("grids.ci.vary", {"maml": {"outer_lr": "x"}}, "vary.maml: training.outer_lr: found 'x'"),
        ("grids.ci.switch", {"maml": "forward"}, "switch.maml: found 'forward', no point of maml."),
        ("grids.ci.switch", {"amaml": "foward"}, "Did you mean `forward`?"),
        (
            "methods.imaml-released",
            {"method": "reptile"},
            "switch.imaml: makes the name 'imaml-r",
        ),
        ("training", None, "training: found None; needed a mapping"),
        ("methods.maml1", None, "methods.maml1: found None; needed a mapping of its keys to valu"),
        ("methods.maml1", None, "({} for none)"),
        ("methods", [], "methods: found []; needed a mapping"),
        ("methods.magic", {}, "methods.magic: found 'magic', no method. Allowed: maml, maml1"),
        ("methods.a b", {"method": "maml1"}, "found 'a b'; a name has letters, digits"),
        ("methods.mamal", {}, "methods.mamal: found 'mamal', no method. Did you mean `maml`?"),
        ("grids.a/b", RAW["grids"]["ci"], "found a file 'a/b.yaml'; names have letters"),
        (
            "grid",
            "quick",
            "grid: found 'quick', no file grids/NAME.yaml. Did you mean `quickstart`",
        ),
        ("grids.ci.methods", ["maml", "mamll"], "grids/ci.yaml: methods: found 'mamll', no entry"),
        ("grids.ci.methods", ["mamll"], "Did you mean `maml`? Allowed: maml, maml1,"),
        ("grids.ci.settings", ["nope"], "grids/ci.yaml: settings.0: found 'nope'; needed a mapp"),
        ("grids.ci.seeds", [0, 0], "grids/ci.yaml: seeds: found [0, 0], each may stand there once"),
        ("grids.ci.methods", ["maml", "maml"], "methods: found ['maml', 'maml'], each may stand"),
        (
            "grids.paper.companions",
            ["swep"],
            "grids/paper.yaml: companions: found 'swep', no other",
        ),
        (
            "grids.paper.companions",
            ["paper"],
            "companions: found 'paper', no other grid. Allowed: a",
        ),
        ("grids.paper.companions", ["ci", "ci"], "['ci', 'ci'], each may stand there once"),
        ("grids.ci.predictors", ["gaussian_item"], "predictors.0: found 'gaussian_item'"),
        ("grids.ci.predictors", ["gaussian_items"] * 2, "each may stand there once"),
        (
            "grids.swept.predictors",
            ["gaussian_items"],
            "grids/swept.yaml: predictors: found 'gaussian_items', which predicts ratings, and no ",
        ),
        (
            "grids.ci.profile.inner_steps",
            [5, 5],
            "grids/ci.yaml: profile.inner_steps: found [5, 5]",
        ),
        ("grids.ci.seeds", [0, 10], "found 10, but synthetic.seeds = 10 draws seeds 0..9 only"),
        ("synthetic.seeds", 2, "grids/paper.yaml: seeds: found 2, but synthetic.seeds = 2"),
        ("grids.ci.training", {"meta_updates": 0}, "ci.yaml: training.meta_updates: found 0;"),
        ("grids.ci.training", [1], "grids/ci.yaml: training: found [1]; needed a mapping"),
        ("grids.ci.evaluation", {"optimiser": "sgd"}, "ci.yaml: evaluation.optimiser: found 'sgd"),
        ("grids.ci.inner_steps", 0, "grids/ci.yaml: inner_steps: found 0"),
        ("synthetic.points", 149, f"settings: {ALPINE}: support + synthetic.evaluation_points = "),
        ("synthetic.points", 199, "support + query = 200 rows, but a task of alpine has at most"),
        ("synthetic.points", 199, "199 (synthetic.points); lower the shots or raise synthetic.po"),
        ("data.items", 49, "support + query = 50 rows, but a task of ml-1m has at most 49 (data."),
        ("data.items", 101, "data.items: found 101, but jester-1 has 100 items; lower it"),
        ("simulated.items", 99, "found 100, but simulated has 99 items; lower it or raise simul"),
        ("grids.paper.seeds_per_job", 1, "grids/paper.yaml: seeds_per_job: found 1, but a grid"),
        ("data.min_ratings", 101, "data.min_ratings: found 101, but only data.items = 100 items"),
        ("synthetic.train_tasks", 14, "ci.yaml: training.meta_batch: found a meta-batch of 5 ta"),
        (
            "data.min_ratings",
            21,
            f"{THRESHOLD}: found min_ratings = 20, allowed: data.min_ratings = 21",
        ),
        ("grids.ci.settings", [RATED | {"vary": {"min_ratings": 101}}], "to data.items = 100"),
        ("training.outer_optimiser", "adan", "found 'adan', not allowed. Did you mean `adam`?"),
        ("grids.ci.training", {"meta_batch": 91}, "leaves 90; raise synthetic.train_tasks"),
        ("training.aggregate", "median", "training.aggregate: found 'median', not allowed"),
        ("training.average", 1.0, "training.average: found 1.0"),
        ("grids.ci.training", {"keep": "average"}, "ci.yaml: training.keep: found 'average', but"),
        ("grids.ci.training", {"warm_up": 10**6}, "training.warm_up: found 1000000, above the"),
        (
            "grids.ci.training",
            {"weight_decay": 0.1, "outer_optimiser": "rprop"},
            "training.weight_decay: rprop has none",
        ),
        (
            "grids.quickstart.settings",
            [DRAWN | {"training": {"fomaml": {"meta_batch": 91}}}],
            "training.fomaml: found a meta-batch of 91 tasks",
        ),
        (
            "grids.ci.settings",
            [DRAWN | {"validation_tasks": 96}],
            "less 96 validation tasks leaves 4",
        ),
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
        # more validation tasks of ratings than there are tasks of a synthetic family
        ("grids.ci.settings", [DRAWN, RATED | {"validation_tasks": 100}]),
        ("grids.ci.settings", [DRAWN | {"validation_tasks": 95}]),
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
    assert str(caught.value) == (
        "params.yaml: methods.amaml: omega is 0.5, but `backsolve` keeps no states for a running "
        "cost; set omega: 0.0 or backward: modified_euler"
    )


def test_a_variant_is_checked_like_any_method():
    assert refusal("methods.amaml.omega", 0.5).split("\n")[0] == (
        "grids/ablation.yaml: switch.amaml: omega is 0.5, but the `released` way back has no "
        "running cost; set omega: 0.0 or backward: euler"
    )


def test_a_word_is_not_told_to_be_a_number_of_yamls():
    assert "YAML" not in refusal("training.outer_lr", "fast")


def test_every_fault_has_its_line():
    raw = with_value("training.outer_lr", "1e-3")
    raw["grids"]["ci"]["seeds"] = "0"
    raw["methods"]["imaml"]["cg_steps"] = 0
    with pytest.raises(BadInput) as caught:
        check_params(raw)
    lines = str(caught.value).split("\n")
    assert [line.split(":")[:2] for line in lines] == [
        ["params.yaml", " training.outer_lr"],
        ["params.yaml", " methods.imaml.cg_steps"],
        ["grids/ci.yaml", " seeds"],
    ]


def test_parameters_cannot_be_changed():
    params = check_params(RAW)
    with pytest.raises(ValueError, match="frozen"):
        params.training.outer_lr = 1.0


# --- files


def test_files_are_read(tmp_path):
    path = write_config(tmp_path, RAW)
    assert load_params(path) == check_params(RAW)


def test_values_of_the_command_line_replace_those_of_the_file(tmp_path):
    path = write_config(tmp_path, RAW)
    found = load_params(path, {"grid": "ci", "raw_dir": "/a", "training": {"meta_batch": 7}})
    assert (found.grid, found.raw_dir, found.training.meta_batch) == ("ci", "/a", 7)
    assert found.training.outer_lr == 1e-3
    with pytest.raises(BadInput, match="gird: unknown key"):
        load_params(path, {"gird": "ci"})


def test_a_key_twice_in_a_grid(tmp_path):
    path = write_config(tmp_path, RAW)
    grid = tmp_path / "grids/ci.yaml"
    grid.write_text(grid.read_text() + "seeds: [1]\n")
    with pytest.raises(BadInput, match=r"grids/ci\.yaml: not YAML: .* the key `seeds` stands"):
        load_params(path)


def test_a_grid_in_the_parameter_file_is_told_its_place(tmp_path):
    path = write_config(tmp_path, RAW)
    path.write_text(path.read_text() + "grids: {}\n")
    with pytest.raises(BadInput, match=r"grids: unknown key; a grid and its .*grids/NAME\.yaml"):
        load_params(path)


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


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("grids.ci.studies.stability.inner_steps", [100, 100], "each may stand there once"),
        ("grids.ci.studies.stability.inner_steps", [0], "greater than or equal to 1"),
        ("grids.ci.studies.fidelity.families", ["ml-100k"], "cosmixture"),
        ("grids.ci.studies.fidelity.batches", 0, "found 0"),
        ("grids.ci.studies.noise.batches", 1, "found 1"),
        ("grids.ci.studies.noise.methods", ["nope"], "found 'nope', no entry under `methods`"),
        ("grids.ci.studies.other", {}, "other"),
        ("grids.ci.studies.fidelity.methods", ["mamel"], "Did you mean `maml`?"),
    ],
)
def test_studies_that_cannot_work(path, value, found):
    said = refusal(path, value)
    assert "grids/ci.yaml: studies" in said
    assert found in said


def test_a_grid_without_studies_has_none():
    assert check_params(RAW | {"grid": "ratings"}).active.studies.names == []
    assert check_params(RAW | {"grid": "paper"}).active.studies.names == list(STUDIES)


# --- whole numbers that records, numpy, torch and memory take


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("grids.ci.seeds", [10**20]),
        ("grids.ci.seeds", [2**31]),
        ("simulated.seed", 2**31),
        ("model.ratings", [10**11]),
        ("model.synthetic", [40, 10_001]),
        ("training.meta_updates", 2**31),
        ("evaluation.steps", [0, 2**31]),
        ("grids.ci.inner_steps", 10**12),
    ],
)
def test_a_number_too_large_is_refused(path, value):
    said = refusal(path, value)
    assert path.split(".")[-1] in said
    assert str(max(value) if isinstance(value, list) else value) in said
    assert "less than or equal to" in said


@pytest.mark.parametrize("path", ["model.ratings", "model.synthetic"])
def test_the_widest_layer(path):
    check_params(with_value(path, [10_000]))


@pytest.mark.parametrize("name", ["params.yaml", "grids/deep.yaml"])
def test_brackets_too_deep_to_read(name, tmp_path):
    write_config(tmp_path, RAW)
    (tmp_path / name).write_text("[" * 3000)
    with pytest.raises(BadInput) as refused:
        load_params(tmp_path / "params.yaml")
    assert name in str(refused.value)


@pytest.mark.parametrize(
    "address", ["https://ann:word@store.example.org", "http://ann@127.0.0.1:5000/x"]
)
def test_who_may_use_a_store_is_not_said_in_params(address: str) -> None:
    """Records, logs and Snakemake's memory keep what params say."""
    with pytest.raises(BadInput, match="MLFLOW_TRACKING_PASSWORD") as refused:
        load_params(ROOT / "params.yaml", {"tracking": {"uri": address}})
    assert "ann" not in str(refused.value)


@pytest.mark.parametrize("address", ["mlruns", "sqlite:///", "postgresql://x/y", "ftp://x"])
def test_what_is_no_store_is_said_to_be_none(address: str) -> None:
    with pytest.raises(BadInput, match=rf"tracking.uri: found '{address}', needed sqlite:///FILE"):
        load_params(ROOT / "params.yaml", {"tracking": {"uri": address}})
