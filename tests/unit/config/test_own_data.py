"""Entries of `datasets`: what they may hold, what is told of a fault, what makes tasks stale."""

import copy
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.config.load import read_config
from pipeline.config.schema import Params, check_params
from pipeline.errors import BadInput
from pipeline.jobs.artifacts import grid_artifacts
from pipeline.jobs.recipes import ratings_recipe, run_recipe, tasks_recipe

RAW = read_config(Path(__file__).parents[3] / "params.yaml")
TABLE = {"table": "sensors.csv", "task": "site", "inputs": ["hour", "kind"], "target": "load"}
RATINGS = {"ratings": "shop.csv", "columns": {"user": "customer"}, "scale": [1, 5]}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sensors.csv").write_text("site,hour,kind,load\na,1,x,2\n")
    Path("shop.csv").write_text("customer,item,rating\na,b,1\n")


def parsed(**changes: Any) -> Params:
    """Parameters with both entries, one of them perhaps changed, and a grid on them."""
    raw = copy.deepcopy(RAW)
    raw["datasets"] = {"sensors": TABLE, "shop": RATINGS} | changes
    raw["grid"] = "own"
    raw["grids"]["own"] = copy.deepcopy(raw["grids"]["ci"]) | {
        "methods": ["maml", "amaml"],
        "settings": [{"dataset": ["sensors", "shop"], "shots": "5/5", "inner_steps": 10}],
        "studies": {},
    }
    return check_params(raw, where="p.yaml")


def test_settings_are_made_of_own_data_sets() -> None:
    params = parsed()
    assert params.active.settings == ["sensors-5shot-5val-10steps", "shop-5shot-5val-10steps"]
    assert [params.kind_of(name) for name in ("sensors", "shop")] == ["table", "ratings"]
    outputs = {artifact.output.as_posix(): artifact for artifact in grid_artifacts(params)}
    assert outputs["data/tasks/sensors.parquet"].inputs == (Path("sensors.csv"),)
    assert outputs["data/ratings/shop.parquet"].inputs == (Path("shop.csv"),)
    assert not any(name.startswith("data/raw") for name in outputs)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "datasets.new: found {}; needed a file under one of the keys `ratings` and `table`"),
        (RATINGS | TABLE, "needed a file under one of the keys"),
        ("new.csv", "needed a file under one of the keys"),
        (TABLE | {"targets": "load"}, "unknown key (value 'load'). Did you mean `target`?"),
        ({"table": "x.csv", "inputs": ["a"], "target": "b"}, "task: missing"),
        (TABLE | {"inputs": []}, "inputs"),
        (TABLE | {"target": "hour"}, "found the column 'hour' twice"),
        (TABLE | {"categories": ["minute"]}, "found 'minute', which is not among the inputs"),
        (TABLE | {"missing": "ignore"}, "not allowed"),
        (TABLE | {"delimiter": ";;"}, "delimiter"),
        (TABLE | {"loss": "crossentropy"}, "needed one of squared, huber, binary, cross_entropy"),
        (RATINGS | {"loss": "binary"}, "loss: found 'binary', needed one of squared, huber, or"),
        (RATINGS | {"scale": [5, 1]}, "scale: found [5.0, 1.0], needed a lower and a higher"),
        (RATINGS | {"scale": [1, 3, 5]}, "scale"),
        (RATINGS | {"columns": {"users": "u"}}, "Did you mean `user`?"),
        (RATINGS | {"min_ratings": 0}, "min_ratings"),
    ],
)
def test_a_fault_of_an_entry_is_named(entry: Any, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parsed(new=entry)
    assert said in str(refused.value)
    assert "datasets.new" in str(refused.value)


@pytest.mark.parametrize("loss", ["binary", "cross_entropy"])
def test_a_loss_of_classes_says_how_the_target_is_read(loss: str) -> None:
    plain = tasks_recipe(parsed(), "sensors")
    with pytest.raises(BadInput, match=r"of numbers and of classes, .*; give each a grid"):
        parsed(sensors=TABLE | {"loss": loss})  # the shop beside it is of numbers
    params = parsed(sensors=TABLE | {"loss": loss}, shop=TABLE | {"loss": loss})
    assert params.datasets["sensors"].named("sensors").loss == loss
    assert tasks_recipe(params, "sensors")["own"] == plain["own"] | {"loss": loss}
    setting = "sensors-5shot-5val-10steps"
    assert run_recipe(params, "maml", setting, 0)["loss"] == loss
    assert "loss" not in plain["own"]
    huber = parsed(sensors=TABLE | {"loss": "huber"})
    assert tasks_recipe(huber, "sensors") == plain, "numbers are read alike"


def test_names_that_are_taken_and_unknown_ones() -> None:
    with pytest.raises(BadInput, match="found 'alpine', the name of a data set that is there"):
        parsed(alpine=TABLE)
    raw = copy.deepcopy(RAW) | {"datasets": {"sensors": TABLE}}
    raw["grids"]["ci"]["settings"] = [{"dataset": "sensor", "shots": "5/5", "inner_steps": 9}]
    with pytest.raises(BadInput, match=r"found 'sensor', no data set\. Did you mean `sensors`\?"):
        check_params(raw, where="p.yaml")


def test_a_missing_file_is_told_when_its_tasks_are_wanted() -> None:
    Path("sensors.csv").unlink()
    params = parsed()
    with pytest.raises(BadInput, match=r"datasets\.sensors: found no file sensors\.csv"):
        grid_artifacts(params)


def test_content_decides_what_is_stale_not_place_or_time(tmp_path: Path) -> None:
    before = tasks_recipe(parsed(), "sensors"), ratings_recipe(parsed(), "shop")
    setting = "sensors-5shot-5val-10steps"
    run = run_recipe(parsed(), "maml", setting, 0)
    os.utime("sensors.csv", (1, 1))
    Path("elsewhere.csv").write_bytes(Path("sensors.csv").read_bytes())
    moved = parsed(sensors=TABLE | {"table": "elsewhere.csv"})
    assert tasks_recipe(moved, "sensors") == before[0]
    with Path("sensors.csv").open("a") as file:
        file.write("b,2,y,3\n")
    with Path("shop.csv").open("a") as file:
        file.write("b,b,3\n")
    assert tasks_recipe(parsed(), "sensors") != before[0]
    assert ratings_recipe(parsed(), "shop") != before[1]
    assert run_recipe(parsed(), "maml", setting, 0)["data"] != run["data"]


def test_own_ratings_keep_all_items_unless_said() -> None:
    assert tasks_recipe(parsed(), "shop")["n_items"] is None
    kept = parsed(shop=RATINGS | {"items": 7, "min_ratings": 3})
    recipe = tasks_recipe(kept, "shop")
    assert (recipe["n_items"], recipe["min_ratings"]) == (7, 3)
    assert ratings_recipe(kept, "shop") == ratings_recipe(parsed(), "shop")
