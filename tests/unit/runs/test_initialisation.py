"""An initialisation from its file gives what the meta-test of its run gave, task by task."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.episodes import load_episodes
from pipeline.errors import BadInput
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.records import read_run, write_run
from tests.unit import trained
from tests.unit.tiny_runs import INNER_STEPS, RATINGS, SYNTHETIC
from tests.unit.trained import Made, rows_of


@pytest.fixture(scope="module", params=[SYNTHETIC, RATINGS], ids=["numbers", "items"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return trained.make(tmp_path_factory.mktemp("made"), request.param)


def test_predictions_are_those_of_the_meta_test(made: Made, tmp_path: Path) -> None:
    """Also from a copy of the file, which is all that is needed."""
    copied = tmp_path / "mine.safetensors"
    shutil.copy(made[2] / "meta_init.safetensors", copied)
    start = Initialisation.read(copied)
    rows = read_run(made[2]).test_rows
    at_k = rows[rows["step"] == INNER_STEPS].set_index("task")["rmse"]
    for place, task in enumerate(load_episodes(made[0], made[1]).test.tasks):
        x, y, qx, qy = rows_of(made, place)
        found = start.adapt(x, y, qx)
        rmse = np.sqrt(np.mean((found - qy) ** 2))
        assert rmse == pytest.approx(at_k[task], rel=1e-5)
    assert start.about["nrmse"] == read_run(made[2]).metrics["nrmse"]


def test_items_that_training_did_not_have(made: Made, tmp_path: Path) -> None:
    start = Initialisation.read(made[2])
    if start.items is None:
        pytest.skip("of items")
    x, y, _, _ = rows_of(made, 0)
    mean = start.about["scaling"]["y_mean"]
    plain = start.adapt(x, y, np.array([0]))
    found = start.adapt(np.append(x, -1), np.append(y, 1.0), np.array([-1, 0]))
    assert found[0] == pytest.approx(mean)
    assert found[1] == plain[0]
    with pytest.raises(BadInput, match="no support row"):
        start.adapt(np.array([-1]), np.array([1.0]), np.array([0]))


def test_what_is_no_initialisation_is_refused(made: Made, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"nothing")
    for path, said in (
        (tmp_path, "found no initialisation"),
        (tmp_path / "gone.safetensors", "found no initialisation"),
        (other, "no readable initialisation"),
    ):
        with pytest.raises(BadInput, match=said):
            Initialisation.read(path)


def test_a_written_file_gives_the_same_and_a_damaged_one_is_refused(
    made: Made, tmp_path: Path
) -> None:
    start, file = Initialisation.read(made[2]), tmp_path / "champion.safetensors"
    start.write(file)
    first = file.read_bytes()
    again = Initialisation.read(file)
    again.write(file)
    assert file.read_bytes() == first
    x, y, qx, _ = rows_of(made, 0)
    np.testing.assert_array_equal(again.adapt(x, y, qx), start.adapt(x, y, qx))
    for damaged in (first[:-9], first[:-1] + bytes([first[-1] ^ 1]), first[:40], b""):
        file.write_bytes(damaged)
        with pytest.raises(BadInput, match="no readable initialisation"):
            Initialisation.read(file)


def test_a_run_without_weights_names_the_command_that_trains_it(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "results/paper/runs/reptile/tiny/0"
    record = read_run(made[2])
    parts = {name: getattr(record, name) for name in ("spec", "metrics", "curve", "test_rows")}
    write_run(folder, **parts, theta=None)
    with pytest.raises(BadInput, match="found no weights") as raised:
        Initialisation.read(folder)
    spec = record.spec
    assert (
        f"`python -m pipeline meta-train data/tasks/{spec['dataset']}.parquet "
        f"data/episodes/{spec['setting']}/0.parquet results/paper/runs/reptile/{spec['setting']}/0 "
        f"--grid paper --method reptile --setting {spec['setting']} --seed 0`"
    ) in str(raised.value)
