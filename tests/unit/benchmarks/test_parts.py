"""A run in parts: what one part that fails leaves of the others, one part alone, the tables."""

import json
import math
import sys

import pytest
import torch

from benchmarks import measure, parts, report, run
from benchmarks.candidates import CANDIDATES

CPU = torch.device("cpu")


def fails(plan, record):
    raise MemoryError("full")


def measures(plan, record):
    record["extras"]["index_against_dense"] = {
        "dense": {"median": 0.003},
        "index": {"median": 0.002},
        "method": "amaml_rkc",
        "tasks": 5,
        "inner_steps": 7,
        "ratio": math.nan,
        "message": None,
    }


@pytest.fixture
def called(monkeypatch, tmp_path):
    """Run `python -m benchmarks` with the options; give its exit status."""
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)

    def call(*options):
        monkeypatch.setattr(sys, "argv", ["benchmarks", "--out", str(tmp_path), *options])
        with pytest.raises(SystemExit) as ended:
            run.main()
        return ended.value.code

    return call


def test_a_part_that_fails_leaves_the_others_and_the_record(called, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(parts.PARTS, "horizons", (fails, measures))
    for name in ("memory", "scaling", "extras", "operations"):
        monkeypatch.setitem(parts.PARTS, name, ())
    (tmp_path / "cpu.json").write_text("the last run's")
    assert called() == 1
    record = json.loads((tmp_path / "cpu.json").read_text())
    assert record["failures"] == {"horizons, fails": "MemoryError: full"}
    assert record["extras"]["index_against_dense"]["ratio"] is None  # JSON has no NaN
    assert set(record["took"]) == {"horizons", "memory", "scaling", "extras", "operations"}
    assert "horizons, fails failed: MemoryError: full" in capsys.readouterr().out


def test_nothing_failed_is_exit_status_0(called, monkeypatch):
    for name in parts.PARTS:
        monkeypatch.setitem(parts.PARTS, name, ())
    assert called() == 0


def test_a_method_of_ours_that_fails_is_a_fault(called, monkeypatch):
    def ends(kind, how):
        return lambda plan, record: record["entries"].append(
            {"candidate": "a", "title": "a", "kind": kind, "inner_steps": 1, "status": how}
            | {"message": "no", "seconds": None}
        )

    for name in parts.PARTS:
        monkeypatch.setitem(parts.PARTS, name, ())
    for kind, how, status in (
        ("peer", "failed", 0),
        ("ours", "failed", 1),
        ("baseline", "failed", 1),
        ("baseline", "out of memory", 0),
    ):
        monkeypatch.setitem(parts.PARTS, "horizons", (ends(kind, how),))
        assert called() == status


def test_one_part_alone_is_printed_and_not_written(called, monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(parts.PARTS, "horizons", (fails,))
    monkeypatch.setitem(parts.PARTS, "extras", (measures,))
    assert called("--only", "extras") == 0
    shown = capsys.readouterr().out
    assert "one-hot rows / item indices, 5 tasks, amaml_rkc" in shown
    assert "1.50" in shown
    assert "wanted" not in shown
    assert not list(tmp_path.iterdir())


def test_memory_alone_times_each_update_once(monkeypatch):
    asked = []

    def peaks(name, inner_steps, *, seconds, **_):
        asked.append((name, inner_steps))
        assert seconds > 0
        return {"peak_tensor_bytes": 3_000_000, "peak_process_bytes": 0}

    monkeypatch.setattr(parts.memory, "peaks", peaks)
    monkeypatch.setattr(parts.Plan, "candidates", {"fomaml": CANDIDATES["fomaml"]})
    record = parts.empty_record()
    parts.run_parts(parts.Plan(CPU, quick=True), record, ["memory"])
    assert asked == [("fomaml", 5)]
    (entry,) = record["entries"]
    assert entry["seconds"]["repetitions"] == 1
    assert entry["peak_tensor_bytes"] == 3_000_000


def test_every_part_has_a_table():
    assert [name for name, _ in report.TABLES] == list(parts.PARTS)
    assert parts.parts_of(parts.Plan(CPU)) == [name for name in parts.PARTS if "many" not in name]


def entry(name, ms, **fields):
    return {
        "candidate": name,
        "title": name,
        "kind": "ours",
        "inner_steps": 500,
        "status": "ok",
        "message": None,
        "seconds": measure.summary([ms / 1e3]),
    } | fields


def row(text, title):
    (found,) = [line.split() for line in text.splitlines() if line.startswith(title)]
    return found


def test_what_amaml_gains_by_what():
    entries = [entry("amaml", 200), entry("amaml_repeated", 300), entry("amaml_prototype", 450)]
    shown = report._gain(entries)
    assert row(shown, "leaner")[-1] == "1.50"
    assert row(shown, "passes")[-1] == "1.50"
    assert row(shown, "both")[-1] == "2.25"
    assert report._gain(entries[:2]) == ""


def test_products_for_the_radius_are_told_apart():
    counts = {"gradients": 73, "hvps": 103, "kept_bytes": 2_500_000}
    plain = entry("a", 1, counts=counts)
    split = entry("b", 1, counts=counts | {"radius_hvps": 40}, peak_tensor_bytes=3_000_000)
    assert (report._counted(plain), report._counted(split)) == ("73+103", "73+63+40")
    assert (report._megabytes(plain), report._megabytes(split)) == ("2.50 / -", "2.50 / 3.00")
    assert report._megabytes(entry("c", 1, peak_tensor_bytes=3_000_000)) == "3.00"
    assert report._megabytes(entry("d", 1)) == "-"


def test_repetitions_that_targets_need():
    assert measure.FEWEST >= 3
    for seconds in (0.01, 0.5, 1.9):
        assert measure.repetitions_for(seconds) >= 3
