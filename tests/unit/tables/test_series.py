"""Tables over test steps, meta-updates and inner steps."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import BadInput
from pipeline.runs.records import MAX_ROWS, kept_updates
from pipeline.seals import write_sealed
from pipeline.tables.files import cell
from tests import run_records
from tests.table_files import SETTING, build, read, row

STEPS = (0, 5)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return run_records.write_grid(
        tmp_path, methods=["fomaml", "amaml"], settings=[SETTING], inner_steps=5, steps=STEPS
    )


def test_curves_hold_trivial_predictors_flat_and_pool_all_tasks(small):
    rows = read(build(small), "curves")
    flat = [r for r in rows if r["label"] == "item_mean"]
    assert [r["step"] for r in flat] == ["0", "5"]
    assert flat[0]["nrmse"] == flat[1]["nrmse"]
    at = row(rows, label="amaml", step=5)
    frames = [
        pd.read_parquet(small / "runs" / "amaml" / SETTING / str(seed) / "test_rows.parquet")
        for seed in (0, 1)
    ]
    every = pd.concat(frames)
    picked = every[(every["predictor"] == "meta_init") & (every["step"] == 5)]
    assert (at["n"], at["n_seeds"]) == ("24", "2")
    assert at["nrmse"] == cell(float(picked["nrmse"].mean()))  # seeds of equal size


def test_training_averages_noise_between_kept_rows(tmp_path):
    run_records.write_grid(
        tmp_path, methods=["amaml"], settings=[SETTING], seeds=[0], updates=350,
        inner_steps=5, steps=STEPS,
    )  # fmt: skip
    rows = read(build(tmp_path, methods=["amaml"], seeds=[0]), "training")
    updates = [int(r["update"]) for r in rows]
    curve = pd.read_parquet(tmp_path / "runs" / "amaml" / SETTING / "0" / "curve.parquet")
    validated = curve.loc[curve["validation_nrmse"].notna(), "update"].tolist()
    assert len(rows) <= MAX_ROWS
    assert set(validated) <= set(updates)
    assert updates[-1] == 350
    between = curve[(curve["update"] > updates[-2]) & (curve["update"] <= 350)]
    assert len(between) > 1
    assert rows[-1]["meta_loss"] == cell(float(between["meta_loss"].to_numpy().mean()))
    assert rows[-1]["seconds"] == cell(float(curve["seconds"].iloc[-1]))


def test_every_update_is_kept_when_there_are_few():
    curve = pd.DataFrame({"update": [1, 2, 3], "validation_nrmse": [np.nan] * 3})
    assert kept_updates([curve]) == [1, 2, 3]


def test_costs_are_compared_with_fomaml(small):
    rows = read(build(small), "costs")
    amaml, fomaml = (row(rows, label=label, inner_steps=100) for label in ("amaml", "fomaml"))
    ratio = float(amaml["seconds"]) / float(fomaml["seconds"])
    assert float(amaml["seconds_over_fomaml"]) == pytest.approx(ratio, rel=1e-5)
    assert fomaml["seconds_over_fomaml"] == "1"
    assert amaml["peak_bytes"] == "4500000"  # a count, not rounded


def test_profiles_may_be_absent_and_out_of_memory_has_no_numbers(tmp_path):
    run_records.write_grid(
        tmp_path, methods=["maml"], settings=[SETTING], seeds=[0], inner_steps=5, steps=STEPS
    )
    entry = row(read(build(tmp_path, methods=["maml"], seeds=[0]), "costs"), inner_steps=500)
    assert (entry["status"], entry["seconds"]) == ("out_of_memory", "")
    (tmp_path / "profile" / "maml.json").unlink()
    assert read(build(tmp_path, methods=["maml"], seeds=[0]), "costs") == []


def test_a_broken_profile_is_named(small):
    write_sealed(small / "profile" / "amaml.json", {"entries": [{"inner_steps": 1}]})
    with pytest.raises(BadInput, match=r"amaml\.json: unreadable cost profile"):
        build(small)
