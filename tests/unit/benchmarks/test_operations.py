"""Where time goes: self times, shares that add up, bounds on what lies outside of operations."""

import dataclasses
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import operations
from benchmarks.candidates import CANDIDATES
from benchmarks.problem import cos_mixture

CPU = torch.device("cpu")


def test_self_time_is_less_what_is_called():
    spans = [
        (1, 0, 100, "matmul"),
        (1, 10, 40, "bmm"),
        (1, 12, 13, "empty"),
        (1, 50, 90, "bmm"),
        (1, 100, 110, "empty"),
        (2, 20, 30, "bmm"),  # another thread: not within the first's
    ]
    assert operations.self_times(reversed(spans)) == {
        "matmul": (1, 30),
        "bmm": (3, 79),
        "empty": (2, 11),
    }


def test_self_times_are_the_profilers():
    update = CANDIDATES["maml"].make(cos_mixture(2, rows=4, hidden=(3, 3)), 2)
    update.run()
    with profile(activities=[ProfilerActivity.CPU]) as recorded:
        update.run()
    spans = [
        (event.start_thread_id(), *operations._times(event))
        for event in recorded.profiler.kineto_results.events()
    ]
    found = operations.self_times(spans)
    expected = Counter()  # one name may have several rows
    for row in recorded.key_averages():
        expected[row.key, "calls"] += row.count
        expected[row.key, "us"] += row.self_cpu_time_total
    assert {name for name, _ in expected} == set(found)
    for name, (calls, nanoseconds) in found.items():
        assert calls <= expected[name, "calls"]  # torch merges fewer of those within their own
        assert nanoseconds / 1e3 == pytest.approx(expected[name, "us"], rel=1e-3, abs=0.01)
    for name in ("aten::mul", "aten::bmm", "aten::sigmoid"):
        assert found[name][0] == expected[name, "calls"]


def test_shares_tell_operations_from_what_lies_between_them(monkeypatch):
    """Of a call of 100 ms, 160 under the profiler, in which operations take 40."""
    ms = 10**6
    spans = [(1, 0, 30 * ms, "mm"), (1, 10 * ms, 20 * ms, "empty"), (1, 50 * ms, 60 * ms, "mm")]
    ran = []
    monkeypatch.setattr(operations, "timed", lambda run, device: 0.1)
    monkeypatch.setattr(operations, "_profiled", lambda run, device: (0.16, spans))
    found = operations.shares(lambda: ran.append(1), CPU)
    assert ran == [1]  # the one that warms up
    assert (found["seconds"], found["profiled_seconds"]) == (
        pytest.approx(0.1),
        pytest.approx(0.16),
    )
    assert found["operation_seconds"] == pytest.approx(0.04)
    assert found["calls"] == 3
    assert found["outside"] == {"least": pytest.approx(0.6), "most": pytest.approx(0.75)}
    assert [(row["name"], row["calls"], row["share"]) for row in found["rows"]] == [
        ("mm", 2, pytest.approx(0.75)),
        ("empty", 1, pytest.approx(0.25)),
    ]


def test_operations_are_those_of_the_call():
    a = torch.ones(300, 300)

    def run():
        for _ in range(10):
            torch.mm(a, a)

    found = operations.shares(run, CPU)
    (products,) = [row for row in found["rows"] if row["name"] == "aten::mm"]
    assert products["calls"] == 10
    assert sum(row["share"] for row in found["rows"]) == pytest.approx(1)
    total = sum(row["seconds"] for row in found["rows"])
    assert found["operation_seconds"] == pytest.approx(total)
    assert 0 <= found["outside"]["least"] <= found["outside"]["most"] <= 1


def test_only_the_longest_are_listed_by_name():
    by_name = {f"op{n}": (2, 100 + n) for n in range(operations.TOP + 3)}
    rows = operations._rows(by_name, 2)
    assert [row["name"] for row in rows] == [
        *(f"op{n}" for n in range(operations.TOP + 2, 2, -1)),
        "3 others",
    ]
    assert rows[-1]["calls"] == 3
    assert rows[-1]["seconds"] == pytest.approx(303 / 1e9 / 2)


def test_an_absent_candidate_is_told(monkeypatch):
    gone = dataclasses.replace(CANDIDATES["fomaml"], absent=lambda _: "not here")
    monkeypatch.setitem(operations.CANDIDATES, "fomaml", gone)
    entries = [operations.entry(cos_mixture(1, rows=4, hidden=(2, 2)), "fomaml", 3)]
    assert operations.text(entries) == "fomaml, batched, 3 steps: not here"


def test_an_update_without_operations_of_torch_is_told(monkeypatch):
    class Elsewhere:
        def run(self):
            pass

    other = dataclasses.replace(CANDIDATES["fomaml"], make=lambda work, steps: Elsewhere())
    monkeypatch.setitem(operations.CANDIDATES, "fomaml", other)
    found = operations.entry(cos_mixture(1, rows=4, hidden=(2, 2)), "fomaml", 3)
    assert found["message"] == "runs no operation that torch's profiler records"


@pytest.mark.timeout(120)
def test_the_command_prints_a_table():
    command = [sys.executable, "-m", "benchmarks.operations", "--candidate", "fomaml"]
    done = subprocess.run(
        [*command, "--inner-steps", "3"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "aten::bmm" in done.stdout
    assert "outside of operations:" in done.stdout
    assert not done.stderr
