"""Effects of switched points, worked out by hand from records laid down."""

import shutil
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import BadInput
from pipeline.paper.markdown import ablation_markdown
from pipeline.seals import read_sealed, write_sealed
from pipeline.tables.ablation import ablation_rows, outcome, setting_title
from pipeline.tables.grid import read_grid
from pipeline.tables.paired import holm
from pipeline.tables.pooling import pool
from tests import varied_runs
from tests.table_files import build_with_claims

COS, ML = "cosmixture-50shot-50val", "ml-latest-small-2016-10shot-15val-50steps"
OBJECTIVE, OUTER = "amaml-inner_objective-released", "amaml-outer_optimiser-released"
METHODS = ["amaml", OBJECTIVE, OUTER, "amaml-released-all", "imaml", "imaml-released"]
SEEDS = [0, 1]
K = 5
N = 12
# released minus ours, per task of seed 0; seed 1 has half of it
SHIFT = {
    OBJECTIVE: np.linspace(0.1, 0.3, N),
    OUTER: np.linspace(-0.05, 0.05, N)[::-1],
    "amaml-released-all": np.full(N, 1.0),
    "imaml-released": np.full(N, -0.125),
}


def errors(label: str, setting: str, seed: int, step: int) -> Any:
    ours = 1.0 + 0.25 * np.arange(N) + seed + (0.5 if label.startswith("imaml") else 0.0)
    if setting.endswith("scaling-released"):
        return ours - 0.0625
    if setting.endswith("family-released"):
        return 2.0 * ours
    return ours + SHIFT.get(label, 0.0) / (1 + seed)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Do not change it: copy it (`root`)."""
    results = tmp_path_factory.mktemp("ablation") / "results"
    both = {COS: K, ML: K}
    varied_runs.write(results / "ablation", errors, methods=METHODS, settings=both, seeds=SEEDS)
    data = {f"{COS}-scaling-released": K, f"{COS}-family-released": K}
    of = {"methods": ["amaml", "imaml"], "settings": data, "seeds": SEEDS}
    varied_runs.write(results / "ablation-data", errors, **of)
    return results


@pytest.fixture
def root(made, tmp_path):
    return shutil.copytree(made, tmp_path / "results")


def rows_of(root, grid, methods=METHODS, settings=(COS, ML), companions=()) -> pd.DataFrame:
    runs = read_grid(root / grid, methods=methods, settings=settings, seeds=SEEDS)
    return pd.DataFrame(ablation_rows(grid, runs, root / grid, companions))


def data_rows(root, companions=("swept", "ablation")) -> pd.DataFrame:
    settings = [f"{COS}-scaling-released", f"{COS}-family-released"]
    return rows_of(root, "ablation-data", ["amaml", "imaml"], settings, companions)


def row(rows: pd.DataFrame, **wanted: str) -> dict[str, Any]:
    for key, value in wanted.items():
        rows = rows[rows[key] == value]
    (found,) = rows.to_dict("records")
    return found


def test_effect_of_a_method_point_is_the_mean_difference_of_the_same_tasks(root):
    rows = rows_of(root, "ablation")
    found = row(rows, setting=COS, point="inner_objective")
    # seeds' means 0.2 and 0.1; of ours 1.0 + 0.25 * 5.5 = 2.375 and 3.375
    assert found["effect"] == pytest.approx(0.15, rel=1e-5)
    assert found["nrmse_ours"] == pytest.approx(2.875)
    assert found["nrmse_released"] == pytest.approx(3.025)
    assert (found["label"], found["released"]) == ("amaml", OBJECTIVE)
    assert (found["wins"], found["losses"], found["n_pairs"], found["n_seeds"]) == (0, 24, 24, 2)
    assert (found["paired"], found["status"], found["grid"]) == (True, "ok", "ablation")
    assert found["lo"] < 0.15 < found["hi"]
    assert row(rows, setting=COS, point="imaml")["effect"] == pytest.approx(-0.09375, rel=1e-5)
    assert row(rows, setting=COS, point="all")["effect"] == pytest.approx(0.75, rel=1e-5)


def test_rows_stand_in_the_order_of_the_points_and_are_corrected_per_setting(root):
    rows = rows_of(root, "ablation")
    assert list(rows["setting"]) == [COS] * 4 + [ML] * 4
    assert list(rows["point"]) == ["inner_objective", "outer_optimiser", "imaml", "all"] * 2
    here = rows[rows["setting"] == ML]
    assert list(here["p_holm"]) == holm(list(here["p"]))
    outcomes = [outcome(row) for row in here.to_dict("records")]
    assert outcomes == ["worse", "same", "better", "worse"]


def test_scaling_is_paired_with_the_companions_runs(root):
    found = row(data_rows(root), point="scaling", label="amaml")
    assert (found["setting"], found["released"]) == (COS, f"{COS}-scaling-released")
    assert found["effect"] == pytest.approx(-0.0625, rel=1e-5)
    assert (found["paired"], found["wins"], found["losses"]) == (True, 24, 0)


def test_another_family_is_compared_by_means(root):
    found = row(data_rows(root), point="family", label="amaml")
    ours = pool([np.asarray(errors("amaml", COS, seed, K)) for seed in SEEDS])
    assert found["effect"] == pytest.approx(2.875, rel=1e-5)  # twice ours, minus ours
    assert not found["paired"]
    assert np.isnan(found["n_pairs"])
    assert found["hi"] - found["lo"] > 4 * np.hypot(ours.stderr, 2 * ours.stderr)


def test_the_grids_own_runs_of_ours_need_no_companion(root):
    varied_runs.write(
        root / "one", errors, methods=["amaml"], seeds=SEEDS,
        settings={COS: K, f"{COS}-scaling-released": K},
    )  # fmt: skip
    rows = rows_of(root, "one", ["amaml"], [COS, f"{COS}-scaling-released"])
    assert list(rows["point"]) == ["scaling"]
    assert rows["effect"][0] == pytest.approx(-0.0625, rel=1e-5)


def test_a_grid_without_variants_has_no_rows(root):
    assert rows_of(root, "ablation", ["amaml", "imaml"]).empty


def test_missing_runs_of_ours_are_named(root):
    with pytest.raises(BadInput, match=r"none of 'cosmixture-50shot-50val'.*no companions"):
        data_rows(root, companions=())
    with pytest.raises(BadInput, match=r"swept.*without imaml seed 0.*snakemake --config grid"):
        data_rows(root, companions=["swept"])


def test_runs_that_differ_in_more_than_the_point_are_refused(root):
    for seed in SEEDS:
        path = root / "ablation-data/runs/amaml" / f"{COS}-scaling-released/{seed}/spec.json"
        write_sealed(path, read_sealed(path) | {"training": {"outer_lr": 1}})
    with pytest.raises(BadInput, match=r"found training .*needed None.*one point only"):
        data_rows(root)


def test_other_test_tasks_are_refused_where_they_are_to_be_paired(root):
    def fewer(*place) -> Any:
        return errors(*place)[:-1]

    settings = {f"{COS}-scaling-released": K}
    of = {"methods": ["amaml", "imaml"], "settings": settings, "seeds": SEEDS}
    varied_runs.write(root / "ablation-data", fewer, **of)
    with pytest.raises(BadInput, match="other test tasks"):
        data_rows(root)


def test_a_failed_seed_is_left_out_and_a_failed_variant_is_shown(root):
    def failing(label: str, setting: str, seed: int, step: int) -> Any:
        gone = label == OUTER or (label == OBJECTIVE and seed == 1)
        return None if gone else errors(label, setting, seed, step)

    of = {"methods": METHODS, "settings": {COS: K}, "seeds": SEEDS}
    varied_runs.write(root / "ablation", failing, **of)
    rows = rows_of(root, "ablation", settings=[COS])
    found = row(rows, point="inner_objective")
    assert (found["status"], found["n_seeds"], found["seeds_left_out"]) == ("partly failed", 1, 1)
    assert found["effect"] == pytest.approx(0.2, rel=1e-5)
    assert found["nrmse_ours"] == pytest.approx(2.375)  # of the seed that both finished
    failed = row(rows, point="outer_optimiser")
    assert (failed["status"], failed["n_seeds"]) == ("failed", 0)
    assert np.isnan(failed["effect"])
    assert "meta-gradient norm" in failed["message"]
    assert "outer optimiser | Adam" in ablation_markdown("ablation", rows)
    assert "A-MAML: failed" in ablation_markdown("ablation", rows)


def test_diverged_tasks_leave_no_mean(root):
    def diverging(label: str, setting: str, seed: int, step: int) -> Any:
        given = errors(label, setting, seed, step)
        return np.where(np.arange(N) < 2, np.nan, given) if label == OBJECTIVE else given

    of = {"methods": METHODS, "settings": {COS: K}, "seeds": SEEDS}
    varied_runs.write(root / "ablation", diverging, **of)
    found = row(rows_of(root, "ablation", settings=[COS]), point="inner_objective")
    assert (found["status"], found["losses"]) == ("diverged", 24)
    assert not np.isfinite(found["effect"])
    assert "4 test tasks have no finite error at step 5" in found["message"]


def test_markdown_has_the_points_in_words_and_their_effects(root):
    table = pd.concat([rows_of(root, "ablation"), data_rows(root)], ignore_index=True)
    text = ablation_markdown("paper", table)
    (line,) = [line for line in text.splitlines() if line.startswith("| inner objective")]
    assert "| plain loss, no proximal term | 1/2 \\|u - theta\\|² added in" in line
    assert "A-MAML +0.15 [+" in line
    (line,) = [line for line in text.splitlines() if line.startswith("| synthetic family")]
    assert "A-MAML +2.9 [" in line
    assert "°" in line
    assert line.endswith("| – |")
    assert "effect: CosMixture, after 5 steps" in text


def test_settings_of_one_data_set_keep_their_names():
    table = pd.DataFrame({"setting": ["a-1", "a-2"], "dataset": ["alpine", "alpine"]})
    assert setting_title(table, "a-2") == "a-2"
    assert setting_title(table.iloc[:1], "a-1") == "Alpine"


def test_tables_hold_the_same_bytes_in_any_order_and_companions_tables_are_shown(root):
    def built(grid: str, methods, settings, seeds, companions) -> dict[str, bytes]:
        folder = root / grid
        of = {"methods": methods, "settings": settings, "seeds": seeds, "companions": companions}
        build_with_claims(folder, grid=grid, **of)
        names = ("ablation.csv", "ablation.md")
        return {name: (folder / "tables" / name).read_bytes() for name in names}

    data = [f"{COS}-scaling-released", f"{COS}-family-released"]
    first = built("ablation", METHODS, [COS, ML], SEEDS, [])
    assert first == built("ablation", METHODS[::-1], [ML, COS], SEEDS[::-1], [])
    second = built("ablation-data", ["amaml", "imaml"], data, SEEDS, ["ablation"])
    varied_runs.write(root / "paper", errors, methods=["amaml"], settings={COS: K}, seeds=SEEDS)
    shown = built("paper", ["amaml"], [COS], SEEDS, ["ablation-data", "ablation"])
    body = second["ablation.csv"].split(b"\n", 1)[1]
    assert shown["ablation.csv"] == first["ablation.csv"] + body
    for name in ("ablation.csv", "ablation.md"):
        assert (root / "paper/tables" / name).is_file()
    build_with_claims(root / "paper", grid="paper", methods=["amaml"], settings=[COS], seeds=SEEDS)
    assert not list((root / "paper/tables").glob("ablation.*"))
