"""Tasks of classes through a run: trained by every method, measured, used, told to a store."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.config.measures import CLASSES
from pipeline.config.methods import METHODS
from pipeline.data.cards import OwnTable
from pipeline.data.episodes import freeze_episodes, load_episodes
from pipeline.data.own_tasks import build_table_tasks
from pipeline.errors import BadInput
from pipeline.runs.behaviour import difference, of_reference
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.job import run
from pipeline.runs.probes import (
    reference_behaviour,
    reference_probe,
    run_behaviour,
    run_probe,
)
from pipeline.runs.recipe import Recipe
from pipeline.runs.records import read_reference, read_run
from pipeline.runs.reference import build_reference
from pipeline.runs.use import adapt_to, answer_mixed, example
from pipeline.tracking.content import run_content
from tests.unit.tiny_runs import recipe

Made = tuple[Recipe, Path, Path, pd.DataFrame]
NAMES = {"binary": ["no", "yes"], "cross_entropy": ["a", "b", "c"]}


def make(folder: Path, loss: str) -> Made:
    """24 people of 14 to 19 rows, whose class is told by how far along their own direction."""
    draw, names = np.random.default_rng(0), NAMES[loss]
    frames = []
    for number in range(24):
        x = draw.normal(size=(14 + number % 6, 2))
        along = x @ [np.cos(number), np.sin(number)] + 0.1 * draw.normal(size=len(x))
        place = np.digitize(along, [0.0] if loss == "binary" else [-0.5, 0.5])
        label = [names[p] for p in place]
        frames.append(
            pd.DataFrame({"person": number, "x0": x[:, 0], "x1": x[:, 1], "label": label})
        )
    rows = pd.concat(frames, ignore_index=True)
    rows.to_csv(folder / "rows.csv", index=False)
    given = OwnTable("own", folder / "rows.csv", "person", ("x0", "x1"), "label", loss=loss)
    tasks, episodes = folder / "tasks.parquet", folder / "episodes.parquet"
    build_table_tasks(given, tasks, metadata={})
    sizes = {"support": 6, "query": 6, "test_tasks": 5, "validation_tasks": 3}
    freeze_episodes(tasks, episodes, seed=0, **sizes, metadata={})
    own = {"dataset": "own", "setting": "own", "support": 6, "query": 6, "loss": loss}
    return recipe() | own, tasks, episodes, rows


@pytest.fixture(scope="module", params=NAMES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(tmp_path_factory.mktemp(request.param), request.param)


def recipe_of(made: Made, method: str) -> Recipe:
    found = recipe(method) | {key: made[0][key] for key in ("dataset", "setting", "loss")}
    del found["episodes"]
    return found | {"support": 6, "query": 6, "dtype": "float64"}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains_on_classes(made: Made, method: str, tmp_path: Path) -> None:
    metrics = run(recipe_of(made, method), *made[1:3], tmp_path / "run", device="cpu")
    assert metrics["status"] == "ok"
    assert set(CLASSES.metrics) <= set(metrics)
    assert not {"nrmse", "rmse", "target_std"} & set(metrics)
    record = read_run(tmp_path / "run")
    assert record.curve[CLASSES.validation].notna().any()
    assert np.isfinite(record.test_rows[list(CLASSES.metrics)].to_numpy()).all()


@pytest.fixture(scope="module")
def trained(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    run(recipe_of(made, "reptile"), *made[1:3], folder / "run", device="cpu")
    return folder / "run"


def test_it_is_compared_with_frequencies_and_the_untrained_start(
    made: Made, tmp_path: Path
) -> None:
    build_reference(recipe_of(made, "reptile"), *made[1:3], tmp_path / "reference.parquet")
    rows = read_reference(tmp_path / "reference.parquet")
    names = {"untrained", "train_frequencies", "support_frequencies"}
    assert set(rows["predictor"]) == names
    assert np.isfinite(rows["log_loss"]).all()


def test_used_on_a_test_task_it_is_as_good_as_its_record_says(made: Made, trained: Path) -> None:
    loaded, record = load_episodes(*made[1:3]), read_run(trained)
    test, scaling, start = loaded.test, loaded.scaling, Initialisation.read(trained)
    seen, asked = test.s_weight[0] > 0, test.q_weight[0] > 0
    sx, qx = (x[0] * scaling.x_std + scaling.x_mean for x in (test.sx, test.qx))
    p = start.adapt(sx[seen], test.sy[0][seen], qx[asked])
    np.testing.assert_allclose(p.sum(1), 1)
    of_true = p[np.arange(len(p)), test.qy[0][asked].astype(int)]
    rows = record.test_rows
    at_k = rows[(rows["step"] == start.steps) & (rows["task"] == test.tasks[0])]
    assert at_k["log_loss"].item() == pytest.approx(-np.log(of_true).mean(), rel=1e-5)
    assert start.about["log_loss"] == record.metrics["log_loss"]


def test_predictions_have_the_names_of_classes(made: Made, trained: Path) -> None:
    rows, names = made[3], NAMES[made[0]["loss"]]
    new = rows[rows["person"] == 3].drop(columns="person")
    found = adapt_to(trained, new[:8], new[8:].drop(columns="label"), steps=50)
    columns = [f"p({name})" for name in names]
    assert list(found.columns) == ["x0", "x1", "prediction", *columns]
    assert set(found["prediction"]) <= set(names)
    best = found[columns].to_numpy().argmax(1)
    assert list(found["prediction"]) == [names[place] for place in best]
    start = Initialisation.read(trained)
    x, y = new[["x0", "x1"]].to_numpy(), np.array([names.index(n) for n in new["label"]])
    p = start.adapt(x[:8], y[:8], x[8:], steps=50)
    np.testing.assert_allclose(found[columns].to_numpy(), p)
    assert len(answer_mixed(start, example(start))) == 1


def test_truths_are_classes(made: Made, trained: Path, tmp_path: Path) -> None:
    if made[0]["loss"] != "binary":
        pytest.skip("of two classes")
    named, start = made[3][:20].drop(columns="person"), Initialisation.read(trained)
    start.about["classes"] = ["false", "true"]  # as Parquet and CSV name them
    truths = named.assign(label=named["label"] == "yes")
    truths.to_csv(tmp_path / "truths.csv", index=False)
    right = adapt_to(trained, named)
    for rows in (truths, truths.astype(object), pd.read_csv(tmp_path / "truths.csv", dtype=str)):
        found = adapt_to(start, rows)
        np.testing.assert_array_equal(found["p(true)"], right["p(yes)"])
        assert (found["prediction"] == "true").equals(right["prediction"] == "yes")
    mixed = pd.concat([truths.assign(part="support"), truths.assign(part="query")])
    np.testing.assert_array_equal(answer_mixed(start, mixed)["p(true)"], right["p(yes)"])


@pytest.mark.parametrize(
    ("label", "said"),
    [("d", "line 2|row 1"), (None, "found no value, needed a target")],
)
def test_labels_that_cannot_be_learned_are_refused(
    made: Made, trained: Path, label: str | None, said: str
) -> None:
    new = made[3][:10].assign(label=[label, *made[3]["label"][1:10]])
    with pytest.raises(BadInput, match=said) as refused:
        adapt_to(trained, new, new)
    if label:
        listed = ", ".join(NAMES[made[0]["loss"]])
        assert f"found the class 'd', needed one of {listed}" in str(refused.value)


def test_a_store_is_told_log_loss_and_no_other_error(
    made: Made, trained: Path, tmp_path: Path
) -> None:
    build_reference(recipe_of(made, "reptile"), *made[1:3], tmp_path / "reference.parquet")
    content = run_content(read_run(trained), read_reference(tmp_path / "reference.parquet"), None)
    keys = {point.key for point in content.points}
    wanted = {"log_loss", "untrained_log_loss", "trivial_support_frequencies_log_loss"}
    assert wanted | {"validation_log_loss", "accuracy", "brier", "calibration"} <= keys
    assert not any("rmse" in key for key in keys)


def test_evidence_of_classes_is_held_by_their_errors(made: Made) -> None:
    of = recipe_of(made, "reptile") | {"data": recipe()["data"], "code": ""}
    found = run_behaviour(run_probe(of))
    assert any(name.endswith(".log_loss") for name in found)
    assert difference(found, run_behaviour(run_probe(of))) is None
    reference = reference_behaviour(reference_probe(of))
    assert difference(of_reference(found), reference) is None
    faster = of | {"training": of["training"] | {"outer_lr": 2 * of["training"]["outer_lr"]}}
    assert difference(found, run_behaviour(run_probe(faster))) is not None
