"""Rows as people have them, in files and in memory, through a trained initialisation."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.cli import app
from pipeline.errors import BadInput
from pipeline.runs.initialisation import Initialisation
from pipeline.runs.use import adapt_to, locate
from pipeline.runs.weights import write_arrays
from tests.unit import trained
from tests.unit.tiny_runs import RATINGS, SYNTHETIC
from tests.unit.trained import Made, files_of, rows_of


@pytest.fixture(scope="module", params=[SYNTHETIC, RATINGS], ids=["numbers", "items"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return trained.make(tmp_path_factory.mktemp("made"), request.param)


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


def command(*arguments: object) -> None:
    app(["adapt", *map(str, arguments)], standalone_mode=False)


def test_python_gives_what_the_command_prints(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    support, query, _ = files_of(made, tmp_path)
    command(made[2], support, query, "--steps", 2)
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    found = adapt_to(made[2], pd.read_csv(support), pd.read_csv(query), steps=2)
    pd.testing.assert_frame_equal(found, printed, rtol=1e-5)


def test_the_querys_rows_are_printed_as_they_are_given(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    support, query, _ = files_of(made, tmp_path)
    frame = pd.read_csv(query, dtype=str).drop(columns=["y", "rating"], errors="ignore")
    frame.insert(0, "title", ["Ode, an", "007"] * (len(frame) // 2) + ["x"] * (len(frame) % 2))
    frame.to_csv(query, index=False)
    command(made[2], support, query)
    said = capsys.readouterr()
    printed = pd.read_csv(io.StringIO(said.out), dtype=str)
    assert list(printed["title"]) == list(frame["title"])
    pd.testing.assert_frame_equal(printed[list(frame)], frame)
    assert "nRMSE" not in said.err


def several(made: Made, folder: Path) -> tuple[Path, Path, list[np.ndarray]]:
    """Rows of three tasks in one file, shuffled, and what each task alone gets."""
    task = Initialisation.read(made[2]).about["task"]
    parts: tuple[list[pd.DataFrame], list[pd.DataFrame]] = ([], [])
    alone = []
    for place in range(3):
        files = files_of(made, folder, place)[:2]
        frames = [pd.read_csv(file) for file in files]
        alone.append(adapt_to(made[2], *frames)["prediction"].to_numpy())
        for part, frame in zip(parts, frames, strict=True):
            part.append(frame.assign(**{task: 10 - place}))
    for name, part in zip(("support.csv", "query.csv"), parts, strict=True):
        pd.concat(part).sample(frac=1, random_state=0).sort_index().to_csv(
            folder / name, index=False
        )
    return folder / "support.csv", folder / "query.csv", alone


def test_several_tasks_are_each_trained_on_their_own_rows(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    support, query, alone = several(made, tmp_path)
    command(made[2], support, query)
    said = capsys.readouterr()
    printed = pd.read_csv(io.StringIO(said.out))
    task = Initialisation.read(made[2]).about["task"]
    for place, right in enumerate(alone):
        own = printed[printed[task] == 10 - place]["prediction"]
        np.testing.assert_allclose(np.sort(own), np.sort(right), rtol=1e-5)
    assert "of 3 tasks" in said.err

    frames = pd.read_csv(support), pd.read_csv(query)
    with pytest.raises(BadInput, match=f"query: found no column '{task}'"):
        adapt_to(made[2], frames[0], frames[1].drop(columns=task))
    with pytest.raises(BadInput, match=r"query: row \d+: .*the task '10', which has no support"):
        adapt_to(made[2], frames[0][frames[0][task] != 10], frames[1])
    frames[1].loc[1, task] = np.nan
    with pytest.raises(BadInput, match=f"query: row 2: column '{task}': found no value"):
        adapt_to(made[2], *frames)


def test_tables_in_memory_are_held_to_what_files_are(made: Made, tmp_path: Path) -> None:
    support, query, _ = files_of(made, tmp_path)
    frames = [pd.read_csv(support), pd.read_csv(query)]
    start = Initialisation.read(made[2])
    target, column = start.about["target"], next(iter(start.columns))
    whole = adapt_to(start, *frames)["prediction"]
    mixed = frames[0].astype(object)
    np.testing.assert_array_equal(adapt_to(start, mixed, frames[1])["prediction"], whole)
    one = adapt_to(start, frames[0].head(1), frames[1].head(1))
    assert len(one) == 1
    assert np.isfinite(one["prediction"]).all()

    with pytest.raises(BadInput, match="support: found no rows"):
        adapt_to(start, frames[0].head(0), frames[1])
    for fault, said in (
        (frames[0].drop(columns=column), f"support: found no column '{column}'"),
        (frames[0].drop(columns=target), f"support: found no column '{target}'"),
        (mixed.assign(**{target: [None, *frames[0][target][1:]]}), "row 1: .*found no value"),
        (mixed.assign(**{target: ["many", *frames[0][target][1:]]}), "row 1: .*found 'many'"),
        (mixed.assign(**{target: [[1], *frames[0][target][1:]]}), r"row 1: .*found '\[1\]'"),
        (mixed.assign(**{column: [*frames[0][column][:-1], None]}), rf"row {len(mixed)}: column"),
    ):
        with pytest.raises(BadInput, match=said):
            adapt_to(start, fault, frames[1])
    for steps in (-1, 2.5, True):
        with pytest.raises(BadInput, match="steps: found"):
            adapt_to(start, *frames, steps=steps)  # type: ignore[arg-type]


def test_an_unknown_item_is_marked(made: Made, tmp_path: Path) -> None:
    start = Initialisation.read(made[2])
    if start.items is None:
        pytest.skip("of items")
    support, query, _ = files_of(made, tmp_path)
    asked = pd.read_csv(query).astype({"item": str}).head(2)
    asked.loc[1, "item"] = "nobody has it"
    found = adapt_to(start, pd.read_csv(support), asked)
    assert list(found["known"]) == ["yes", "no"]
    assert found["prediction"][1] == start.about["scaling"]["y_mean"]


def test_a_support_row_that_is_not_trained_on_is_not_counted(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if Initialisation.read(made[2]).items is None:
        pytest.skip("of items")
    support, query, _ = files_of(made, tmp_path)
    frame = pd.read_csv(support).astype({"item": str})
    frame.loc[0, "item"] = "nobody has it"
    frame.to_csv(support, index=False)
    command(made[2], support, query)
    words = f"trained on {len(frame) - 1} rows (1 of items that training did not have left out), "
    assert words in capsys.readouterr().err


def test_a_champion_is_found_by_grid_and_setting(made: Made, tmp_path: Path) -> None:
    file = tmp_path / "results/own/champions/sensors-5shot.safetensors"
    Initialisation.read(made[2]).write(file)
    assert locate("own/sensors-5shot", tmp_path / "results") == file
    assert locate(made[2]) == made[2]
    with pytest.raises(BadInput, match=r"own/sensor-5shot.*Did you mean `own/sensors-5shot`"):
        locate("own/sensor-5shot", tmp_path / "results")
    with pytest.raises(BadInput, match=r"none is there\. `python -m pipeline promote other`"):
        locate("other/sensors-5shot", tmp_path / "results")


@pytest.mark.parametrize("without", ["support.csv", "query.csv"])
def test_task_ids_in_one_file_alone_are_refused(made: Made, tmp_path: Path, without: str) -> None:
    support, query, _ = several(made, tmp_path)
    task = Initialisation.read(made[2]).about["task"]
    file = tmp_path / without
    pd.read_csv(file).drop(columns=task).to_csv(file, index=False)
    with pytest.raises(BadInput, match=rf"{without}: found no column '{task}', which"):
        command(made[2], support, query)


def test_a_delimiter_is_one_character(made: Made, tmp_path: Path) -> None:
    support, query, _ = files_of(made, tmp_path)
    with pytest.raises(BadInput, match="delimiter: found ';;', needed one ASCII character"):
        command(made[2], support, query, "--delimiter", ";;")


def test_a_link_and_a_device_stay_what_they_are(made: Made, tmp_path: Path) -> None:
    support, query, _ = files_of(made, tmp_path)
    (tmp_path / "link.csv").symlink_to(tmp_path / "target.csv")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    command(made[2], support, query, "--out", tmp_path / "link.csv")
    command(made[2], support, query, "--out", pipe)
    assert (tmp_path / "link.csv").is_symlink()
    assert pipe.is_fifo()
    assert os.read(reader, 1 << 16).decode() == (tmp_path / "target.csv").read_text()
    os.close(reader)


def test_predictions_can_be_fed_back_in(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    support, query, _ = files_of(made, tmp_path)
    command(made[2], support, query, "--out", tmp_path / "first.csv")
    command(made[2], support, tmp_path / "first.csv", "--out", tmp_path / "second.csv")
    assert (tmp_path / "second.csv").read_text() == (tmp_path / "first.csv").read_text()


def test_a_name_in_other_case_is_guessed(made: Made, tmp_path: Path) -> None:
    support, query, _ = files_of(made, tmp_path)
    frame = pd.read_csv(support)
    column = frame.columns[0]
    frame.rename(columns={column: column.upper()}).to_csv(support, index=False)
    with pytest.raises(BadInput, match=f"no column '{column}'. Did you mean `{column.upper()}`"):
        command(made[2], support, query)


def test_tensors_of_something_else_are_no_initialisation(tmp_path: Path) -> None:
    write_arrays(tmp_path / "other.safetensors", {"weight": np.zeros(3)}, {})
    with pytest.raises(BadInput, match="tensors of something else: weight"):
        Initialisation.read(tmp_path / "other.safetensors")
