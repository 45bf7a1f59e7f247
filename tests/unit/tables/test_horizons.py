"""Long horizons and early stopping from errors laid down by task, horizon and step."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import BadInput
from pipeline.tables.grid import read_grid
from pipeline.tables.horizons import early_rows, horizon_rows
from pipeline.tables.paired import holm
from tests import varied_runs
from tests.table_files import build_with_claims

BASE = "cosmixture-100shot-100val"
SETTINGS = {f"{BASE}-200steps": 200, BASE: 500, f"{BASE}-2000steps": 2000}
METHODS = ["amaml_rkc", "amaml_rkc-early", "amaml_anytime"]
STEPS = [0, 10, 200, 500, 2000]
SEEDS = [0, 1]
N = 8
HARD = np.arange(1, N + 1) / 4.5  # mean 1
# mean error by K and step: long training starts worse, and is best at 500
LEVELS = {
    200: {0: 4.0, 10: 1.0, 200: 0.5, 500: 0.75, 2000: 1.0},
    500: {0: 5.0, 10: 2.0, 200: 0.75, 500: 0.25, 2000: 0.5},
    2000: {0: 6.0, 10: 3.0, 200: 1.0, 500: 0.5, 2000: 0.375},
}


def errors(label: str, setting: str, seed: int, step: int) -> Any:
    level = LEVELS[SETTINGS[setting]][step] * HARD
    if label == "amaml_rkc-early":
        return level * (0.9 if SETTINGS[setting] > 200 else 1.1)
    return level + (0.125 if label == "amaml_anytime" else 0.0)


def write(root, of=errors, settings=SETTINGS):
    varied_runs.write(
        root, of, methods=METHODS, settings=settings, seeds=SEEDS, steps=STEPS
    )  # fmt: skip
    return root


def read(root, settings=SETTINGS):
    return read_grid(root, methods=METHODS, settings=settings, seeds=SEEDS)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return read(write(tmp_path_factory.mktemp("results") / "horizons"))


@pytest.fixture(scope="module")
def rows(runs) -> pd.DataFrame:
    return pd.DataFrame(horizon_rows("horizons", runs))


def at(rows: pd.DataFrame, label: str, inner_steps: int, step: int) -> dict[str, Any]:
    picked = rows["label"].eq(label) & rows["inner_steps"].eq(inner_steps) & rows["step"].eq(step)
    (found,) = rows[picked].to_dict("records")
    return found


def test_every_method_horizon_and_step_has_a_row(rows):
    assert len(rows) == len(METHODS) * len(SETTINGS) * len(STEPS)
    found = at(rows, "amaml_rkc", 500, 200)
    assert found["nrmse"] == pytest.approx(0.75)
    assert found["nrmse_stderr"] == pytest.approx(0.75 * HARD.std(ddof=1) / (2 * N) ** 0.5)
    assert (found["setting"], found["horizon"], found["n_seeds"]) == (BASE, 5.0, 2)
    assert [bool(at(rows, "amaml_rkc", 500, s)["own"]) for s in (200, 500)] == [False, True]


def test_best_step_is_of_a_line_and_best_horizon_of_a_step(rows):
    rkc = rows[rows["label"] == "amaml_rkc"]
    steps = rkc[rkc["best_step"]].set_index("inner_steps")["step"].to_dict()
    assert steps == {200: 200, 500: 500, 2000: 2000}
    best = rkc[rkc["best_horizon"]].set_index("step")["inner_steps"].to_dict()
    assert best == {0: 200, 10: 200, 200: 200, 500: 500, 2000: 2000}


def test_a_horizon_is_compared_with_the_next_shorter_one_at_the_same_step(rows):
    found = at(rows, "amaml_anytime", 2000, 2000)
    assert found["shorter"] == 500
    assert found["difference"] == pytest.approx(-0.125)  # 0.375 against 0.5
    assert (found["wins"], found["losses"], found["n_pairs"]) == (16, 0, 16)
    worse = at(rows, "amaml_rkc", 500, 10)
    assert worse["difference"] == pytest.approx(1.0)
    shortest = at(rows, "amaml_rkc", 200, 10)
    assert np.isnan(shortest["difference"])
    pair = [at(rows, "amaml_rkc", k, 10) for k in (500, 2000)]
    assert [row["p_holm"] for row in pair] == holm([row["p"] for row in pair])


def test_early_stopping_is_compared_with_the_fixed_horizon_of_its_setting(runs):
    found = pd.DataFrame(early_rows("horizons", runs))
    assert set(found["label"]) == {"amaml_rkc-early"}
    assert set(found["fixed"]) == {"amaml_rkc"}
    row = at(found, "amaml_rkc-early", 500, 500)
    assert row["difference"] == pytest.approx(-0.025)
    assert (row["nrmse_fixed"], row["nrmse_early"]) == pytest.approx((0.25, 0.225))
    assert (row["wins"], row["losses"]) == (16, 0)
    family = [at(found, "amaml_rkc-early", k, 10) for k in LEVELS]
    assert [row["p_holm"] for row in family] == holm([row["p"] for row in family])


def test_one_horizon_alone_or_ratings_have_no_rows(tmp_path):
    one = {BASE: 500}
    runs = read(write(tmp_path / "one", settings=one), one)
    assert horizon_rows("one", runs) == early_rows("one", runs) == []
    ratings = {"jester-1-10shot-15val-50steps": 50, "jester-1-10shot-15val-100steps": 100}

    def flat(label: str, setting: str, seed: int, step: int) -> Any:
        return HARD

    varied_runs.write(
        tmp_path / "two", flat, methods=METHODS, settings=ratings, seeds=SEEDS, steps=[0, 50, 100]
    )
    assert horizon_rows("two", read(tmp_path / "two", ratings)) == []


def test_a_method_that_failed_in_a_seed_leads_nowhere(tmp_path):
    def failing(label: str, setting: str, seed: int, step: int) -> Any:
        gone = seed == 1 and setting == BASE and label == "amaml_rkc"
        return None if gone else errors(label, setting, seed, step)

    found = pd.DataFrame(horizon_rows("horizons", read(write(tmp_path / "horizons", failing))))
    row = at(found, "amaml_rkc", 500, 500)
    assert (row["n_seeds"], row["n_failed"], row["best_horizon"]) == (1, 1, False)
    assert at(found, "amaml_rkc", 2000, 500)["best_horizon"]
    assert at(found, "amaml_rkc", 2000, 500)["n_pairs"] == N  # of the seed that both finished


def test_other_test_tasks_are_refused(tmp_path):
    def fewer(label: str, setting: str, seed: int, step: int) -> Any:
        given = errors(label, setting, seed, step)
        return given[1:] if setting == BASE else given

    with pytest.raises(BadInput, match=r"other test tasks than in .*200steps.*inner_steps"):
        horizon_rows("horizons", read(write(tmp_path / "horizons", fewer)))


def test_tables_hold_the_same_bytes_in_any_order_and_go_with_the_grid(tmp_path):
    root = write(tmp_path / "horizons")

    def built(order: int) -> dict[str, bytes]:
        of = {
            "methods": METHODS[::order],
            "settings": [*SETTINGS][::order],
            "seeds": SEEDS[::order],
        }
        build_with_claims(root, grid="horizons", **of)
        names = ("horizons.csv", "early_stopping.csv")
        return {name: (root / "tables" / name).read_bytes() for name in names}

    first = built(1)
    assert first == built(-1)
    build_with_claims(root, grid="horizons", methods=METHODS, settings=[BASE], seeds=SEEDS)
    assert not (root / "tables/horizons.csv").exists()
