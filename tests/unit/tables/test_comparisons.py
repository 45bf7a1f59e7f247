"""Who is compared with whom, on which seeds, and what is marked in the main table."""

import math

import numpy as np
import pandas as pd
import pytest

from pipeline.config.titles import label_order
from pipeline.tables.comparisons import (
    COMPARISON_COLUMNS,
    Comparisons,
    is_better,
    is_worse,
    mark_best,
)
from pipeline.tables.grid import read_grid
from pipeline.tables.main import main_rows
from pipeline.tables.paired import holm
from tests import run_records
from tests.known_errors import COSMIXTURE, JESTER, LEVELS, METHODS, K, compared


def write_pairs(root, errors, setting=JESTER):
    """One setting at steps 0 and K: errors[label][seed] per task, None of a failed run."""
    for label, by_seed in errors.items():
        for seed, values in by_seed.items():
            n = max(len(v) for e in errors.values() for v in e.values() if v is not None)
            frames = [
                run_records.task_rows("untrained", 0, [9.0] * n),
                run_records.task_rows("untrained", K, [8.0] * n),
                run_records.task_rows("global_mean", 0, [5.0] * n),
            ]
            if values is not None:
                frames += [run_records.task_rows("meta_init", s, values) for s in (0, K)]
            run_records.write_one(
                *(root, label, setting, seed),
                rows=pd.concat(frames, ignore_index=True),
                failed=values is None,
                inner_steps=K,
            )


@pytest.fixture
def pairs(tmp_path):
    """Compare hand-made errors of one setting."""

    def build(errors):
        write_pairs(tmp_path, errors)
        seeds = next(iter(errors.values()))
        (runs,) = read_grid(tmp_path, methods=errors, settings=[JESTER], seeds=seeds)
        return Comparisons(runs)

    return build


def test_a_comparison_by_hand(pairs):
    found = pairs(
        {
            "amaml": {0: [1.0, 2.0, 3.0, 4.0], 1: [1.0, 2.0, 3.0, 4.0]},
            "fomaml": {0: [2.0, 4.0, 6.0, 3.0], 1: [1.5, 3.5, 5.5, 9.0]},
        }
    )
    row = found.row(K, "amaml", "fomaml")
    assert set(row) == set(COMPARISON_COLUMNS)
    assert row["difference"] == pytest.approx((-1.25 - 2.375) / 2)
    assert row["lo"] < row["difference"] < row["hi"]
    assert (row["wins"], row["ties"], row["losses"]) == (7, 0, 1)
    assert (row["n_pairs"], row["n_seeds"], row["seeds_left_out"]) == (8, 2, 0)
    assert row["seeds_agreeing"] == 2
    family = [r for r in found.rows if r["step"] == K and r["reference"] == "amaml"]
    assert [r["other"] for r in family] == ["fomaml", "untrained", "global_mean"]
    assert [r["p_holm"] for r in family] == pytest.approx(holm([r["p"] for r in family]))


def test_references_are_ours_the_best_and_what_claims_need():
    level = {"reptile": 0.1}
    (found,) = compared(lambda label, *_: level.get(label, LEVELS[label]), settings=[COSMIXTURE])
    references = {
        step: {r["reference"] for r in found.rows if r["step"] == step} for step in (0, K, 50)
    }
    ours = {"amaml", "amaml_anytime", "amaml_rkc"}
    assert references[50] == ours | {"reptile"}
    assert references[0] == ours | {"reptile", "imaml"}
    assert references[K] == ours | {"reptile", "imaml", "maml"}
    assert {r["reference"] for r in found.rows if r["reference_is_best"]} == {"reptile"}
    others = [r["other"] for r in found.rows if r["step"] == 50 and r["reference"] == "amaml"]
    rivals = sorted({*METHODS} - {"amaml"}, key=label_order)
    assert others == [*rivals, "untrained", "global_mean", "support_mean"]


def test_a_failed_seed_is_left_out_of_its_pairs(pairs):
    found = pairs(
        {
            "amaml": {0: [1.0, 2.0], 1: [1.0, 2.0]},
            "fomaml": {0: [2.0, 4.0], 1: None},
            "imaml": {0: None, 1: None},
        }
    )
    row = found.row(K, "amaml", "fomaml")
    assert (row["n_seeds"], row["seeds_left_out"], row["n_pairs"]) == (1, 1, 2)
    assert row["difference"] == -1.5
    assert found.row(K, "amaml", "imaml") is None
    assert found.whole == ["amaml"]


def test_a_mean_over_fewer_seeds_is_not_the_best(pairs):
    found = pairs(
        {"amaml": {0: [2.0, 2.0], 1: [2.0, 2.0]}, "fomaml": {0: [1.0, 1.0], 1: None}},
    )
    assert found.best(K) == "amaml"
    assert math.isnan(found.mean(K, "fomaml"))


def test_a_diverged_method_loses_and_is_not_the_best(pairs):
    found = pairs(
        {"amaml": {0: [2.0] * 8}, "fomaml": {0: [1.0, *[math.nan] * 7]}, "imaml": {0: [3.0] * 8}}
    )
    assert found.best(K) == "amaml"
    row = found.row(K, "amaml", "fomaml")
    assert row["difference"] == -math.inf
    assert (row["wins"], row["losses"]) == (7, 1)


def test_a_method_that_diverged_on_one_task_is_not_marked(pairs):
    """Its ranks do not differ from the best's, but its mean is worse than anything."""
    almost = [2.1, 1.9, 2.1, 1.9, 2.1, 1.9, 2.1, math.nan]
    found = pairs({"amaml": {0: [2.0] * 8}, "fomaml": {0: almost}})
    assert not is_better(found.row(K, "amaml", "fomaml"))
    marks = {r["label"]: r for r in mark_best(main_rows([found.runs]), [found])}
    assert marks["fomaml"]["not_worse_than_best"] is False


def test_better_needs_the_test_and_the_mean():
    row = {"p_holm": 0.01, "difference": -1.0, "rank_biserial": -0.5}
    assert is_better(row)
    assert not is_better(row, alpha=0.01)
    assert not is_worse(row)
    for change in ({"p_holm": 0.05}, {"difference": 0.1}, {"rank_biserial": 0.5}):
        assert not is_better(row | change)
        assert not is_worse(row | change)
    assert is_worse({"p_holm": 0.01, "difference": math.inf, "rank_biserial": 0.5})


def test_marks_name_the_best_and_those_that_do_not_differ():
    level = {"amaml": 0.299, "amaml_anytime": 0.2991, "amaml_rkc": 0.2995}
    found = compared(lambda label, *_: level.get(label, LEVELS[label]))
    rows = mark_best(main_rows([setting.runs for setting in found]), found)
    for setting in found:
        here = {r["label"]: r for r in rows if r["setting"] == setting.runs.setting}
        best = min(METHODS, key=lambda label: here[label]["nrmse"])
        assert [label for label in METHODS if here[label]["best"]] == [best]
        for label in METHODS:
            row = setting.row(K, best, label)
            worse = row is not None and row["p_holm"] < 0.05
            assert here[label]["not_worse_than_best"] is not worse
        assert not here["fomaml"]["not_worse_than_best"]
        assert "best" not in here["untrained"]
    assert sum(bool(r.get("not_worse_than_best")) for r in rows) > len(found)


def test_a_comparison_does_not_depend_on_who_else_is_compared():
    few = ("fomaml", "amaml")
    (all_,) = compared(settings=[JESTER])
    (some,) = compared(settings=[JESTER], methods=few)
    rows = [setting.row(K, "amaml", "fomaml") for setting in (all_, some)]
    for row in rows:  # the family and who is best do depend on them
        del row["p_holm"], row["reference_is_best"]
    assert rows[0] == rows[1]
    assert np.isfinite(rows[0]["lo"])
