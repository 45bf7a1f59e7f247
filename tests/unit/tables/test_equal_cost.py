"""Errors against cost: hand-made curves, peak memory, companions, orders of arguments."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.seals import read_sealed, write_sealed
from pipeline.tables.equal_cost import peak_at, reference_machine
from tests import run_records
from tests.sealed_frames import write_frame
from tests.table_files import build, read, row

SETTING = "cosmixture-50shot-50val"
GRID = {"methods": ["fomaml", "maml"], "settings": [SETTING], "seeds": [0, 1]}


def write(root: Path, **changes) -> Path:
    return run_records.write_grid(root, **(GRID | changes))


def test_rows_are_validated_updates_with_the_mean_cost_of_the_seeds(tmp_path):
    write(tmp_path, methods=["fomaml"])
    path = tmp_path / "runs/fomaml" / SETTING / "1/curve.parquet"
    curve = pd.read_parquet(path)
    curve[["process_seconds", "validation_nrmse"]] *= 3.0  # twice as much on average
    curve["hvps"] += 10
    write_frame(curve, path)
    rows = read(build(tmp_path, **GRID | {"methods": ["fomaml"]}), "equal_cost")
    one = pd.read_parquet(tmp_path / "runs/fomaml" / SETTING / "0/curve.parquet")
    one = one[one["validation_nrmse"].notna()]
    assert [int(r["update"]) for r in rows] == one["update"].tolist()
    for found, (_, wanted) in zip(rows, one.iterrows(), strict=True):
        assert float(found["validation_nrmse"]) == pytest.approx(
            2 * wanted["validation_nrmse"], rel=1e-5
        )
        assert float(found["process_seconds"]) == pytest.approx(2 * wanted["process_seconds"])
        assert float(found["hvps"]) == wanted["hvps"] + 5
        assert float(found["gradient_equivalents"]) == wanted["gradients"] + 2 * wanted["hvps"] + 10
        assert found["n_seeds"] == "2"
    main = row(read(tmp_path / "tables", "main"), label="fomaml")
    assert rows[-1]["test_nrmse"] == main["nrmse"]
    assert rows[-1]["test_nrmse_stderr"] == main["nrmse_stderr"]
    assert {r["test_nrmse"] for r in rows[:-1]} == {""}


def test_errors_are_not_the_best_so_far(tmp_path):
    write(tmp_path, methods=["fomaml"], seeds=[0])
    path = tmp_path / "runs/fomaml" / SETTING / "0/curve.parquet"
    curve = pd.read_parquet(path)
    last = curve.index[curve["validation_nrmse"].notna()][-1]
    curve.loc[last, "validation_nrmse"] = 7.0
    write_frame(curve, path)
    rows = read(build(tmp_path, **GRID | {"methods": ["fomaml"], "seeds": [0]}), "equal_cost")
    assert rows[-1]["validation_nrmse"] == "7"


def test_products_that_autograd_takes_are_counted_and_the_peak_is_at_the_unrolled_steps(tmp_path):
    """20 of K = 200 steps are unrolled; the profile has 1 and 50 steps around them."""
    write(tmp_path, inner_steps=200)
    for seed in (0, 1):
        folder = tmp_path / "runs/maml" / SETTING / str(seed)
        spec = read_sealed(folder / "spec.json")
        write_sealed(folder / "spec.json", spec | {"settings": {"inner_steps": 20}})
        curve = pd.read_parquet(folder / "curve.parquet")
        write_frame(curve.assign(hvps=0), folder / "curve.parquet")
    rows = read(build(tmp_path, **GRID), "equal_cost")
    maml = [r for r in rows if r["label"] == "maml"]
    for found in maml:
        update = int(found["update"])
        assert float(found["hvps"]) == 20 * update
        assert float(found["gradient_equivalents"]) == (50 + 2 * 20) * update
    assert maml[-1]["cost_steps"] == "20"
    low, high = 2.5e6 + 1.2e6, 2.5e6 + 1.2e6 * 50
    wanted = low + (high - low) * (20 - 1) / (50 - 1)
    assert float(maml[-1]["peak_bytes"]) == pytest.approx(wanted, rel=1e-5)
    fomaml = [r for r in rows if r["label"] == "fomaml"]
    assert (fomaml[-1]["cost_steps"], float(fomaml[-1]["peak_bytes"])) == ("200", 2.5e6)


def test_no_peak_is_made_up_outside_the_profile():
    costs = [
        {"label": "maml", "inner_steps": 50, "status": "ok", "peak_bytes": 5.0},
        {"label": "maml", "inner_steps": 10, "status": "ok", "peak_bytes": 1.0},
        {"label": "maml", "inner_steps": 90, "status": "out_of_memory", "peak_bytes": None},
    ]
    assert peak_at(costs, "maml", 30) == 3.0
    assert np.isnan([peak_at(costs, "maml", steps) for steps in (9, 51, 90)]).all()
    assert np.isnan(peak_at(costs, "fomaml", 30))


def test_failed_runs_are_left_out(tmp_path):
    write(tmp_path, failed=[("maml", SETTING, 0), ("fomaml", SETTING, 0), ("fomaml", SETTING, 1)])
    rows = read(build(tmp_path, **GRID), "equal_cost")
    assert {r["label"] for r in rows} == {"maml"}
    assert {r["n_seeds"] for r in rows} == {"1"}


def test_seconds_are_those_of_the_machine_of_fomaml(tmp_path):
    """One seed elsewhere is enough; where FOMAML is not, most methods say which machine counts."""
    write(tmp_path, methods=["fomaml", "maml", "imaml"])

    def ran_on(label, seed, platform):
        file = tmp_path / "runs" / label / SETTING / str(seed) / "metrics.json"
        metrics = read_sealed(file)
        write_sealed(file, metrics | {"environment": {"platform": platform, "torch": "2.13"}})

    for label in ("fomaml", "maml", "imaml"):
        for seed in (0, 1):
            ran_on(label, seed, "here")
    ran_on("maml", 1, "there")
    rows = read(build(tmp_path, **GRID | {"methods": ["fomaml", "maml", "imaml"]}), "equal_cost")
    timed = {r["label"] for r in rows if r["process_seconds"] and r["seconds"]}
    untimed = {r["label"] for r in rows if not (r["process_seconds"] or r["seconds"])}
    assert (timed, untimed) == ({"fomaml", "imaml"}, {"maml"})
    assert {r["machine"] for r in rows if r["label"] == "maml"} == {
        "cpu, here, torch 2.13; cpu, there, torch 2.13"
    }
    assert all(r["gradient_equivalents"] and r["validation_nrmse"] for r in rows)
    assert reference_machine({"a": "x", "b": "y", "c": "y", "d": "x", "e": "z"}) == "x"
    assert reference_machine({"a": "a", "b": "a", "fomaml": "z"}) == "z"


def test_companions_bring_methods_that_trained_as_long(tmp_path):
    paper, swept = tmp_path / "paper", tmp_path / "swept"
    write(paper)
    both = ["maml_sweep", "fomaml"]
    write(swept, methods=both)
    build(swept, **GRID | {"methods": both})
    alone = read(build(paper, **GRID), "equal_cost")
    joined = read(build(paper, **GRID, companions=["missing", "test", "swept"]), "equal_cost")
    assert {r["label"] for r in alone} == {"fomaml", "maml"}
    # `build` names every grid `test`: only a table that says it is its own is taken
    assert joined == alone
    table = swept / "tables/equal_cost.csv"
    table.write_text(table.read_text().replace("\ntest,", "\nswept,"))
    joined = read(build(paper, **GRID, companions=["missing", "swept"]), "equal_cost")
    assert list(dict.fromkeys(r["label"] for r in joined)) == ["maml", "maml_sweep", "fomaml"]
    assert [r for r in joined if r["grid"] == "test"] == alone
    taken = [r for r in joined if r["grid"] == "swept"]
    assert taken == [r for r in read(swept / "tables", "equal_cost") if r["label"] == "maml_sweep"]
    write(paper, updates=60)
    longer = read(build(paper, **GRID, companions=["swept"]), "equal_cost")
    assert {r["grid"] for r in longer} == {"test"}


def test_bytes_depend_on_no_order_and_ratings_have_no_such_table(tmp_path):
    settings = [SETTING, "alpine-50shot-50val", "simulated-10shot-15val-50steps"]
    write(tmp_path, settings=settings)

    def text(**order) -> bytes:
        return (build(tmp_path, **GRID | order) / "equal_cost.csv").read_bytes()

    first = text(settings=settings)
    assert first == text(settings=settings[::-1], seeds=[1, 0], methods=["maml", "fomaml"])
    assert b"simulated" not in first
    build(tmp_path, **GRID | {"settings": settings[2:]})
    assert not (tmp_path / "tables/equal_cost.csv").exists()
