"""Measurements: what is timed, skipped, recorded, and one quick run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import figure, measure, memory, parts, report, scaling, targets
from benchmarks.candidates import CANDIDATES, Candidate
from benchmarks.problem import cos_mixture

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def work():
    return cos_mixture(3, rows=20, hidden=(8, 8), dtype=torch.float64)


def test_long_candidates_are_skipped_unless_a_target_needs_them(work, monkeypatch):
    monkeypatch.setattr(measure, "LONGEST_S", 1e-9)
    chosen = {name: CANDIDATES[name] for name in ("fomaml", "fomaml_loop")}
    entries = measure.over_horizons(
        work, (1, 2), {}, never_skip={("fomaml", 2)}, candidates=chosen, share=0.0
    )
    status = {(entry["candidate"], entry["inner_steps"]): entry for entry in entries}
    assert status["fomaml", 2]["status"] == "ok"
    assert status["fomaml_loop", 2]["status"] == "skipped"
    assert status["fomaml_loop", 2]["projected_seconds"] > 0


def test_absent_and_broken_candidates_are_recorded(work):
    def broken(work, steps):
        raise RuntimeError("does not run here")

    def full(work, steps):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 14.00 MiB.\nSee")

    chosen = {
        "gone": Candidate("gone", "gone", "peer", broken, lambda _: "import gone: no such module"),
        "broken": Candidate("broken", "broken", "peer", broken),
        "full": Candidate("full", "full", "ours", full),
    }
    gone, failed, exhausted = measure.over_horizons(work, (1,), {}, candidates=chosen)
    assert (gone["status"], gone["message"]) == ("absent", "import gone: no such module")
    assert (failed["status"], failed["message"]) == ("failed", "RuntimeError: does not run here")
    message = "OutOfMemoryError: CUDA out of memory. Tried to allocate 14.00 MiB."
    assert (exhausted["status"], exhausted["message"]) == ("out of memory", message)


def test_repetitions_are_spread_over_the_rounds():
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = measure.interleaved(runs, {"a": 6, "b": 2}, torch.device("cpu"), "")
    assert [len(seconds[name]) for name in "ab"] == [6, 2]
    assert "".join(order) == "aaabaaab"


def test_what_a_compiler_tells_is_recorded_and_shown(work):
    def make(work, steps):
        update = CANDIDATES["fomaml"].make(work, steps)
        update.compiled = {"compile_seconds": 7.0, "peak_tensor_bytes": 3_000_000}
        return update

    chosen = {"compiled": Candidate("compiled", "compiled", "peer", make)}
    entries = measure.over_horizons(work, (1,), {}, candidates=chosen, share=0.0)
    shown = parts.empty_record() | {"entries": entries}
    parts._add_peaks(entries, torch.device("cpu"))  # nothing of it is measured anew
    assert entries[0]["peak_tensor_bytes"] == 3_000_000
    assert "7.00" in report._horizons(shown)
    assert "3.00" in report._memory(shown)


def test_growth_ends_where_a_candidate_breaks_or_takes_too_long(monkeypatch):
    def breaks_at_three_tasks(work, steps):
        if len(work.batch) == 3:
            raise MemoryError("full")
        return CANDIDATES["fomaml"].make(work, steps)

    chosen = Candidate("fomaml", "fomaml", "ours", breaks_at_three_tasks)
    monkeypatch.setattr(scaling, "CANDIDATES", {"fomaml": chosen})
    monkeypatch.setattr(scaling, "CANDIDATE_NAMES", ("fomaml",))
    (entry,) = scaling.over_tasks(torch.device("cpu"), (1, 2, 3, 4), 1)
    assert [point["size"] for point in entry["points"]] == [1, 2]
    assert entry["message"] == "3 tasks and more failed: MemoryError: full"
    assert entry["exponent"] is not None
    monkeypatch.setattr(scaling, "LONGEST_S", 0.0)
    (entry,) = scaling.over_tasks(torch.device("cpu"), (1, 2), 1)
    assert entry["message"].startswith("2 tasks and more skipped: projected")


def test_quartiles():
    found = measure.summary([4.0, 1.0, 2.0, 3.0, 5.0])
    assert found == {"median": 3.0, "q1": 2.0, "q3": 4.0, "repetitions": 5}


def test_memory_is_measured_in_a_fresh_process():
    found = memory.peaks("maml", 50, device="cpu", seconds=0.1, threads=1, n_tasks=5)
    less = memory.peaks("maml", 10, device="cpu", seconds=9.0, threads=1, n_tasks=5)
    assert found["peak_tensor_bytes"] > 5e6
    assert less["peak_tensor_bytes"] is None  # too long to record every allocation
    assert found["peak_process_bytes"] > less["peak_process_bytes"]


def test_exponent_and_widths():
    assert scaling.exponent([1, 10, 100], [2, 20, 200]) == pytest.approx(1)
    assert scaling.exponent([1], [1]) is None
    for wanted in scaling.PARAMETER_COUNTS:
        width = scaling.width_for(wanted)
        assert width**2 + 5 * width + 1 == pytest.approx(wanted, rel=0.05)


def record(**seconds):
    entries = [
        {
            "candidate": name,
            "title": name,
            "kind": "ours",
            "inner_steps": steps,
            "status": "ok",
            "message": None,
            "seconds": measure.summary([value]),
            "relative_error": 0.01 * value,
            "peak_tensor_bytes": 7,
        }
        for name, value in seconds.items()
        for steps in (50, 500, 5_000)
    ]
    return {"entries": entries, "extras": {"three_seeds": {"ratio": None, "message": "none"}}}


def test_targets_say_what_was_reached():
    rows = {
        row["title"]: row for row in targets.outcome(record(amaml_rkc=1.0, fomaml=4.0, amaml=5.0))
    }
    ratio = rows["time of fomaml / amaml_rkc, 500 steps"]
    assert (ratio["reached"], ratio["holds"]) == (4.0, True)
    assert rows["time of amaml / amaml_rkc, 500 steps"]["holds"] is False
    assert rows["error of amaml_rkc, rtol 1e-3, 500 steps"]["holds"] is True
    assert rows["peak tensor memory of amaml_rkc, 5,000 / 50"]["reached"] == 1
    assert rows["time of higher / amaml_rkc, 500 steps"]["holds"] is None
    assert rows["time of 3 seeds in one job / one seed"]["holds"] is None


def test_the_figure_is_drawn_with_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        figure.draw(record(amaml_rkc=1.0, higher=4.0), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").stat().st_size > 1_000


def test_reasons_for_gaps_are_told_once():
    entries = measure.over_horizons(
        cos_mixture(1, rows=4, hidden=(2, 2)),
        (1, 2),
        {},
        candidates={
            "gone": Candidate(
                "gone", "gone", "peer", CANDIDATES["fomaml"].make, lambda _: "not here"
            )
        },
    )
    told = report._remarks(parts.empty_record() | {"entries": entries})
    assert told == "gone: absent: not here"


@pytest.mark.timeout(300)
def test_quick_run_end_to_end(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "--quick", "--out", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "wanted" in done.stdout
    assert "exponent" in done.stdout
    found = json.loads((tmp_path / "cpu.json").read_text())
    ours = {entry["candidate"]: entry for entry in found["entries"]}
    assert ours["amaml"]["relative_error"] < 1e-3
    assert ours["fomaml"]["gflops"] > 0
    assert ours["fomaml"]["peak_tensor_bytes"] > 0
    assert found["threads"] == 1
    assert found["failures"] == {}
    assert [entry["candidate"] for entry in found["operations"]] == ["amaml_rkc", "fomaml"]
    assert all(entry["rows"] for entry in found["operations"])
    assert len(found["extras"]["three_seeds"]["entries"]) == 4
    for name, tasks in (("learned_rates", 5), ("learned_rates_many", 40)):
        assert found["extras"][name]["tasks"] == tasks
        assert found["extras"][name]["ratio"] > 0
    assert all(took >= 0 for took in found["took"].values())
    assert (tmp_path / "cpu.svg").exists()
    assert (tmp_path / "cpu.png").exists()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_quick_run_on_cuda(tmp_path):
    command = [sys.executable, "-m", "benchmarks", "--quick", "--device", "cuda"]
    subprocess.run([*command, "--out", str(tmp_path)], cwd=ROOT, check=True, timeout=280)
    (found,) = (json.loads(path.read_text()) for path in tmp_path.glob("*.json"))
    assert found["many_tasks"]["entries"]
    assert all(
        entry["peak_tensor_bytes"] > 0 for entry in found["entries"] if entry["status"] == "ok"
    )
