"""The audit for people: readings side by side, with a mark where one comes near the paper."""

import pandas as pd
import pytest

from pipeline.data.sets import SOURCES
from pipeline.paper.markdown import audit_markdown, is_near, span
from pipeline.tables.audit import AUDIT_COLUMNS, READINGS

FAR = dict.fromkeys(READINGS, 0.9)
SHOTS = "10shot-15val-50steps"


def audit_row(label: str, *, dataset: str = "ml-100k", kind: str = "method", **values) -> dict:
    counts = SOURCES[dataset].users
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


@pytest.mark.parametrize(
    ("value", "near"), [(0.0265, True), (0.106, True), (0.0264, False), (0.1061, False)]
)
def test_near_is_within_a_factor_of_two_on_both_sides(value, near):
    assert is_near(value) is near


def test_spans_are_one_number_where_they_print_alike():
    assert span(pd.Series([0.501, 0.499])) == "0.5"
    assert span(pd.Series([0.9, float("nan"), 0.25])) == "0.25 to 0.9"
    assert span(pd.Series([float("nan")])) == ""


def test_simulated_ratings_are_labelled():
    rows = [audit_row("amaml", dataset="simulated")]
    text = audit_markdown("quickstart", pd.DataFrame(rows, columns=list(AUDIT_COLUMNS)))
    assert "## SIMULATED ratings (SIMULATED data)" in text


def test_the_page_has_a_table_of_all_readings_for_each_data_set():
    rows = [
        audit_row("amaml", mae=0.05),
        audit_row("untrained", kind="untrained", mae=0.5),
        audit_row("global_mean", kind="trivial", seen_rows_nrmse=None),
        audit_row("amaml", dataset="ml-1m"),
    ]
    text = audit_markdown("paper", pd.DataFrame(rows, columns=list(AUDIT_COLUMNS)))
    sections = text.split("\n## ")[1:]
    assert [section.split("\n")[0] for section in sections] == ["MovieLens-100K", "MovieLens-1M"]
    for section in sections:
        assert section.count("\n| ") == len(READINGS) + 1
    assert "| reading | methods | untrained | global mean |" in sections[0]
    assert "| MAE, rating units | 0.05 \\* | 0.5 | 0.9 |" in sections[0]
    assert "| RMSE on the support rows alone / sd | 0.9 | 0.9 |  |" in sections[0]
