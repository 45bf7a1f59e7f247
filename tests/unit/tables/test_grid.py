"""A grid's runs: what is missing, or did not meet the same test rows, is refused."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.errors import BadInput
from pipeline.tables.grid import SettingRuns, read_grid
from tests import run_records
from tests.sealed_frames import write_frame

SETTING = "simulated-10shot-15val-50steps"
STEPS = (0, 5)


def read(root: Path, **changes: Any) -> list[SettingRuns]:
    grid: dict[str, Any] = {"methods": ["fomaml", "amaml"], "settings": [SETTING], "seeds": [0, 1]}
    return read_grid(root, **(grid | changes))


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return run_records.write_grid(
        tmp_path, methods=["fomaml", "amaml"], settings=[SETTING], inner_steps=5, steps=STEPS
    )


def test_runs_come_in_canonical_order(small):
    (runs,) = read(small, methods=["amaml", "fomaml"], seeds=[1, 0])
    assert runs.labels == ["fomaml", "amaml"]
    assert runs.seeds == [0, 1]
    assert runs.steps == STEPS
    assert runs.trivial == ("global_mean", "item_mean", "item_user_offset")


def test_errors_come_by_task_whatever_the_order_of_a_files_rows(small):
    change_rows(small, "amaml", lambda rows: rows.sample(frac=1, random_state=0))
    (runs,) = read(small)
    errors = runs.task_errors("amaml", 0, 5)
    assert errors is not None
    assert errors.index.tolist() == list(range(12))


def test_an_empty_grid_is_refused(small):
    with pytest.raises(BadInput, match="needed at least one of each"):
        read(small, methods=[])


def test_a_missing_run_is_named(small):
    (small / "runs" / "amaml" / SETTING / "1" / "spec.json").unlink()
    with pytest.raises(BadInput, match=rf"amaml/{SETTING}/1: found no spec\.json"):
        read(small)


def test_a_run_in_another_runs_folder_is_refused(small):
    run_records.write_one(small, "amaml", SETTING, 1, inner_steps=5, steps=STEPS)
    there = small / "runs" / "amaml" / SETTING
    (there / "1").rename(there / "2")
    with pytest.raises(BadInput, match=f"found the record of amaml/{SETTING}/1"):
        read(small, methods=["amaml"], seeds=[2])


def change_rows(root: Path, label: str, change: Any) -> None:
    path = root / "runs" / label / SETTING / "0" / "test_rows.parquet"
    write_frame(change(pd.read_parquet(path)), path)


def test_other_query_rows_are_refused(small):
    change_rows(small, "amaml", lambda rows: rows.assign(n_query=rows["n_query"] + 1))
    with pytest.raises(BadInput, match="other test rows"):
        read(small)


def test_a_missing_test_task_is_refused(small):
    change_rows(small, "amaml", lambda rows: rows[rows["task"] != 3])
    with pytest.raises(BadInput, match="without one row for each of 12"):
        read(small)


def test_a_predictor_without_a_task_is_refused(small):
    def drop(rows: pd.DataFrame) -> pd.DataFrame:
        return rows[~((rows["step"] == 5) & (rows["task"] == 3))]

    change_rows(small, "amaml", drop)
    with pytest.raises(BadInput, match="without one row for each of 12"):
        read(small)


def test_a_finished_run_without_its_own_rows_is_refused(small):
    change_rows(small, "amaml", lambda rows: rows[rows["predictor"] != "meta_init"])
    with pytest.raises(BadInput, match="no rows at step"):
        read(small)


def test_other_test_steps_are_refused(small):
    change_rows(small, "amaml", lambda rows: rows.assign(step=rows["step"] * 2))
    with pytest.raises(BadInput, match="no rows at step 5"):
        read(small)


def test_a_horizon_that_was_not_measured_is_refused(tmp_path):
    run_records.write_grid(
        tmp_path, methods=["amaml"], settings=[SETTING], inner_steps=50, steps=STEPS
    )
    with pytest.raises(BadInput, match="no rows at step 50"):
        read(tmp_path, methods=["amaml"])
