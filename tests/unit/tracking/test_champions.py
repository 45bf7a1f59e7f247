"""Champions in MLflow's registry: what they answer, and when a version of one is made."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import scoring_server

from pipeline.cli import app
from pipeline.errors import BadInput
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.job import run
from pipeline.runs.use import adapt_to
from pipeline.tracking.champions import Registered, model_name, register, requirements, signature
from tests import tracked_project
from tests.unit import trained
from tests.unit.runs import test_classes, test_model
from tests.unit.tiny_runs import RATINGS, SYNTHETIC
from tests.unit.trained import Made, files_of

CHOSEN = {
    "grid": "tiny",
    "measure": "nrmse",
    "validation": {"error": 0.5, "others": []},
    "test": {"nrmse": 0.25},
}


@pytest.fixture(scope="module", params=[SYNTHETIC, RATINGS], ids=["numbers", "items"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return trained.make(tmp_path_factory.mktemp("made"), request.param)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = tmp_path_factory.mktemp("store")
    shutil.copy(tracked_project.empty_store(root.parent), root / "mlflow.db")
    return f"sqlite:///{root / 'mlflow.db'}"


def champion(made: Made, folder: Path, **changes: Any) -> Initialisation:
    start = Initialisation.read(made[2])
    file = folder / "champion.safetensors"
    Initialisation(file, start.theta, start.about | CHOSEN | changes).write(file)
    return Initialisation.read(file)


def registered(start: Initialisation, store: str) -> Registered:
    (found,) = register([start], uri=store, grid="tiny")
    return found


@pytest.fixture(scope="module")
def served(made: Made, store: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    start = champion(made, tmp_path_factory.mktemp("champion"))
    registered(start, store)
    mlflow.set_tracking_uri(store)
    return mlflow.pyfunc.load_model(f"models:/{model_name(start)}@champion")


def request_of(made: Made, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of two tasks as a server gets them, and what `adapt_to` says."""
    start = Initialisation.read(made[2])
    task, target = start.about["task"], start.about["target"]
    parts, right = [], []
    for place in range(2):
        support, query = (pd.read_csv(file) for file in files_of(made, folder, place)[:2])
        right.append(adapt_to(start, support, query.drop(columns=target)).assign(**{task: place}))
        parts.append(support.assign(part="support", **{task: place}))
        parts.append(query.drop(columns=target).assign(part="query", **{task: place}))
    return pd.concat(parts, ignore_index=True), pd.concat(right, ignore_index=True)


def test_a_loaded_model_answers_what_adapt_does(made: Made, served: Any, tmp_path: Path) -> None:
    rows, right = request_of(made, tmp_path)
    found = served.predict(rows).reset_index(drop=True)
    np.testing.assert_allclose(found["prediction"], right["prediction"], rtol=1e-6)
    for name in found:
        assert list(found[name].astype(str)) == list(right[name].astype(str)), name
    fewer = served.predict(rows, params={"steps": 1})["prediction"]
    assert not np.allclose(fewer, right["prediction"])


@pytest.mark.parametrize(
    ("loss", "names"),
    [
        ("cross_entropy", ["a", "b", "c"]),
        ("cross_entropy", [0, 1, 2]),
        ("binary", [False, True]),
    ],
    ids=["texts", "whole numbers", "truths"],
)
def test_classes_are_answered_as_adapt_prints_them(
    loss: str, names: list, store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = test_classes.make(tmp_path, loss)
    run(test_classes.recipe_of(made, "reptile"), *made[1:3], tmp_path / "run", device="cpu")
    told = {"measure": "log_loss", "test": {"log_loss": 0.5}, "setting": "classes"}
    told["classes"] = [str(name).lower() for name in names]
    start = champion((made[1], made[2], tmp_path / "run"), tmp_path, **told)
    rows = made[3][made[3]["person"].isin([3, 4])].reset_index(drop=True)
    rows["label"] = rows["label"].map(dict(zip(test_classes.NAMES[loss], names, strict=True)))
    is_support = rows.groupby("person").cumcount() < 8
    files = [tmp_path / "support.csv", tmp_path / "query.csv"]
    rows[is_support].to_csv(files[0], index=False)
    rows[~is_support].drop(columns="label").to_csv(files[1], index=False)
    capsys.readouterr()
    app(["adapt", str(start.path), *map(str, files), "--steps", "40"], standalone_mode=False)
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out), dtype={"prediction": str})
    printed = printed.drop(columns=["x0", "x1"])
    assert list(printed)[1:] == ["prediction", *(f"p({name})" for name in told["classes"])]
    assert printed.iloc[:, -1].nunique() > 4

    registered(start, store)
    mlflow.set_tracking_uri(store)
    model = mlflow.pyfunc.load_model(f"models:/{model_name(start)}@champion")
    mixed = rows.assign(part=is_support.map({True: "support", False: "query"}))
    found = model.predict(mixed, params={"steps": 40}).reset_index(drop=True)
    pd.testing.assert_frame_equal(found, printed, rtol=1e-5)

    mixed["label"] = mixed["label"].astype(object).where(is_support, None)
    found = answered(model, mixed, steps=40)
    pd.testing.assert_frame_equal(found, printed, rtol=1e-5)


def answered(model: Any, rows: pd.DataFrame, **params: int) -> pd.DataFrame:
    """What the server does with a request of these rows."""
    body = {"dataframe_records": json.loads(rows.to_json(orient="records")), "params": params}
    schema = model.metadata.get_input_schema()
    found = scoring_server.invocations(json.dumps(body), "application/json", model, schema)
    assert found.status == 200, found.response
    return pd.DataFrame(json.loads(found.response)["predictions"])


def test_arrays_may_be_nested_and_of_whole_numbers(store: str, tmp_path: Path) -> None:
    given, *files = test_model.made(tmp_path, hidden=[4])
    del given["model"]
    run(given, *files, tmp_path / "run", device="cpu")
    start = champion((files[0], files[1], tmp_path / "run"), tmp_path, setting="images")
    rows = test_model.images().head(12)
    rows["image"] = [(10 * image).round().astype(int) for image in rows["image"]]
    right = adapt_to(start, rows[:7], rows[7:])["prediction"]
    registered(start, store)
    mlflow.set_tracking_uri(store)
    model = mlflow.pyfunc.load_model(f"models:/{model_name(start)}@champion")
    rows["part"] = ["support"] * 7 + ["query"] * 5
    for shape in ((32,), test_model.SHAPE):
        nested = rows.assign(image=[image.reshape(shape).tolist() for image in rows["image"]])
        for found in (model.predict(nested), answered(model, nested, steps=start.steps)):
            np.testing.assert_allclose(found["prediction"], right, rtol=1e-6)


def test_bad_requests_are_refused_with_one_message(made: Made, served: Any, tmp_path: Path) -> None:
    rows, _ = request_of(made, tmp_path)
    start = Initialisation.read(made[2])
    column, target = next(iter(start.columns)), start.about["target"]
    faulty = rows.astype({column: object})
    faulty.loc[2, column] = None
    for request, said in (
        (rows.assign(part="both"), "request: row 1: column 'part': found 'both'"),
        (rows.assign(part=None), "request: row 1: column 'part': found 'no value'"),
        (rows.assign(part="query"), "no row whose column 'part' is `support`"),
        (rows[rows["part"] == "support"], "no row whose column 'part' is `query`"),
        (faulty, f"request: row 3: column '{column}': found no value"),
        (rows.drop(columns=target), f"found no column '{target}'"),
        (rows.drop(columns="part"), "Model is missing inputs"),
        (rows.drop(columns=column), "Model is missing inputs"),
    ):
        with pytest.raises(MlflowException) as raised:
            served.predict(request)
        assert said in raised.value.message
        assert raised.value.get_http_status_code() == 400
        assert "Traceback" not in raised.value.serialize_as_json()
    with pytest.raises(MlflowException, match="at least 0"):
        served.predict(rows, params={"steps": -1})


def test_a_version_is_made_only_where_it_differs(made: Made, store: str, tmp_path: Path) -> None:
    start = champion(made, tmp_path)
    first = registered(start, store)
    assert registered(start, store) == Registered(first.name, first.version, is_new=False)
    second = registered(champion(made, tmp_path, seed=7), store)
    assert second == Registered(first.name, first.version + 1, is_new=True)
    client = MlflowClient(store)
    version = client.get_model_version_by_alias(first.name, "champion")
    assert int(version.version) == second.version
    assert version.tags["seed"] == "7"
    assert "0.5000 on validation tasks" in version.description
    model = mlflow.models.get_model_info(f"models:/{first.name}@champion")
    assert [column.name for column in model.signature.inputs][:2] == ["part", start.about["task"]]
    assert model.signature.params.params[0].default == start.steps

    folder = Path(mlflow.artifacts.download_artifacts(model.artifact_path))
    assert (folder / "requirements.txt").read_text().split() == requirements()
    shutil.rmtree(folder)
    assert registered(champion(made, tmp_path, seed=7), store).is_new, "its files are gone"


def test_whole_numbers_may_name_classes_and_categories(made: Made, tmp_path: Path) -> None:
    inputs = [{"name": "month", "categories": ["1", "12"]}]
    classes = {"classes": ["0", "1"], "loss": "binary", "inputs": inputs}
    start = champion(made, tmp_path, **classes)
    found = signature(start)
    types = dict(zip(found.inputs.input_names(), found.inputs.input_types(), strict=True))
    assert str(types[start.about["target"]]) == "Any"
    if start.items is None:
        assert str(types["month"]) == "Any"
    assert {"prediction", "p(0)", "p(1)"} < set(found.outputs.input_names())


def test_what_serving_imports_is_pinned() -> None:
    assert all("==" in line and "+" not in line for line in requirements())


@pytest.mark.parametrize("uri", ["http://127.0.0.1:9", "sqlite:////proc/none/mlflow.db", "nothing"])
def test_a_store_that_is_away_is_said_and_how_to_register_later(
    made: Made, tmp_path: Path, uri: str
) -> None:
    start = champion(made, tmp_path)
    with pytest.raises(BadInput, match=r"written and not registered: `python -m pipeline promote"):
        registered(start, uri)
    assert start.path.is_file()
