"""What the audit says follows from the numbers in its rows, and from nothing else."""

import pandas as pd
import pytest

from pipeline.paper.audit import audit_markdown, is_near, nearness, paragraph, span
from pipeline.tables.audit import AUDIT_COLUMNS, READINGS
from pipeline.tables.other_grids import TASK_COUNTS

FAR = dict.fromkeys(READINGS, 0.9)
SHOTS = "10shot-15val-50steps"


def audit_row(label: str, *, dataset: str = "ml-100k", kind: str = "method", **values) -> dict:
    counts = TASK_COUNTS.get(dataset, {})
    return {
        "setting": f"{dataset}-{SHOTS}",
        "dataset": dataset,
        "simulated": dataset == "simulated",
        "kind": kind,
        "label": label,
        "step": 50,
        "n_seeds": 2,
        "n_tasks": 200,
        "tasks_without_spread": 3,
        **FAR,
        **values,
        **{f"users_at_{least}": counts.get(least) for least in (10, 20)},
    }


def text_of(rows: list[dict], dataset: str = "ml-100k", companions=None) -> str:
    return paragraph(pd.DataFrame(rows, columns=list(AUDIT_COLUMNS)), dataset, companions or {})


@pytest.mark.parametrize(
    ("value", "near"), [(0.0265, True), (0.106, True), (0.0264, False), (0.1061, False)]
)
def test_near_is_within_a_factor_of_two_on_both_sides(value, near):
    assert is_near(value) is near


def test_nearness_asks_every_row_that_has_a_number():
    def found(*values: float | None) -> str:
        return nearness(pd.DataFrame({"mae": values}, dtype=float), "mae")

    assert found(0.05, 0.06) == found(0.05, None) == "every"
    assert found(0.05, 0.9) == "some"
    assert found(0.9, 0.8) == found(None) == "no"


def test_spans_are_one_number_where_they_print_alike():
    assert span([0.501, 0.499]) == "0.5"
    assert span([0.9, float("nan"), 0.25]) == "0.25 to 0.9"
    assert span([float("nan")]) == "unknown"


def test_readings_are_sorted_by_how_many_methods_come_near():
    rows = [
        audit_row("fomaml", nrmse=0.8, relative_l2_squared=0.06, mae=0.1),
        audit_row("amaml", nrmse=0.7, relative_l2_squared=0.05),
        audit_row("item_mean", kind="trivial", nrmse=0.9, relative_l2_squared=0.07),
    ]
    text = text_of(rows)
    assert "nRMSE is 0.7 to 0.8 over 1 setting, 13 to 15 times the 0.053" in text
    assert "for every method and setting: |e|² / |y|²: 0.05 to 0.06." in text
    assert "for some methods or settings only: MAE, rating units: 0.1 to 0.9." in text
    assert f"The other {len(READINGS) - 2} readings do not come near" in text
    assert "In 1 of these 2 readings, item mean comes near as well" in text
    assert "item mean, a trivial predictor, has 0.9" in text


def test_no_reading_near_is_said_plainly():
    text = text_of([audit_row("amaml")])
    assert f"None of the {len(READINGS)} readings comes within a factor 2" in text
    assert "as well" not in text


def test_seen_rows_and_scales_are_judged_by_their_numbers():
    far = text_of([audit_row("amaml", all_rows_nrmse=0.7, seen_rows_nrmse=0.6)])
    assert "would give 0.7, and the seen rows alone 0.6: a leak of support rows cannot" in far
    near = text_of([audit_row("amaml", seen_rows_nrmse=0.05, rmse_over_range=0.06)])
    assert "a leak of support rows could explain it for every method" in near
    assert "dividing by the range gives 0.06, near for every method" in near
    assert "dividing by the task's own sd 0.9, near for none (3 of 200 test tasks" in near


def test_releases_are_compared_setting_by_setting():
    rows = [
        audit_row("fomaml", nrmse=0.9),
        audit_row("amaml", nrmse=0.8),
        audit_row("amaml", dataset="ml-latest-small-2016", nrmse=0.76),
    ]
    assert "matters little at this scale: on MovieLens latest-small (Oct. 2016)" in text_of(rows)
    assert "differs by -5.0 % (1 setting)" in text_of(rows)
    assert "differs by +5.3 % (1 setting)" in text_of(rows, "ml-latest-small-2016")
    assert "release" not in text_of(rows[:2])
    rows[2]["nrmse"] = 0.05
    assert "matters little" not in text_of(rows, "ml-latest-small-2016")


def test_thresholds_say_which_gives_the_papers_tasks():
    text = text_of([audit_row("amaml", dataset="ml-latest-small-2016")], "ml-latest-small-2016")
    assert "489 at least 10 and 338 at least 20 (the threshold of 10 gives" in text
    assert "829 at least 10 and 575 at least 20 (neither is the paper's 489" in text_of(
        [audit_row("amaml")]
    )
    jester = text_of([audit_row("amaml", dataset="jester-1")], "jester-1")
    assert "24,983 at least 10 and 24,983 at least 20." in jester
    assert "at least 10 and" not in text_of([audit_row("amaml", dataset="simulated")], "simulated")


def companion(setting: str, nrmse: float, label: str = "amaml") -> pd.DataFrame:
    row = {"dataset": "ml-latest-small-2016", "kind": "method", "label": label}
    return pd.DataFrame([row | {"setting": setting, "nrmse": nrmse}])


def test_the_thresholds_effect_comes_from_companion_grids_that_have_both():
    name = "ml-latest-small-2016"
    base, changed = f"{name}-{SHOTS}", f"{name}-{SHOTS}-threshold-released"
    rows = [audit_row("amaml", dataset=name)]
    both = {"ablation": companion(base, 0.8), "ablation-data": companion(changed, 0.75)}
    text = text_of(rows, name, both)
    assert "moves the nRMSE of A-MAML from 0.8 to 0.75: the threshold cannot explain" in text
    both["ablation-data"] = companion(changed, 0.1)
    assert "from 0.8 to 0.1: the threshold may explain" in text_of(rows, name, both)
    both["ablation"] = companion(base, 0.8, "imaml")
    assert "moves" not in text_of(rows, name, both)
    assert "moves" not in text_of(rows, name)


def test_simulated_ratings_are_labelled_and_failure_everywhere_is_said():
    rows = [audit_row("amaml", dataset="simulated")]
    text = audit_markdown("quickstart", pd.DataFrame(rows, columns=list(AUDIT_COLUMNS)), {})
    assert "## SIMULATED ratings (SIMULATED data)" in text
    assert "The ratings are SIMULATED" in text
    failed = [audit_row("amaml") | dict.fromkeys(READINGS, float("nan"))]
    assert text_of(failed) == "No method finished on MovieLens-100K."


def test_the_page_has_a_table_of_all_readings_for_each_data_set():
    rows = [
        audit_row("amaml", mae=0.05),
        audit_row("untrained", kind="untrained", mae=0.5),
        audit_row("global_mean", kind="trivial", seen_rows_nrmse=None),
        audit_row("amaml", dataset="ml-1m"),
    ]
    text = audit_markdown("paper", pd.DataFrame(rows, columns=list(AUDIT_COLUMNS)), {})
    sections = text.split("\n## ")[1:]
    assert [section.split("\n")[0] for section in sections] == ["MovieLens-100K", "MovieLens-1M"]
    for section in sections:
        assert section.count("\n| ") == len(READINGS) + 1
    assert "| reading | methods | untrained | global mean |" in sections[0]
    assert "| MAE, rating units | 0.05 \\* | 0.5 | 0.9 |" in sections[0]
    assert "| RMSE on the support rows alone / sd | 0.9 | 0.9 |  |" in sections[0]
