"""Tables from run records: hand-computed numbers, order independence, refusals."""

import json
from pathlib import Path

import pandas as pd
import pytest

from pipeline.config.titles import METHODS, TRIVIAL, label_order, setting_order
from tests import known_errors, run_records
from tests.known_errors import COSMIXTURE, JESTER
from tests.sealed_frames import write_frame
from tests.table_files import SETTING, build, read, row

STEPS = (0, 5)


def write_hand_made(
    root: Path, label: str, seed: int, adapted: list[float] | None, *, untrained: bool = True
) -> None:
    """K = 5; untrained 10 then 4 (or diverged), global mean 5, item mean 2 on each of two tasks."""
    frames = [
        run_records.task_rows("untrained", 0, [10.0, 10.0]),
        *([run_records.task_rows("untrained", 5, [4.0, 4.0])] if untrained else []),
        run_records.task_rows("global_mean", 0, [5.0, 5.0]),
        run_records.task_rows("item_mean", 0, [2.0, 2.0]),
    ]
    if adapted is not None:
        frames += [
            run_records.task_rows("meta_init", 0, [9.0, 9.0]),
            run_records.task_rows("meta_init", 5, adapted),
        ]
    rows = pd.concat(frames, ignore_index=True)
    run_records.write_one(
        root, label, SETTING, seed, rows=rows, inner_steps=5, failed=adapted is None
    )


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return run_records.write_grid(
        tmp_path, methods=["fomaml", "amaml"], settings=[SETTING], inner_steps=5, steps=STEPS
    )


def test_main_row_by_hand(tmp_path):
    """Means 2 and 6 over two seeds; against untrained 4 and item mean 2."""
    write_hand_made(tmp_path, "amaml", 0, [1.0, 3.0])
    write_hand_made(tmp_path, "amaml", 1, [5.0, 7.0])
    rows = read(build(tmp_path, methods=["amaml"]), "main")
    method = row(rows, label="amaml")
    assert method["kind"] == "method"
    assert method["simulated"] == "true"
    assert (method["step"], method["n_seeds"], method["n_tasks"]) == ("5", "2", "2")
    assert (method["nrmse"], method["nrmse_stderr"], method["nrmse_seed_std"]) == (
        *("4", "2", "2.82843"),
    )
    assert (method["rmse"], method["rmse_stderr"]) == ("8", "4")
    assert method["gain_over_untrained"] == "0"
    assert method["gain_over_best_trivial"] == "-100"
    untrained = row(rows, label="untrained")
    assert (untrained["nrmse"], untrained["gain_over_best_trivial"]) == ("4", "-100")
    assert untrained["gain_over_untrained"] == ""
    trivial = row(rows, label="item_mean")
    assert (trivial["kind"], trivial["step"], trivial["nrmse"]) == ("trivial", "0", "2")
    per_seed = row(read(tmp_path / "tables", "per_seed"), seed=1)
    assert (per_seed["nrmse"], per_seed["nrmse_stderr"]) == ("6", "1")
    assert (per_seed["best_trivial"], per_seed["best_trivial_nrmse"]) == ("item_mean", "2")


def test_a_failed_seed_is_shown_and_left_out_of_the_mean(tmp_path):
    write_hand_made(tmp_path, "amaml", 0, [1.0, 3.0])
    write_hand_made(tmp_path, "amaml", 1, None)
    tables = build(tmp_path, methods=["amaml"])
    method = row(read(tables, "main"), label="amaml")
    assert (method["status"], method["n_seeds"], method["n_failed"]) == ("partly failed", "1", "1")
    assert (method["nrmse"], method["nrmse_stderr"]) == ("2", "1")
    assert method["message"].startswith("seed 1: meta-gradient norm")
    text = (tables / "main.md").read_text()
    assert "meta-gradient norm" in text
    assert "(+1 failed)" in text
    assert "**" not in text.split("## ")[1]  # a mean of fewer seeds is not called the smallest


def test_a_method_that_failed_everywhere_has_no_numbers(tmp_path):
    write_hand_made(tmp_path, "amaml", 0, None)
    write_hand_made(tmp_path, "fomaml", 0, [1.0, 3.0])
    tables = build(tmp_path, seeds=[0])
    method = row(read(tables, "main"), label="amaml")
    assert (method["status"], method["nrmse"], method["gain_over_untrained"]) == ("failed", "", "")
    assert row(read(tables, "main"), label="untrained")["nrmse"] == "4"
    summary = json.loads((tables / "summary.json").read_text())
    assert "amaml" not in summary[SETTING]
    assert summary[SETTING]["fomaml"] == {"nrmse": 2.0, "rmse": 4.0}
    assert not [r for r in read(tables, "curves") if r["label"] == "amaml"]


def test_a_diverged_test_task_is_reported(tmp_path):
    write_hand_made(tmp_path, "amaml", 0, [1.0, float("nan")])
    tables = build(tmp_path, methods=["amaml"], seeds=[0])
    method = row(read(tables, "main"), label="amaml")
    assert (method["status"], method["nrmse"]) == ("diverged", "")
    assert "1 of 2 test tasks have no finite error at step 5" in method["message"]


def test_an_untrained_start_that_diverges_takes_nothing_else_along(tmp_path):
    """Seed 0 has no untrained rows at K: the pooled row is blank, not that of seed 1 alone."""
    write_hand_made(tmp_path, "amaml", 0, [1.0, 3.0], untrained=False)
    write_hand_made(tmp_path, "amaml", 1, [1.0, 3.0])
    tables = build(tmp_path, methods=["amaml"])
    untrained = row(read(tables, "main"), label="untrained")
    assert (untrained["status"], untrained["nrmse"]) == ("diverged", "")
    method = row(read(tables, "main"), label="amaml")
    assert (method["nrmse"], method["gain_over_untrained"]) == ("2", "")
    assert method["gain_over_best_trivial"] == "0"
    curves = read(tables, "curves")
    assert row(curves, label="untrained", step=5)["nrmse"] == ""
    assert row(curves, label="untrained", step=0)["nrmse"] == "10"


def test_a_setting_where_everything_diverged_is_still_tabled(tmp_path):
    write_hand_made(tmp_path, "amaml", 0, None, untrained=False)
    rows = read(build(tmp_path, methods=["amaml"], seeds=[0]), "main")
    assert [r["status"] for r in rows] == ["failed", "diverged", "ok", "ok"]


def test_bytes_do_not_depend_on_the_order_of_arguments_or_rows(small):
    def contents() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted((small / "tables").iterdir())}

    build(small)
    first = contents()
    assert set(first) == {
        *("main.csv", "main.md", "per_seed.csv", "curves.csv", "training.csv", "costs.csv"),
        *("comparisons.csv", "claims.csv", "claims.md", "audit.csv", "audit.md", "summary.json"),
    }
    for label in ("fomaml", "amaml"):
        path = small / "runs" / label / SETTING / "1" / "test_rows.parquet"
        write_frame(pd.read_parquet(path).sample(frac=1, random_state=0), path)
    build(small, methods=["amaml", "fomaml"], seeds=[1, 0])
    assert contents() == first


def test_markdown_labels_simulated_data_and_marks_the_best(small):
    text = (build(small) / "main.md").read_text()
    assert f"## {SETTING} (SIMULATED data)" in text
    body = text.split("## ")[1]
    marked = [line for line in body.splitlines() if "**" in line]
    assert len(marked) == 1
    assert "`amaml`" in marked[0]
    assert "†" not in body  # fomaml is worse on 24 tasks
    lines = body.splitlines()
    places = [
        next(i for i, line in enumerate(lines) if name in line)
        for name in ("(`amaml`)", "| untrained |", "`global_mean`", "`item_mean`")
    ]
    assert places == sorted(places)


def test_what_does_not_differ_from_the_best_has_a_dagger(tmp_path):
    write_hand_made(tmp_path, "amaml", 0, [1.0, 3.0])
    write_hand_made(tmp_path, "fomaml", 0, [1.0, 4.0])
    tables = build(tmp_path, seeds=[0])
    rows = read(tables, "main")
    marks = {r["label"]: (r["best"], r["not_worse_than_best"]) for r in rows}
    assert marks["amaml"] == ("true", "true")
    assert marks["fomaml"] == ("false", "true")
    assert marks["untrained"] == marks["item_mean"] == ("", "")
    text = (tables / "main.md").read_text()
    assert "| **2 ± 1** |" in text
    assert "| 2.5 ± 1.5 † |" in text


def test_statistics_are_written_and_agree_with_one_another(tmp_path):
    """Some runs failed; every mark of main.csv is in comparisons.csv."""
    failed = [("maml", JESTER, 0), ("imaml", JESTER, 0), ("imaml", JESTER, 1)]
    settings = [COSMIXTURE, JESTER]
    known_errors.write(tmp_path, settings=settings, failed=failed)
    tables = build(tmp_path, methods=known_errors.METHODS, settings=settings)
    comparisons = read(tables, "comparisons")
    pair = {"setting": JESTER, "step": known_errors.K, "reference": "amaml"}
    assert row(comparisons, **pair, other="maml")["seeds_left_out"] == "1"
    assert not [r for r in comparisons if r["setting"] == JESTER and r["other"] == "imaml"]
    for method in (r for r in read(tables, "main") if r["not_worse_than_best"] == "false"):
        places = {"setting": method["setting"], "other": method["label"]}
        against = {"step": known_errors.K, "reference_is_best": "true"}
        if method["status"] == "ok":
            assert float(row(comparisons, **places, **against)["p_holm"]) < 0.05
    claims = read(tables, "claims")
    assert {r["why"] for r in claims if r["setting"] in settings} == {"smoke run"}, "two seeds"


def test_a_predictor_that_a_grid_asks_for_stands_in_every_table(small):
    """The lead is over the best of all predictors, and what is best is no longer called trivial."""
    before = build(small)
    trivial = read(before, "main")
    assert "vs best trivial" in (before / "main.md").read_text()
    run_records.ask_for(small, SETTING, "gaussian_items", 0.1)
    tables = build(small)
    rows = read(tables, "main")
    own = row(rows, label="gaussian_items")
    assert (own["kind"], own["nrmse"], own["step"]) == ("trivial", "0.1", "0")
    for method in ("fomaml", "amaml", "untrained"):
        found, was = (row(of, label=method) for of in (rows, trivial))
        gain = 100 * (1 - float(found["nrmse"]) / 0.1)
        assert float(found["gain_over_best_trivial"]) == pytest.approx(gain, rel=1e-4)
        assert gain < float(was["gain_over_best_trivial"])
    assert {r["best_trivial"] for r in read(tables, "per_seed")} == {"gaussian_items"}
    for name, column in (("comparisons", "other"), ("curves", "label")):
        assert "gaussian_items" in {r[column] for r in read(tables, name)}
    text = (tables / "main.md").read_text()
    assert "vs best predictor" in text
    assert "| Gaussian items (`gaussian_items`) |" in text
    assert "| item mean (`item_mean`), trivial |" in text


def test_canonical_order():
    known = sorted(["reptile", "zeta10", "zeta2", "global_mean", "maml"], key=label_order)
    assert known == ["maml", "reptile", "zeta2", "zeta10", "global_mean"]
    assert next(iter(METHODS)) == "maml"
    assert not set(METHODS) & set(TRIVIAL)
    assert setting_order("alpine", "alpine-50shot") < setting_order("alpine", "alpine-100shot")
    assert setting_order("cosmixture", "x") < setting_order("alpine", "a")
