"""Offsets of ratings: what the Gaussian model says, row by row, and a run that learns the rest."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.config.schema import check_params
from pipeline.data.episodes import load_episodes
from pipeline.data.pools import Episodes, ItemModel
from pipeline.errors import BadInput
from pipeline.jobs.artifacts import grid_artifacts
from pipeline.jobs.grid import grid_jobs
from pipeline.jobs.recipes import reference_recipe, run_recipe
from pipeline.runs import offsets as module
from pipeline.runs.behaviour import difference
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.inputs import load_inputs
from pipeline.runs.job import run, run_seeds
from pipeline.runs.offsets import fit_offsets, offsets, with_offsets
from pipeline.runs.predictors.gaussian_items import conditional_means
from pipeline.runs.probes import run_behaviour, run_probe
from pipeline.runs.recipe import canonical
from pipeline.runs.reference import build_reference
from pipeline.runs.weights import read_arrays, write_arrays
from tests.unit.tiny_runs import RATINGS, SYNTHETIC, make_files, recipe, tiny_config, tiny_params

OFFSET = {"offset": "gaussian_items"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_files(tmp_path_factory.mktemp("files"), RATINGS)


@pytest.fixture(scope="module")
def given(files: tuple[Path, Path]) -> tuple[Episodes, Episodes]:
    """Episodes without offsets, and with them."""
    plain = load_episodes(*files)
    return plain, with_offsets(plain)


def some_items(size: int = 7) -> ItemModel:
    draw = np.random.default_rng(0)
    root = draw.standard_normal((size, size))
    return ItemModel(draw.standard_normal(size), root @ root.T + np.eye(size))


def conditional(items: ItemModel, x: np.ndarray, y: np.ndarray, of: int) -> float:
    """E[rating of an item | ratings y of other items x], by the formula for one item."""
    across = items.covariance[of, x]
    own = items.covariance[np.ix_(x, x)]
    return float(items.mean[of] + across @ np.linalg.solve(own, y - items.mean[x]))


def test_a_support_row_is_given_what_the_others_say_of_it():
    items, x, y = some_items(), np.array([4, 0, 6, 2]), np.array([1.0, -2.0, 0.5, 3.0])
    of_support, of_query = offsets(items, x, y, np.ones(4), np.array([1, 5]))
    left_out = [conditional(items, np.delete(x, k), np.delete(y, k), x[k]) for k in range(4)]
    np.testing.assert_allclose(of_support, left_out, rtol=1e-10)
    np.testing.assert_allclose(of_query, [conditional(items, x, y, k) for k in (1, 5)], rtol=1e-10)


def test_an_item_rated_twice_is_left_out_as_one_and_padding_counts_for_none():
    items = some_items()
    once = offsets(items, np.array([4, 2]), np.array([1.0, 3.0]), np.ones(2), np.array([1]))
    x, y = np.array([4, 2, 4, 0]), np.array([0.0, 3.0, 2.0, 0.0])
    twice = offsets(items, x, y, np.array([1.0, 1.0, 1.0, 0.0]), np.array([1]))
    np.testing.assert_allclose(twice[0][:3], once[0][[0, 1, 0]], rtol=1e-10)
    np.testing.assert_allclose(twice[1], once[1], rtol=1e-10)
    alone, _ = offsets(items, np.array([3]), np.array([9.0]), np.ones(1), np.array([1]))
    np.testing.assert_allclose(alone, items.mean[[3]])


def test_frozen_and_drawn_tasks_have_them(given):
    plain, made = given
    assert made.items is not None
    for tasks, raw in ((made.validation, plain.validation), (made.test, plain.test)):
        np.testing.assert_array_equal(tasks.qy, raw.qy)
        seen = tasks.q_weight > 0
        wanted = conditional_means(made.items, raw)
        np.testing.assert_allclose(tasks.q_offset[seen], wanted[seen], rtol=1e-9, atol=1e-12)
    drawn = made.train.draw(3, 6, 4, np.random.default_rng(1))
    raw = plain.train.draw(3, 6, 4, np.random.default_rng(1))
    for k in (0, 2):  # inputs stay, so that meta-batches are the same tasks and rows
        np.testing.assert_array_equal(drawn[k], raw[k])
    assert not np.allclose(drawn[1], raw[1])
    assert not np.allclose(drawn[3], raw[3])


def test_a_user_has_no_part_in_the_model_of_his_own_offsets(given, monkeypatch):
    plain, _ = given
    tables = []
    fitted = module.fit
    monkeypatch.setattr(module, "fit", lambda table, w: (tables.append(table), fitted(table, w))[1])
    made = with_offsets(plain)
    users = len(plain.train.counts)
    assert [len(table) for table in tables] == [
        users - len(range(k, users, module.FOLDS)) for k in range(module.FOLDS)
    ]
    # ratings of a user who is in the same fold change nothing, those of another fold do
    x, y = np.array([[0, 1, 2]]), np.array([[0.3, -0.2, 0.1]])

    def offsets_of_first(changed: int) -> np.ndarray:
        ratings = plain.train.y.copy()
        start, count = plain.train.starts[changed], plain.train.counts[changed]
        ratings[start : start + count] += 2.0
        pool = replace(plain.train, y=ratings)
        train = with_offsets(replace(plain, train=pool)).train
        return train.offset(np.array([0]), x, y, np.array([[3]]))[0]

    of_first = made.train.offset(np.array([0]), x, y, np.array([[3]]))[0]
    monkeypatch.setattr(module, "chosen_items", lambda episodes: (made.items, 50.0))
    before = with_offsets(plain).train.offset(np.array([0]), x, y, np.array([[3]]))[0]
    assert of_first.shape == (1, 3)
    np.testing.assert_array_equal(offsets_of_first(module.FOLDS), before)
    assert not np.allclose(offsets_of_first(1), before)


def fitted_to(folder: Path, files: tuple[Path, Path], episodes: str) -> Path:
    """The file of `fit-offsets`, whose recipe says that it is of these episodes."""
    out = folder / "offsets.parquet"
    fit_offsets(*files, out, metadata={"spec": canonical({"episodes": episodes})})
    return out


def test_models_of_a_file_are_those_that_would_be_fitted(files, given, tmp_path):
    own = recipe("amaml_rkc", RATINGS) | OFFSET
    file = fitted_to(tmp_path, files, own["episodes"])
    made, read = given[1], load_inputs(own, *files, file)
    np.testing.assert_array_equal(read.items.covariance, made.items.covariance)
    for part in ("validation", "test"):
        for name in ("s_offset", "q_offset"):
            found, wanted = getattr(getattr(read, part), name), getattr(getattr(made, part), name)
            np.testing.assert_array_equal(found, wanted)
    drawn = [one.train.draw(5, 6, 4, np.random.default_rng(1)) for one in (made, read)]
    for found, wanted in zip(*drawn, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_run_and_its_reference_take_the_file(files, tmp_path, monkeypatch):
    own = recipe("amaml_rkc", RATINGS) | OFFSET
    asked = reference_recipe(tiny_params(), RATINGS, 0)
    asked |= OFFSET | {"predictors": ["gaussian_items"]}
    file = fitted_to(tmp_path, files, own["episodes"])
    alone = run_seeds([own], files[0], [files[1]], [tmp_path / "alone"], device="cpu")
    of_alone = build_reference(asked, *files, tmp_path / "alone.parquet")
    monkeypatch.setattr(module, "fit", None)
    monkeypatch.setattr("pipeline.runs.predictors.gaussian_items.fit", None)
    given = ([own], files[0], [files[1]], [tmp_path / "run"])
    found = run_seeds(*given, device="cpu", offsets_files=[file])
    assert found[0]["nrmse"] == alone[0]["nrmse"]
    rows = build_reference(asked, *files, tmp_path / "reference.parquet", offsets=file)
    pd.testing.assert_frame_equal(rows, of_alone)


def test_models_of_other_episodes_are_refused(files, tmp_path):
    own = recipe("amaml_rkc", RATINGS) | OFFSET
    file = fitted_to(tmp_path, files, "of another draw")
    with pytest.raises(BadInput, match=r"fitted to other episodes; needed .* fit-offsets"):
        load_inputs(own, *files, file)
    with pytest.raises(BadInput, match="Parquet"):
        load_inputs(own, *files, tmp_path / "nothing.parquet")


def test_tasks_without_items_have_no_models(tmp_path):
    files = make_files(tmp_path, SYNTHETIC)
    with pytest.raises(BadInput, match="found tasks without items"):
        fit_offsets(*files, tmp_path / "out.parquet", metadata={})
    assert not (tmp_path / "out.parquet").exists()


def test_they_are_fitted_once_for_all_methods_of_a_seed(tmp_path):
    config = tiny_config()
    assert "fit_offsets" not in {job.rule for job in grid_jobs(check_params(config), tmp_path)}
    config["grids"]["tiny"]["settings"][1] |= OFFSET
    jobs = [job for job in grid_jobs(check_params(config), tmp_path) if job.rule == "fit_offsets"]
    assert [job.output for job in jobs] == [
        f"data/episodes/{RATINGS}-offset-gaussian_items/{seed}.offsets.parquet" for seed in (0, 1)
    ]
    needed = [
        {path.as_posix() for path in artifact.inputs}
        for artifact in grid_artifacts(check_params(config), tmp_path)
        if artifact.recipe.get("offset") and artifact.recipe["kind"] in ("run", "reference")
    ]
    assert needed
    assert all(inputs & {job.output for job in jobs} for inputs in needed)
    assert [job.log for job in jobs] == [
        f"logs/fit_offsets/{RATINGS}-offset-gaussian_items/{seed}.offsets.log" for seed in (0, 1)
    ]


def test_a_record_s_predictions_are_network_and_offset(files, tmp_path):
    """What the file of a run predicts of the test tasks has the errors of its record."""
    own = recipe("amaml_rkc", RATINGS) | OFFSET
    metrics = run(own, *files, tmp_path, device="cpu")
    start = Initialisation.read(tmp_path)
    assert start.item_model is not None
    episodes = load_inputs(own, *files)
    scaling, test = episodes.scaling, episodes.test
    tasks = []
    for k in range(len(test.tasks)):
        s, q = test.s_weight[k] > 0, test.q_weight[k] > 0
        tasks.append((test.sx[k][s], scaling.to_raw_y(test.sy[k][s]), test.qx[k][q]))
    found = start.adapt_tasks(tasks)
    errors = []
    for k, predicted in enumerate(found):
        q = test.q_weight[k] > 0
        wanted = scaling.to_raw_y(test.qy[k][q])
        errors.append(np.sqrt(np.mean((predicted - wanted) ** 2)) / scaling.target_std)
    assert np.mean(errors) == pytest.approx(metrics["nrmse"], rel=1e-5)
    unknown = start.adapt(tasks[0][0], tasks[0][1], np.array([-1]))
    np.testing.assert_allclose(unknown, [scaling.y_mean])
    # copied as a champion's file is, it says the same, and notices a change
    copy = tmp_path / "copy.safetensors"
    start.write(copy)
    again = Initialisation.read(copy)
    np.testing.assert_array_equal(again.adapt(*tasks[0]), start.adapt(*tasks[0]))
    (tensors, about), own = read_arrays(copy), read_arrays(tmp_path / "meta_init.safetensors")[1]
    half = {name: tensors[name] for name in ("theta", "item_mean")}
    write_arrays(copy, half, own)
    with pytest.raises(BadInput, match="item_mean and item_covariance without the other"):
        Initialisation.read(copy)
    write_arrays(copy, tensors, about)
    copy.write_bytes(copy.read_bytes()[:-1] + b"\x00")
    with pytest.raises(BadInput, match="not those that were written"):
        Initialisation.read(copy)


def test_seeds_together_are_as_alone(files, tmp_path):
    other = make_files(tmp_path, RATINGS, seed=1)
    recipes = [recipe("fomaml", RATINGS, seed) | OFFSET for seed in (0, 1)]
    folders = [tmp_path / f"together/{seed}" for seed in (0, 1)]
    together = run_seeds(recipes, files[0], [files[1], other[1]], folders, device="cpu")
    for seed, file in enumerate((files[1], other[1])):
        alone = run(recipes[seed], files[0], file, tmp_path / f"alone/{seed}", device="cpu")
        assert together[seed]["nrmse"] == pytest.approx(alone["nrmse"], rel=1e-5)


def test_the_untrained_start_is_added_to_them_and_trivial_predictors_are_what_they_were(
    files, tmp_path
):
    params = check_params(asking())
    (setting,) = params.active.settings
    own = reference_recipe(params, setting, 0)
    assert own["offset"] == "gaussian_items"
    plain = {name: value for name, value in own.items() if name != "offset"}
    drop = {"episodes"}  # of another setting's name
    rows = {}
    for name, of in (("with", own), ("without", plain)):
        of = {key: value for key, value in of.items() if key not in drop}
        table = build_reference(of, *files, tmp_path / f"{name}.parquet")
        rows[name] = table.groupby(["predictor", "step"])["nrmse"].mean()
    trivial = [key for key in rows["with"].index if key[0] != "untrained"]
    pd.testing.assert_series_equal(rows["with"][trivial], rows["without"][trivial])
    assert rows["with"]["untrained", 0] < rows["without"]["untrained", 0]


def asking(dataset: str = "simulated") -> dict:
    raw = tiny_config()
    (entry,) = (e for e in raw["grids"]["tiny"]["settings"] if e["dataset"] == dataset)
    raw["grids"]["tiny"]["settings"] = [entry | OFFSET]
    return raw


def test_a_setting_says_so_in_its_name_and_recipe():
    params = check_params(asking())
    assert params.active.settings == [f"{RATINGS}-offset-gaussian_items"]
    assert run_recipe(params, "fomaml", params.active.settings[0], 0)["offset"] == "gaussian_items"
    assert "offset" not in recipe("fomaml", RATINGS)


def test_data_without_ratings_is_refused():
    assert SYNTHETIC.startswith("cosmixture")
    with pytest.raises(BadInput, match="cosmixture has no ratings; leave offset out"):
        check_params(asking("cosmixture"))


def test_evidence_is_held_by_what_the_offsets_do():
    plain = recipe("fomaml", RATINGS)
    with_offset = run_behaviour(run_probe(plain | OFFSET))
    assert difference(run_behaviour(run_probe(plain)), with_offset) is not None
