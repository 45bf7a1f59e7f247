"""Run records: what is written is read back, and half a record is none."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import BadInput
from pipeline.runs import records
from pipeline.runs.records import CURVE_SCHEMA, FILES, TEST_ROWS_SCHEMA, read_run, write_run


def content(n_rows: int = 2) -> dict[str, Any]:
    curve = pd.DataFrame(
        {name: np.arange(1.0, n_rows + 1) for name in CURVE_SCHEMA.names}
        | {"validation_nrmse": [np.nan, 0.5][:n_rows]}
    )
    test_rows = pd.DataFrame(
        {name: [0.25, 0.5] for name in TEST_ROWS_SCHEMA.names}
        | {"predictor": "meta_init", "step": 5, "task": [7, 9], "n_query": [3, 4]}
    )
    return {
        "spec": {"kind": "run", "seed": 1},
        "metrics": {"status": "ok", "nrmse": 0.375, "nrmse_stderr": 0.125, "message": None}
        | {"inner_steps": 5, "n_test_tasks": 2, "seed": 1},
        "curve": curve,
        "test_rows": test_rows,
        "theta": np.linspace(0, 1, 5, dtype=np.float32),
    }


def test_what_is_written_is_read_back(tmp_path):
    given = content()
    write_run(tmp_path / "run", **given)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == sorted(FILES)
    found = read_run(tmp_path / "run")
    assert (found.spec, found.metrics) == (given["spec"], given["metrics"])
    assert found.theta.tobytes() == given["theta"].tobytes()
    assert found.theta.dtype == np.float32
    pd.testing.assert_frame_equal(found.curve, given["curve"], check_dtype=False)
    pd.testing.assert_frame_equal(found.test_rows, given["test_rows"], check_dtype=False)
    assert list(found.curve.columns) == CURVE_SCHEMA.names
    assert found.curve["update"].dtype == np.int32
    assert found.test_rows["task"].dtype == np.int32


def test_an_empty_curve_keeps_its_types(tmp_path):
    write_run(tmp_path, **content() | {"curve": pd.DataFrame([], columns=CURVE_SCHEMA.names)})
    curve = read_run(tmp_path).curve
    assert len(curve) == 0
    assert curve["update"].dtype == np.int32


def test_theta_need_not_be_contiguous(tmp_path):
    theta = np.arange(10, dtype=np.float64)[::2]
    write_run(tmp_path, **content() | {"theta": theta})
    assert read_run(tmp_path).theta.tolist() == [0, 2, 4, 6, 8]


def test_a_missing_column_is_not_filled_in(tmp_path):
    given = content()
    with pytest.raises(KeyError):
        write_run(tmp_path, **given | {"curve": given["curve"].drop(columns="hvps")})


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("broken", ["write_arrays", "write_sealed"])
def test_a_crash_leaves_no_spec(broken, again, tmp_path, monkeypatch):
    """Nor the spec of an older run beside newer files."""
    if again:
        write_run(tmp_path, **content())

    def crash(*_, **__) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(records, broken, crash)
    with pytest.raises(OSError, match="no space"):
        write_run(tmp_path, **content())
    assert not (tmp_path / "spec.json").exists()
    with pytest.raises(BadInput, match=r"found no .*spec\.json; needed a finished run"):
        read_run(tmp_path)


def test_the_spec_is_written_last(tmp_path, monkeypatch):
    there = []
    write_sealed = records.write_sealed

    def watch(path: Any, value: Any) -> None:
        there.append((path.name, {p.name for p in tmp_path.iterdir()}))
        write_sealed(path, value)

    monkeypatch.setattr(records, "write_sealed", watch)
    write_run(tmp_path, **content())
    assert there[-1] == ("spec.json", set(FILES) - {"spec.json"})


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name, tmp_path):
    write_run(tmp_path, **content())
    (tmp_path / name).unlink()
    with pytest.raises(BadInput, match=f"found no {name}; needed a finished run"):
        read_run(tmp_path)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("content_of", [b"", b"garbage \xff"])
def test_an_unreadable_file_is_bad_input(name, content_of, tmp_path):
    write_run(tmp_path, **content())
    (tmp_path / name).write_bytes(content_of)
    with pytest.raises(BadInput, match=f"{name}: no seal in it: damaged"):
        read_run(tmp_path)


def test_no_folder(tmp_path):
    with pytest.raises(BadInput, match=r"found no curve\.parquet, test_rows"):
        read_run(tmp_path / "none")
