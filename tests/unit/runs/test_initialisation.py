"""An initialisation from its file gives what the meta-test of its run gave, task by task."""

import csv
import io
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli import app
from pipeline.data.episodes import load_episodes
from pipeline.data.schemas import read_metadata
from pipeline.errors import BadInput
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.job import run
from pipeline.runs.records import read_run
from tests.unit.tiny_runs import INNER_STEPS, RATINGS, SYNTHETIC, make_files, recipe

Made = tuple[Path, Path, Path]  # tasks, episodes, folder of the run


@pytest.fixture(scope="module", params=[SYNTHETIC, RATINGS], ids=["numbers", "items"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    root = tmp_path_factory.mktemp("made")
    tasks, episodes = make_files(root, request.param)
    given = recipe("reptile", request.param) | {"dtype": "float64"}
    run(given, tasks, episodes, root / "run", device="cpu")
    return tasks, episodes, root / "run"


def rows_of(made: Made, place: int) -> tuple[np.ndarray, ...]:
    """Support and query of a test task, in raw units, without padding."""
    episodes = load_episodes(made[0], made[1])
    given, scaling = episodes.test, episodes.scaling
    support, query = given.s_weight[place] > 0, given.q_weight[place] > 0
    x, qx = given.sx[place][support], given.qx[place][query]
    if not episodes.n_items:
        x, qx = (part * scaling.x_std + scaling.x_mean for part in (x, qx))
    y, qy = (scaling.to_raw_y(part) for part in (given.sy[place][support], given.qy[place][query]))
    return x, y, qx, qy


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


def write(path: Path, header: list[str], *columns: Any) -> Path:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *zip(*columns, strict=True)])
    return path


def files_of(made: Made, folder: Path) -> tuple[Path, Path, np.ndarray]:
    """Support and query files of the first test task, and what is right there."""
    x, y, qx, qy = rows_of(made, 0)
    if x.ndim == 1:
        names = np.array(read_metadata(made[0])["item_ids"])
        parts, asked, header = [names[x]], [names[qx]], ["item"]
        target = "rating"
    else:
        parts, asked, header, target = [*x.T], [*qx.T], ["x0", "x1"], "y"
    support = write(folder / "support.csv", [*header, target], *parts, y)
    query = write(folder / "query.csv", [*header, target], *asked, qy)
    return support, query, qy


def test_the_command_prints_predictions_and_how_good_they_are(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    support, query, right = files_of(made, tmp_path)
    app(["adapt", str(made[2]), str(support), str(query)], standalone_mode=False)
    said = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(said.out)))
    found = np.array([float(row["prediction"]) for row in rows])
    x, y, qx, _ = rows_of(made, 0)
    np.testing.assert_allclose(found, Initialisation.read(made[2]).adapt(x, y, qx), rtol=1e-5)
    unit = Initialisation.read(made[2]).about["scaling"]["target_std"]
    nrmse = np.sqrt(np.mean((found - right) ** 2)) / unit
    assert f"nRMSE {nrmse:.4f}" in said.err

    out = tmp_path / "out.csv"
    app(["adapt", str(made[2]), str(support), "--steps", "0", "--out", str(out)],
        standalone_mode=False)  # fmt: skip
    lines = out.read_text().splitlines()
    assert len(lines) == len(y) + 1


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


@pytest.mark.parametrize("column", [0, -1])
@pytest.mark.parametrize("fault", ["gone", "text", "empty"])
def test_faulty_support_files_are_refused(
    made: Made, tmp_path: Path, column: int, fault: str
) -> None:
    support, query, _ = files_of(made, tmp_path)
    lines = [line.split(",") for line in support.read_text().splitlines()]
    if fault == "gone":
        lines = [
            [v for place, v in enumerate(line) if place != column % len(line)] for line in lines
        ]
    elif lines[0][column] == "item" and fault == "text":
        pytest.skip("items are texts")
    else:
        lines[2][column] = "" if fault == "empty" else "many"
    support.write_text("\n".join(",".join(line) for line in lines))
    with pytest.raises(BadInput, match=r"support\.csv: (found no column|line 3: column)"):
        app(["adapt", str(made[2]), str(support), str(query)], standalone_mode=False)


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
