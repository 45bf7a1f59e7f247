"""Rows and metrics of one run agree; those of two, or edited ones, do not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import BadInput
from pipeline.runs.agreement import reference_fault, run_fault
from pipeline.runs.records import read_run
from pipeline.seals import read_sealed, write_sealed
from tests import run_records
from tests.table_files import SETTING

METHOD, K = "amaml", 50
ROWS = run_records.test_rows(METHOD, SETTING, 0, steps=(0, 5, K), n_tasks=6, failed=False)
OWN = ROWS[ROWS["predictor"] == "meta_init"]
REFERENCE = ROWS[ROWS["predictor"] != "meta_init"]
METRICS = run_records.metrics(METHOD, SETTING, 0, ROWS, failed=False, inner_steps=K)
SPEC = run_records.spec(METHOD, SETTING, 0, K) | {"evaluation": {"steps": [0, 5]}}

Change = Callable[[pd.DataFrame], pd.DataFrame]
SPOILT_ROWS: dict[str, Change] = {
    "none": lambda rows: rows.iloc[:0],
    "half": lambda rows: rows.iloc[: len(rows) // 2],
    "a step": lambda rows: rows[rows["step"] != 5],
    "K": lambda rows: rows[rows["step"] != K],
    "a task": lambda rows: rows[rows["task"] != 3],
    "a row": lambda rows: rows.drop(rows.index[2]),
    "twice": lambda rows: pd.concat([rows, rows.head(1)]),
    "another task at one step": lambda rows: rows.assign(
        task=rows["task"].where((rows["step"] != 5) | (rows["task"] != 3), 99)
    ),
    "other errors": lambda rows: rows.assign(nrmse=rows["nrmse"] * np.float32(1.001)),
    "another spread": lambda rows: rows.assign(nrmse=rows["nrmse"].mean()),
    "a step that is null": lambda rows: rows.assign(step=rows["step"].where(rows["task"] != 1)),
    "no column of steps": lambda rows: rows.drop(columns="step"),
}
SPOILT_METRICS: dict[str, Any] = {
    "null": None,
    "list": [1],
    "number": METRICS | {"nrmse": METRICS["nrmse"] * 1.001},
    "text": METRICS | {"nrmse": "0.1"},
    "undefined": METRICS | {"nrmse": None},
    "stderr": METRICS | {"nrmse_stderr": METRICS["nrmse"]},
    "lacking": {name: value for name, value in METRICS.items() if name != "nrmse"},
    "tasks": METRICS | {"n_test_tasks": 7},
    "seed": METRICS | {"seed": 1},
    "horizon": METRICS | {"inner_steps": None},
}


def test_a_run_agrees_with_itself() -> None:
    assert run_fault(SPEC, METRICS, OWN) is None
    assert run_fault(SPEC, METRICS, OWN.sample(frac=1, random_state=0)) is None


def test_rounding_is_no_fault() -> None:
    assert run_fault(SPEC, METRICS | {"nrmse": METRICS["nrmse"] * (1 + 1e-7)}, OWN) is None


def test_a_failed_run_has_no_rows() -> None:
    failed = METRICS | {"status": "failed", "nrmse": None, "nrmse_stderr": None}
    assert run_fault(SPEC, failed, OWN.iloc[:0]) is None
    assert run_fault(SPEC, failed, OWN) is not None


@pytest.mark.parametrize("what", SPOILT_ROWS)
def test_spoilt_rows(what: str) -> None:
    assert run_fault(SPEC, METRICS, SPOILT_ROWS[what](OWN)) is not None


@pytest.mark.parametrize("what", SPOILT_METRICS)
def test_spoilt_metrics(what: str) -> None:
    assert run_fault(SPEC, SPOILT_METRICS[what], OWN) is not None


@pytest.mark.parametrize("what", ["none", "a row", "twice", "a task", "no column of steps"])
def test_spoilt_references(what: str) -> None:
    assert reference_fault(METRICS, REFERENCE, OWN) is None
    assert reference_fault(METRICS, SPOILT_ROWS[what](REFERENCE), OWN) is not None


@pytest.mark.parametrize("column", ["n_query", "target_norm", "query_std"])
def test_a_reference_on_other_tasks(column: str) -> None:
    other = REFERENCE.assign(**{column: REFERENCE[column] + 1})
    assert reference_fault(METRICS, other, OWN) is not None


@pytest.mark.parametrize("spoil", ["edited", "copied", "empty"])
def test_a_local_record_that_does_not_agree_is_refused(spoil: str, tmp_path: Path) -> None:
    mine, other = (run_records.write_one(tmp_path, METHOD, SETTING, seed) for seed in (0, 1))
    read_run(mine)
    if spoil == "edited":
        write_sealed(mine / "metrics.json", read_sealed(mine / "metrics.json") | {"nrmse": 0.01})
    elif spoil == "copied":
        (mine / "test_rows.parquet").write_bytes((other / "test_rows.parquet").read_bytes())
    else:
        write_sealed(mine / "metrics.json", {})
    with pytest.raises(BadInput) as refused:
        read_run(mine)
    assert str(mine) in str(refused.value)
    assert "Delete the folder" in str(refused.value)
