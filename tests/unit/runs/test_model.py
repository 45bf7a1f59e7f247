"""Own modules and losses in a run: trained, tested, used; and refused before any training."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core import MLP, ModuleModel
from pipeline.data.cards import OF_CLASSES, OwnTable
from pipeline.data.episodes import freeze_episodes, load_episodes
from pipeline.data.own_tasks import build_table_tasks
from pipeline.errors import BadInput
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.job import run, run_seeds
from pipeline.runs.model import Perceptron, make_model
from pipeline.runs.recipe import Recipe
from pipeline.runs.records import read_run
from pipeline.runs.reference import build_reference
from pipeline.runs.use import adapt_to
from tests.unit.tiny_runs import recipe

MODELS = """
import torch
from torch import nn

class ConvNet(nn.Module):
    def __init__(self, channels, outputs=1, bias=True):
        super().__init__()
        self.first = nn.Conv2d(2, channels, 3, bias=bias)
        self.last = nn.Linear(4 * channels, outputs)
        self.register_buffer("scale", torch.rand(()) + 1)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)).flatten(1) * self.scale)

class Dropping(ConvNet):
    def forward(self, x):
        return torch.dropout(super().forward(x), 0.5, True)

class Mixing(ConvNet):
    def forward(self, x):
        found = super().forward(x)
        return found - found.mean()

class Failing(ConvNet):
    def forward(self, x):
        raise KeyError("no such thing")

class Wrong(ConvNet):
    def forward(self, x):
        return super().forward(x[:, :, :3])

def pinball(prediction, target):
    error = target - prediction
    return torch.nn.functional.softplus(8 * error) / 4 - 0.5 * error

def mean(prediction, target):
    return pinball(prediction, target).mean()

def squared(prediction, target):
    return 0.5 * (prediction - target) ** 2
"""
SHAPE = (2, 4, 4)
NAMES = {"binary": ["low", "top"], "cross_entropy": ["low", "mid", "top"]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The project's folder, with images of tasks in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "my_code.py").write_text(MODELS)
    yield tmp_path
    sys.modules.pop("my_code", None)


def images() -> pd.DataFrame:
    """20 tasks of 12 to 18 images, whose target is a weight of the task times a pixel."""
    draw = np.random.default_rng(0)
    frames = []
    for number in range(20):
        x = draw.normal(size=(12 + number % 7, 32))
        y = x[:, 3] * draw.normal() + x[:, 20]
        frames.append(pd.DataFrame({"camera": f"c{number:02}", "image": list(x), "y": y}))
    return pd.concat(frames, ignore_index=True)


def made(folder: Path, **changes: object) -> tuple[Recipe, Path, Path]:
    """A recipe, and the tasks and episodes of the images."""
    rows, loss = images(), str(changes.get("loss", "squared"))
    if loss in OF_CLASSES:
        rows["y"] = pd.cut(rows["y"], [-99, 0, 99] if loss == "binary" else [-99, -0.5, 0.5, 99])
        rows["y"] = rows["y"].cat.rename_categories(NAMES[loss])
    rows.to_parquet(folder / "images.parquet")
    table = folder / "images.parquet"
    given = OwnTable("images", table, "camera", ("image",), "y", shape=SHAPE, loss=loss)
    tasks, episodes = folder / "tasks.parquet", folder / "episodes.parquet"
    build_table_tasks(given, tasks, metadata={})
    sizes = {"support": 5, "query": 5, "test_tasks": 4, "validation_tasks": 3}
    freeze_episodes(tasks, episodes, seed=0, **sizes, metadata={})
    own = {"module": "my_code.ConvNet", "arguments": {"channels": 3}, "code": None}
    found = recipe(str(changes.pop("method", "fomaml")), ledger_every=None) | {
        "hidden": [],
        "model": own,
    }
    found |= {"dataset": "images", "setting": "images", "support": 5, "query": 5}
    del found["episodes"]
    return found | changes, tasks, episodes


def test_a_module_on_images_is_trained_tested_and_used(folder: Path) -> None:
    given, tasks, episodes = made(folder, method="amaml_rkc")
    metrics = run(given, tasks, episodes, folder / "run", device="cpu")
    assert metrics["status"] == "ok"
    start = Initialisation.read(folder / "run")
    assert len(start.theta) == 3 * 2 * 9 + 3 + 12 + 1
    rows = build_reference(given, tasks, episodes, folder / "reference.parquet")
    assert {"untrained", "global_mean", "support_mean"} <= set(rows["predictor"])
    # the same numbers as when the file is used by itself
    loaded = load_episodes(tasks, episodes)
    test, scaling = loaded.test, loaded.scaling
    assert np.shape(scaling.x_mean) == (2, 1, 1), "one for each channel"
    seen = test.s_weight[0] > 0
    asked = test.q_weight[0] > 0
    raw = [x * np.array(scaling.x_std) + np.array(scaling.x_mean) for x in (test.sx, test.qx)]
    found = start.adapt(raw[0][0][seen], scaling.to_raw_y(test.sy[0][seen]), raw[1][0][asked])
    error = np.sqrt(np.mean((found - scaling.to_raw_y(test.qy[0][asked])) ** 2))
    record = read_run(folder / "run").test_rows
    at_k = record[(record["step"] == given["inner_steps"]) & (record["task"] == test.tasks[0])]
    assert at_k["rmse"].item() == pytest.approx(error, rel=1e-4)


@pytest.mark.parametrize("method", ["maml", "amaml_rkc"])
@pytest.mark.parametrize(("loss", "outputs"), [("binary", 1), ("cross_entropy", 3)])
def test_a_module_on_classes_is_trained_tested_and_used(
    folder: Path, loss: str, outputs: int, method: str
) -> None:
    own = {"module": "my_code.ConvNet", "code": None}
    own["arguments"] = {"channels": 3, "outputs": outputs}
    given, tasks, episodes = made(folder, method=method, model=own, loss=loss, dtype="float64")
    metrics = run(given, tasks, episodes, folder / "run", device="cpu")
    assert metrics["status"] == "ok"
    record = read_run(folder / "run").test_rows
    rows = build_reference(given, tasks, episodes, folder / "reference.parquet")
    assert {"untrained", "train_frequencies", "support_frequencies"} == set(rows["predictor"])
    # the same numbers as when a test task's rows are used as people have them
    task = load_episodes(tasks, episodes).test
    place, start = int(task.tasks[0]), Initialisation.read(folder / "run")
    seen, asked = task.s_weight[0] > 0, task.q_weight[0] > 0
    scaling = load_episodes(tasks, episodes).scaling
    sx, qx = (x[0] * np.array(scaling.x_std) + np.array(scaling.x_mean) for x in (task.sx, task.qx))
    labels = np.array(NAMES[loss])[task.sy[0].astype(int)]
    support = pd.DataFrame({"image": [*sx[seen]], "y": labels[seen]})
    found = adapt_to(start, support, pd.DataFrame({"image": [*qx[asked]]}))
    p = found[[f"p({name})" for name in NAMES[loss]]].to_numpy()
    of_true = p[np.arange(len(p)), task.qy[0][asked].astype(int)]
    at_k = record[(record["step"] == start.steps) & (record["task"] == place)]
    assert at_k["log_loss"].item() == pytest.approx(-np.log(of_true).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("loss", "outputs"), [("binary", 2), ("cross_entropy", 2), ("cross_entropy", 5), ("squared", 3)]
)
def test_a_module_with_other_outputs_is_refused_before_training(
    folder: Path, monkeypatch, loss: str, outputs: int
) -> None:
    own = {"module": "my_code.ConvNet", "code": None}
    own["arguments"] = {"channels": 3, "outputs": outputs}
    given, tasks, episodes = made(folder, model=own, loss=loss)
    monkeypatch.setattr("pipeline.runs.job.MetaTraining", None)
    with pytest.raises(BadInput, match=r"models: my_code\.ConvNet: ") as refused:
        run(given, tasks, episodes, folder / "run", device="cpu")
    assert len(str(refused.value).splitlines()) == 1


def test_seeds_together_are_seeds_alone(folder: Path) -> None:
    given, tasks, episodes = made(folder)
    files = [episodes, folder / "other.parquet"]
    sizes = {"support": 5, "query": 5, "test_tasks": 4, "validation_tasks": 3}
    freeze_episodes(tasks, files[1], seed=1, **sizes, metadata={})
    recipes = [given | {"seed": seed} for seed in (0, 1)]
    folders = [folder / "together0", folder / "together1"]
    together = run_seeds(recipes, tasks, files, folders, device="cpu")
    alone = run(recipes[1], tasks, files[1], folder / "alone", device="cpu")
    assert together[1]["nrmse"] == pytest.approx(alone["nrmse"], rel=1e-4)
    assert together[0]["nrmse"] != pytest.approx(together[1]["nrmse"], rel=1e-3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Dropping", "models: my_code.Dropping: "),
        ("Mixing", "Mixing is refused: rows that pad a task change the losses of its other rows"),
        ("Failing", "my_code.py: line 26: KeyError: 'no such thing'"),
        ("Wrong", "models: my_code.Wrong: .*Wrong does not make 5 predictions of inputs"),
        ("Missing", "found no Missing in"),
        ("pinball", "found the function pinball, needed a class of torch.nn.Module"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_training(
    folder: Path, monkeypatch, name: str, said: str
) -> None:
    own = {"module": f"my_code.{name}", "arguments": {"channels": 3}, "code": None}
    given, tasks, episodes = made(folder, model=own)
    monkeypatch.setattr("pipeline.runs.job.MetaTraining", None)
    for job in (
        lambda: run(given, tasks, episodes, folder / "run", device="cpu"),
        lambda: build_reference(given, tasks, episodes, folder / "reference.parquet"),
    ):
        with pytest.raises(BadInput, match=said) as refused:
            job()
        assert len(str(refused.value).splitlines()) == 1
    assert not (folder / "reference.parquet").exists()
    assert not (folder / "run" / "spec.json").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"model": {"module": "my_code.ConvNet", "arguments": {"chanels": 3}}},
            r"chanels=3\): Typ",
        ),
        ({"model": {"module": "torch.nn.Dropout", "arguments": {}}}, "no parameters to train"),
        ({"hidden": [4], "loss": {"function": "my_code.ConvNet"}}, "found the class ConvNet, need"),
        ({"hidden": [4], "loss": {"function": "my_code.huber"}}, "found no huber in"),
    ],
)
def test_what_cannot_be_made_is_refused(given: dict, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        make_model(given, 4)


def test_a_loss_of_ones_own_on_an_mlp(folder: Path) -> None:
    """A loss that is squared error gives what the closed forms give; another one does not."""
    given, tasks, episodes = made(folder, hidden=[4, 3], method="amaml_rkc", dtype="float64")
    del given["model"]
    found = {}
    for name, loss in {
        "closed": "squared",
        "huber": "huber",
        "own": {"function": "my_code.squared"},
        "pinball": {"function": "my_code.pinball"},
    }.items():
        metrics = run(given | {"loss": loss}, tasks, episodes, folder / name, device="cpu")
        found[name] = metrics["nrmse"]
        assert Initialisation.read(folder / name).about["loss"] == loss
    assert found["own"] == pytest.approx(found["closed"], rel=1e-9)
    assert found["pinball"] != pytest.approx(found["closed"], rel=1e-3)
    mean = given | {"loss": {"function": "my_code.mean"}}
    with pytest.raises(BadInput, match=r"loss: my_code\.mean: the loss must give a loss for each"):
        run(mean, tasks, episodes, folder / "mean", device="cpu")


def test_the_perceptron_is_the_mlp() -> None:
    draw = torch.Generator().manual_seed(3)
    mlp = MLP(6, [4, 3])
    theta = mlp.init(torch.Generator().manual_seed(5), dtype=torch.float64).unsqueeze(0)
    own = ModuleModel(Perceptron(6, [4, 3], seed=5))
    for x in (
        torch.rand(1, 7, 6, generator=draw, dtype=torch.float64),
        torch.randint(6, (1, 7), generator=draw),
    ):
        torch.testing.assert_close(own.predict(theta, x), mlp.predict(theta, x))
