"""Findings of the equal-cost and ledger figures and of the audit, from constructed tables."""

import json

import pandas as pd
import pytest

from pipeline.paper.costs import (
    audit_sentence,
    equal_cost_sentence,
    fidelity_nrmse_sentence,
    ledger_sentence,
    lowest_within,
)
from pipeline.paper.findings import write_findings
from pipeline.tables.audit import READINGS
from pipeline.tables.series import fidelity_points
from tests import run_records
from tests.table_files import build

COSMIXTURE, ALPINE = "cosmixture-50shot-50val", "alpine-50shot-50val"


def cost_table(rows: list[tuple]) -> pd.DataFrame:
    """Setting, label, update, seconds, equivalents, validation, test nRMSE, peak MB."""
    names = ["setting", "label", "update", "process_seconds", "gradient_equivalents"]
    table = pd.DataFrame(rows, columns=[*names, "validation_nrmse", "test_nrmse", "peak_bytes"])
    return table.assign(peak_bytes=table["peak_bytes"] * 1e6)


ROWS = [
    (COSMIXTURE, "fomaml", 1, 1.0, 10.0, 0.9, None, None),
    (COSMIXTURE, "fomaml", 2, 2.0, 20.0, 0.5, 0.6, 2.0),
    # lower at first, then not: what counts is the last that cost no more, not the best
    (COSMIXTURE, "amaml", 1, 1.0, 18.0, 0.1, None, None),
    (COSMIXTURE, "amaml", 2, 1.9, 30.0, 0.7, 0.4, 3.0),
    # never within FOMAML's cost
    (COSMIXTURE, "imaml", 2, 2.1, 21.0, 0.01, 0.7, 1.0),
]


def test_methods_stand_with_the_last_error_that_cost_no_more():
    table = cost_table(ROWS)
    assert lowest_within(table, "process_seconds") == "fomaml"
    assert lowest_within(table, "gradient_equivalents") == "amaml"
    assert lowest_within(table.iloc[::-1], "process_seconds") == "fomaml"
    assert lowest_within(table[table["label"] != "fomaml"], "process_seconds") is None


def test_the_equal_cost_sentence_counts_settings():
    other = [(ALPINE, *row[1:]) for row in ROWS]
    other[1] = (ALPINE, "fomaml", 2, 2.0, 20.0, 0.8, 0.3, 2.0)
    text = equal_cost_sentence(cost_table(ROWS + other))
    assert text == (
        "Within the process seconds of FOMAML's whole training the lowest validation nRMSE is "
        "that of FOMAML (1), A-MAML (1) among 2 synthetic settings; within the gradient "
        "equivalents of FOMAML's whole training the lowest validation nRMSE is that of A-MAML in "
        "both synthetic "
        "settings; the lowest test nRMSE at K is that of FOMAML (1), A-MAML (1) among 2 synthetic "
        "settings, at a peak of 2 to 3 MB per meta-update."
    )
    alone = equal_cost_sentence(cost_table([(COSMIXTURE, "amaml", 1, 1.0, 1.0, 0.5, 0.4, None)]))
    assert alone == "The lowest test nRMSE at K is that of A-MAML in the one synthetic setting."


def test_seconds_of_another_machine_are_said_to_be_left_out():
    rows = [(*row[:3], None if row[1] == "imaml" else row[3], *row[4:]) for row in ROWS]
    text = equal_cost_sentence(cost_table(rows))
    assert text.endswith(
        "; seconds that were taken on another machine are left out, by the number of settings: "
        "iMAML (1)."
    )


def training_table(rows: list[tuple]) -> pd.DataFrame:
    names = ["setting", "label", "update", "cosine", "relative_error"]
    return pd.DataFrame(rows, columns=names).assign(own_relative_error=float("nan"))


def main_table(rows: list[tuple]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["setting", "label", "nrmse"])
    return table.assign(kind="method", dataset=table["setting"].str.split("-").str[0])


def test_fidelity_is_that_of_the_last_update_all_methods_have():
    training = training_table(
        [
            (COSMIXTURE, "maml", 1, 0.9, 0.1),
            (COSMIXTURE, "maml", 50, None, None),
            (COSMIXTURE, "maml", 100, 0.8, 0.2),
            (COSMIXTURE, "fomaml", 1, 0.5, 5.0),
            (COSMIXTURE, "imaml", 1, 0.6, 2.0),
        ]
    )
    main = main_table([(COSMIXTURE, "maml", 0.2), (COSMIXTURE, "fomaml", 0.4)])
    points = fidelity_points(training, main)
    assert points["label"].tolist() == ["maml", "fomaml"]
    assert points["update"].tolist() == [1, 1]
    assert points["relative_error"].tolist() == [0.1, 5.0]
    assert points["ratio"].tolist() == [1.0, 2.0]
    # a method that failed in testing does not hold the others back
    main.loc[1, "nrmse"] = None
    assert fidelity_points(training, main)["update"].tolist() == [100]
    assert fidelity_points(training.iloc[:0], main).empty


def test_the_correlation_is_over_ranks_within_each_setting():
    labels = ["maml", "fomaml", "imaml"]
    errors = {COSMIXTURE: [0.1, 0.2, 99.0], ALPINE: [3.0, 2.0, 1.0]}
    cosines = {COSMIXTURE: [0.9, 0.5, -0.1], ALPINE: [0.1, 0.2, 0.3]}  # ranks: -1; +1/2
    training = training_table(
        [
            (setting, label, 1, cosine, error)
            for setting, values in errors.items()
            for label, cosine, error in zip(labels, cosines[setting], values, strict=True)
        ]
    )
    nrmse = {COSMIXTURE: [0.1, 0.2, 0.3], ALPINE: [7.0, 9.0, 8.0]}  # ranks: +1; -1/2
    main = main_table(
        [(s, label, v) for s, vs in nrmse.items() for label, v in zip(labels, vs, strict=True)]
    )
    text = fidelity_nrmse_sentence(training, main)
    assert "is +0.25 on average" in text
    assert "in 1 of 2 settings" in text
    assert text.endswith("that of its cosine -0.25, negative (the truer, the smaller) in 1 of 2.")
    assert fidelity_nrmse_sentence(training, main.iloc[:2]).startswith("Too few methods")


def test_the_ledger_sentence_has_each_methods_last_errors():
    training = training_table(
        [
            (COSMIXTURE, "fomaml", 1, 0.9, 1.0),
            (COSMIXTURE, "fomaml", 9, 0.9, 4.0),
            (ALPINE, "fomaml", 9, 0.9, 6.0),
            (COSMIXTURE, "maml", 9, 0.9, 0.5),
        ]
    )
    assert ledger_sentence(training) == (
        "Relative error to the true meta-gradient of the final loss at the last entry, over 2 "
        "settings: MAML, unrolled 0.5, FOMAML 4 to 6."
    )


def test_the_ledger_sentence_tells_what_diverged_and_what_has_its_own_objective():
    training = training_table(
        [
            (COSMIXTURE, "maml", 1, 0.9, 0.5),  # not in place of the last one
            (COSMIXTURE, "maml", 9, 0.9, None),
            (ALPINE, "maml", 9, 0.9, 2.0),
            (ALPINE, "amaml_anytime", 9, 0.9, 0.4),
        ]
    )
    training["own_relative_error"] = training["relative_error"]
    training.loc[training["label"] == "amaml_anytime", "own_relative_error"] = 0.02
    assert ledger_sentence(training).endswith(
        "MAML, unrolled 2 (1 diverged), A-MAML anytime 0.4 (0.02 to that of its own objective)."
    )


def test_the_baselines_alone_are_told_apart():
    """Ours are true and good; among the others the truer one is the worse."""
    labels = ["maml", "fomaml", "imaml", "amaml", "amaml_rkc"]
    errors, nrmse = [0.5, 0.8, 1.0, 0.01, 0.02], [0.6, 0.5, 0.4, 0.1, 0.2]
    rows = [(ALPINE, label, 9, 0.5 - e / 9, e) for label, e in zip(labels, errors, strict=True)]
    training = training_table(rows)
    main = main_table([(ALPINE, *pair) for pair in zip(labels, nrmse, strict=True)])
    text = fidelity_nrmse_sentence(training, main)
    assert "positive (the truer gradient, the smaller error) in 1 of 1" in text
    assert text.endswith(
        "among the baselines alone that of the error is -1.00, positive in 0 of 1."
    )


def test_the_audit_sentence_counts_readings_of_methods_alone():
    rows = [
        {"kind": "method", **dict.fromkeys(READINGS, 0.9), "mae": 0.05, "rmse": 0.06},
        {"kind": "method", **dict.fromkeys(READINGS, 0.9), "mae": 0.05},
        {"kind": "trivial", **dict.fromkeys(READINGS, 0.05)},
    ]
    text = audit_sentence(pd.DataFrame(rows))
    assert text == (
        f"Of {len(READINGS)} readings of nRMSE, 1 come within a factor 2 of 0.053 for every method "
        "and rating setting (MAE, rating units), 1 for some (RMSE, rating units), "
        f"{len(READINGS) - 2} for none."
    )


@pytest.mark.parametrize(
    ("setting", "there", "missing"),
    [
        (COSMIXTURE, "equal_cost", "audit"),
        ("simulated-10shot-15val-50steps", "audit", "equal_cost"),
    ],
)
def test_findings_are_those_of_the_tables_that_the_grid_has(tmp_path, setting, there, missing):
    methods = ["fomaml", "maml", "amaml"]
    run_records.write_grid(tmp_path, methods=methods, settings=[setting], seeds=[0])
    tables = build(tmp_path, methods=methods, settings=[setting], seeds=[0])
    found = json.loads((tables / "findings.json").read_text())
    assert {there, "ledger", "fidelity_nrmse"} <= set(found)
    assert missing not in found
    assert all(text.endswith(".") and "nan" not in text for text in found.values())


def test_a_grid_without_a_ledger_has_no_finding_of_one(tmp_path):
    run_records.write_grid(tmp_path, methods=["fomaml"], settings=[COSMIXTURE], seeds=[0])
    path = tmp_path / "runs/fomaml" / COSMIXTURE / "0/curve.parquet"
    curve = pd.read_parquet(path)
    names = [name for name in curve if "cosine" in name or "relative_error" in name]
    curve.assign(**dict.fromkeys(names, float("nan"))).to_parquet(path)
    tables = build(tmp_path, methods=["fomaml"], settings=[COSMIXTURE], seeds=[0])
    write_findings(tables)
    found = json.loads((tables / "findings.json").read_text())
    assert set(found) == {"equal_cost"}
