"""Inner rates learned beside theta: in a run's record, at its test, and in use."""

import numpy as np
import pytest

from pipeline.config.methods import METHODS as CARDS
from pipeline.config.schema import check_params
from pipeline.core.registry import FIRST_ORDER
from pipeline.data.episodes import load_episodes
from pipeline.errors import BadInput
from pipeline.jobs.recipes import reference_recipe, run_recipe
from pipeline.runs.behaviour import difference
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.job import run
from pipeline.runs.model import RatedNetwork, model_of
from pipeline.runs.probes import run_behaviour, run_probe
from pipeline.runs.records import read_run
from tests.unit.seed_runs import SEEDS, Paths, all_equal, alone, make, together
from tests.unit.tiny_runs import INNER_STEPS, RATINGS, SYNTHETIC, make_files, tiny_config
from tests.unit.trained import rows_of

METHODS = [name for name, card in CARDS.items() if not card.first_order]


def rated(method: str, setting: str, per: str = "parameter", seed: int = 0, **training):
    raw = tiny_config(outer_lr=0.05, **training)
    raw["methods"][method]["rates"] = per
    return run_recipe(check_params(raw), method, setting, seed) | {"dtype": "float64"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    return make(tmp_path_factory.mktemp("files"), SYNTHETIC)


def test_cards_and_core_agree_on_first_order_methods():
    assert {name for name, card in CARDS.items() if card.first_order} == FIRST_ORDER


@pytest.mark.parametrize("method", METHODS)
def test_seeds_of_every_method_learn_rates_as_alone(method, files, tmp_path):
    given = [rated(method, SYNTHETIC, seed=seed) for seed in SEEDS]
    found = together(given, files, tmp_path / "a")
    all_equal(found, alone(given, files, tmp_path / "b"), rtol=1e-6)
    size = len(found[0].theta) // 2
    for record in found.values():
        assert record.metrics["status"] == "ok"
        assert np.abs(record.theta[size:]).max() > 0.01  # rho has left zero


@pytest.mark.parametrize("per", ["parameter", "tensor", "all"])
@pytest.mark.parametrize("setting", [SYNTHETIC, RATINGS])
def test_the_file_gives_what_the_test_of_its_run_gave(setting, per, tmp_path):
    made = make_files(tmp_path, setting)
    recipe = rated("amaml_rkc", setting, per)
    run(recipe, *made, tmp_path / "run", device="cpu")
    record = read_run(tmp_path / "run")
    episodes = load_episodes(*made)
    model = model_of(recipe, episodes)
    assert isinstance(model, RatedNetwork)
    sizes = {"parameter": model.network.n_parameters, "tensor": 6, "all": 1}
    assert len(record.theta) == model.network.n_parameters + sizes[per]
    start = Initialisation.read(tmp_path / "run")
    rows = record.test_rows
    at_k = rows[rows["step"] == INNER_STEPS].set_index("task")["rmse"]
    for place, task in enumerate(episodes.test.tasks):
        x, y, qx, qy = rows_of((*made, tmp_path / "run"), place)
        rmse = np.sqrt(np.mean((start.adapt(x, y, qx) - qy) ** 2))
        assert rmse == pytest.approx(at_k[task], rel=1e-5)


def test_rates_change_the_training_on_a_task(tmp_path):
    made = make_files(tmp_path, SYNTHETIC)
    recipe = rated("amaml_rkc", SYNTHETIC, meta_updates=30)
    run(recipe, *made, tmp_path / "run", device="cpu")
    start = Initialisation.read(tmp_path / "run")
    x, y, qx, _ = rows_of((*made, tmp_path / "run"), 0)
    found = start.adapt(x, y, qx)
    size = len(start.theta) // 2
    start.theta[size:] = 0  # the plain inner rate
    assert np.abs(start.adapt(x, y, qx) - found).max() > 1e-3


def test_the_reference_of_a_setting_has_no_rates():
    raw = tiny_config()
    plain = reference_recipe(check_params(raw), SYNTHETIC, 0)
    raw["methods"]["amaml_rkc"]["rates"] = "parameter"
    assert reference_recipe(check_params(raw), SYNTHETIC, 0) == plain


def test_evidence_is_held_by_what_the_rates_do():
    plain = run_recipe(check_params(tiny_config(outer_lr=0.05)), "amaml_rkc", SYNTHETIC, 0)
    probes = [run_probe(plain), run_probe(rated("amaml_rkc", SYNTHETIC))]
    found = [run_behaviour(probe) for probe in probes]
    assert difference(*found) is not None
    assert difference(found[1], run_behaviour(probes[1])) is None


@pytest.mark.parametrize("method", sorted(FIRST_ORDER))
def test_rates_of_a_first_order_method_are_refused(method):
    with pytest.raises(BadInput, match=rf"methods\.{method}\.rates: .* no derivative"):
        rated(method, SYNTHETIC)


def test_a_grid_varies_what_has_a_rate():
    raw = tiny_config()
    raw["grids"]["tiny"] |= {
        "methods": ["amaml_rkc"],
        "vary": {"amaml_rkc": {"rates": ["parameter", "all"]}},
    }
    params = check_params(raw)
    assert params.active.methods[1:] == ["amaml_rkc-rates-parameter", "amaml_rkc-rates-all"]
    assert "rates" not in run_recipe(params, "amaml_rkc", SYNTHETIC, 0)
    assert run_recipe(params, "amaml_rkc-rates-all", SYNTHETIC, 0)["rates"] == "all"
    raw["grids"]["tiny"] |= {"methods": ["fomaml"], "vary": {"fomaml": {"rates": ["all"]}}}
    with pytest.raises(BadInput, match="no derivative by the inner rates"):
        check_params(raw)
