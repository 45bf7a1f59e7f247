"""The metric audit: every reading from the raw rows themselves, and its table by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.runs.records import TEST_ROWS_SCHEMA
from pipeline.tables.audit import AUDIT_COLUMNS, READINGS, Measured
from pipeline.tables.files import csv_text
from tests import run_records
from tests.table_files import SETTING, build, read, row

STD, RANGE = 1.3, 4.0


def root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))


@pytest.fixture
def raw() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(3)
    rows = {"support": 5, "query": 7}
    return {
        f"{part}_{what}": draw.uniform(1, 5, count)
        for part, count in rows.items()
        for what in ("y", "yhat")
    }


def measured(raw: dict[str, np.ndarray]) -> Measured:
    """What the record of one task holds."""
    y, error = raw["query_y"], raw["query_y"] - raw["query_yhat"]
    return Measured(
        n_query=np.array([len(y)]),
        query_std=np.array([y.std()]),
        rmse=np.array([root_mean_square(error)]),
        relative_l2=np.array([np.linalg.norm(error) / np.linalg.norm(y)]),
        mae=np.array([np.abs(error).mean()]),
        support_rmse=np.array([root_mean_square(raw["support_y"] - raw["support_yhat"])]),
        n_support=len(raw["support_y"]),
        std=STD,
        range=RANGE,
    )


def test_every_reading_from_the_rows_themselves(raw):
    y, e = raw["query_y"], raw["query_y"] - raw["query_yhat"]
    seen = raw["support_y"] - raw["support_yhat"]
    norm, n = float(np.sqrt(sum(value * value for value in e))), len(e)
    size = float(np.sqrt(sum(value * value for value in y)))
    wanted = {
        "nrmse": root_mean_square(e) / STD,
        "rmse": root_mean_square(e),
        "rmse_over_range": root_mean_square(e) / RANGE,
        "relative_l2": norm / size,
        "mae": np.mean(np.abs(e)),
        "rmse_over_own_std": root_mean_square(e) / np.std(y),
        "all_rows_nrmse": root_mean_square(np.concatenate([seen, e])) / STD,
        "seen_rows_nrmse": root_mean_square(seen) / STD,
        "norm_per_row": norm / n,
        "norm_per_row_over_std": norm / (n * STD),
        "norm_per_row_over_range": norm / (n * RANGE),
        "relative_l2_per_row": norm / (n * size),
        "mse_over_variance": np.mean(e**2) / STD**2,
        "mse_over_range_squared": np.mean(e**2) / RANGE**2,
        "relative_l2_squared": np.sum(e**2) / np.sum(y**2),
    }
    assert list(wanted) == list(READINGS)
    task = measured(raw)
    found = {name: reading.of(task).item() for name, reading in READINGS.items()}
    assert found == pytest.approx(wanted, rel=1e-12)


def test_tasks_without_spread_are_left_out_of_their_own_deviation_alone(raw):
    one = measured(raw)
    both = replace(
        one,
        **{
            name: np.repeat(getattr(one, name), 2)
            for name in ("n_query", "rmse", "relative_l2", "mae", "support_rmse")
        },
        query_std=np.array([0.5, 1e-9]),  # of equal targets, rounding may leave that much
    )
    assert both.has_spread.tolist() == [True, False]
    assert READINGS["rmse_over_own_std"].of(both) == pytest.approx(one.rmse / 0.5)
    assert all(len(r.of(both)) == 2 for n, r in READINGS.items() if n != "rmse_over_own_std")


def hand_made(predictor: str, step: int, support_rmse: float) -> pd.DataFrame:
    """Two tasks of 4 and 16 rows with RMSE 2 and 1; the targets of the second are all alike."""
    frame = run_records.task_rows(predictor, step, [1.0, 0.5])
    frame["n_query"] = [4, 16]
    frame["query_std"] = np.float32([4.0, 0.0])
    frame["relative_l2"] = np.float32([0.4, 0.2])
    frame["support_rmse"] = np.float32(support_rmse)
    return frame[TEST_ROWS_SCHEMA.names]


def write_hand_made(root: Path, seeds=(0, 1)) -> None:
    rows = pd.concat(
        [
            hand_made("meta_init", 0, 9.0),
            hand_made("meta_init", 5, 1.0),
            hand_made("untrained", 0, 9.0),
            hand_made("untrained", 5, 3.0),
            hand_made("item_mean", 0, float("nan")),
        ],
        ignore_index=True,
    )
    for seed in seeds:
        run_records.write_one(root, "amaml", SETTING, seed, rows=rows, inner_steps=5)


def test_a_row_by_hand(tmp_path):
    """Scale 2, range 4, ten support rows, which `run_records` says."""
    write_hand_made(tmp_path)
    rows = read(build(tmp_path, methods=["amaml"]), "audit")
    assert list(rows[0]) == list(AUDIT_COLUMNS)
    assert [r["label"] for r in rows] == ["amaml", "untrained", "item_mean"]
    found = row(rows, label="amaml")
    wanted = {
        "step": "5",
        "n_seeds": "2",
        "n_tasks": "4",
        "tasks_without_spread": "2",
        "nrmse": "0.75",
        "rmse": "1.5",
        "rmse_over_range": "0.375",
        "relative_l2": "0.3",
        "mae": "1.2",
        "rmse_over_own_std": "0.5",
        # sqrt((10 + 16) / 14) / 2 and sqrt((10 + 16) / 26) / 2
        "all_rows_nrmse": "0.590693",
        "seen_rows_nrmse": "0.5",
        "norm_per_row": "0.625",
        "norm_per_row_over_std": "0.3125",
        "norm_per_row_over_range": "0.15625",
        "relative_l2_per_row": "0.05625",
        "mse_over_variance": "0.625",
        "mse_over_range_squared": "0.15625",
        "relative_l2_squared": "0.1",
        "users_at_10": "",
        "target_std": "2",
    }
    assert {name: found[name] for name in wanted} == wanted
    assert row(rows, label="untrained")["seen_rows_nrmse"] == "1.5"
    trivial = row(rows, label="item_mean")
    assert (trivial["step"], trivial["nrmse"]) == ("0", "0.75")
    assert (trivial["seen_rows_nrmse"], trivial["all_rows_nrmse"]) == ("", "")


def test_bytes_depend_on_no_order_and_synthetic_settings_have_no_audit(tmp_path):
    settings = ["jester-1-10shot-15val-50steps", "cosmixture-50shot-50val", SETTING]
    methods, seeds = ["fomaml", "amaml"], [0, 1]
    run_records.write_grid(tmp_path, methods=methods, settings=settings, seeds=seeds)

    def texts(**order: list) -> list[bytes]:
        tables = build(tmp_path, **order)
        return [(tables / name).read_bytes() for name in ("audit.csv", "audit.md")]

    first = texts(methods=methods, settings=settings, seeds=seeds)
    assert first == texts(methods=methods[::-1], settings=settings[::-1], seeds=seeds[::-1])
    rows = read(tmp_path / "tables", "audit")
    assert list(dict.fromkeys(r["dataset"] for r in rows)) == ["simulated", "jester-1"]
    assert row(rows, dataset="jester-1", label="amaml")["users_at_20"] == "24983"
    build(tmp_path, methods=methods, settings=settings[1:2], seeds=seeds)
    assert not list((tmp_path / "tables").glob("audit.*"))


def test_a_failed_method_has_a_row_without_numbers(tmp_path):
    run_records.write_grid(
        tmp_path, methods=["fomaml", "amaml"], settings=[SETTING], seeds=[0],
        failed=[("amaml", SETTING, 0)],
    )  # fmt: skip
    found = row(read(build(tmp_path, seeds=[0]), "audit"), label="amaml")
    assert (found["n_seeds"], found["nrmse"], found["seen_rows_nrmse"]) == ("0", "", "")


def test_the_csv_has_a_column_for_every_reading():
    header = csv_text(AUDIT_COLUMNS, []).strip().split(",")
    assert set(READINGS) <= set(header)
