"""The benchmarks measure equal work: peers' gradients, the reference, counts, one quick run."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import figure, flops, measure, memory, reference, report, scaling, targets
from benchmarks.candidates import CANDIDATES, CAPTURED, Candidate, counts
from benchmarks.problem import HORIZONS, cos_mixture, digest
from pipeline.core import meta_gradient
from pipeline.core.work import Work as Counts

ROOT = Path(__file__).parents[2]
STEPS = 4
EXACT = ("maml_sweep", "maml_loop", "higher", "torchopt")


@pytest.fixture(scope="module")
def work():
    return cos_mixture(3, rows=20, hidden=(8, 8), dtype=torch.float64)


def made(name, work, steps=STEPS):
    candidate = CANDIDATES[name]
    if reason := candidate.absent():
        pytest.skip(reason)
    update = candidate.make(work, steps)
    update.run()
    return candidate, update


def close(found, exact, tolerance):
    assert reference.compare(found, exact)["relative_error"] < tolerance


@pytest.mark.parametrize("name", EXACT)
def test_unrolled_peers_compute_mamls_gradient(name, work):
    _, maml = made("maml", work)
    _, peer = made(name, work)
    close(peer.gradient(), maml.gradient(), 1e-6)
    peer.run()  # and again: no state is left over from the first update
    close(peer.gradient(), maml.gradient(), 1e-6)


def test_the_plain_first_order_loop_computes_fomamls_gradient(work):
    close(made("fomaml_loop", work)[1].gradient(), made("fomaml", work)[1].gradient(), 1e-6)


def test_the_first_form_of_amaml_computes_the_same(work):
    close(made("amaml_prototype", work)[1].gradient(), made("amaml", work)[1].gradient(), 1e-9)


@pytest.mark.parametrize("name", CANDIDATES)
def test_every_candidate_counts_its_work_and_solves_the_same_problem_again(name, work):
    candidate, update = made(name, work)
    found = update.gradient().clone()
    update.run()
    assert counts(candidate, update, STEPS).gradients > 0
    close(update.gradient(), found, 1e-2 if "rkc" in name or "anytime" in name else 1e-6)


@pytest.mark.parametrize("omega", reference.OMEGAS.values())
def test_the_reference_is_the_limit_of_amaml(omega, work):
    exact, error = reference.converged(work, 0.2, omega)
    assert error < 1e-8
    found = meta_gradient(
        "amaml",
        work.model,
        work.theta,
        work.batch,
        horizon=0.2,
        step=0.004,
        rtol=1e-8,
        atol=1e-10,
        omega=omega,
    )
    close(found.gradient, exact, 1e-4)


def test_the_kept_reference_belongs_to_the_problem_and_is_converged():
    exact = reference.load(cos_mixture())
    assert {steps for steps, _ in exact} >= set(HORIZONS)
    entries = json.loads(reference.PATH.read_text())["entries"]
    assert max(entry["estimated_relative_error"] for entry in entries) < 1e-6
    with pytest.raises(ValueError, match="another problem"):
        reference.load(cos_mixture(4))


def test_the_problem_is_the_same_in_every_dtype():
    assert digest(cos_mixture()) == digest(cos_mixture(dtype=torch.float64))


def counted_flops():
    """torch's own counter, taught the product in place."""

    def in_place(_, a, b, *, out_shape=None, **options):
        return 2 * a[0] * a[1] * a[2] * b[2]

    return FlopCounterMode(display=False, custom_mapping={torch.ops.aten.baddbmm_: in_place})


def test_larger_work_may_keep_more():
    assert cos_mixture().size == 1
    assert cos_mixture(50).size == 10
    update = CANDIDATES["amaml_rkc"].make(cos_mixture(50), STEPS)
    assert update._settings["memory_mb"] == 640


def test_counted_flops_are_those_of_the_closed_forms(work):
    start = work.theta.repeat(len(work.batch), 1)
    loss = work.model.loss(work.batch.support)
    with counted_flops() as gradient:
        point = loss.at(start)
        point.gradient()
    assert gradient.get_total_flops() == flops.of_gradient(work)
    with counted_flops() as product:
        point.hvp(start)
    assert product.get_total_flops() == flops.of_product(work)


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

    chosen = {
        "gone": Candidate("gone", "gone", "peer", broken, lambda: "import gone: no such module"),
        "broken": Candidate("broken", "broken", "peer", broken),
    }
    gone, failed = measure.over_horizons(work, (1,), {}, candidates=chosen)
    assert (gone["status"], gone["message"]) == ("absent", "import gone: no such module")
    assert (failed["status"], failed["message"]) == ("failed", "RuntimeError: does not run here")


def test_what_the_core_does_not_offer_is_absent():
    for candidate in CAPTURED.values():
        reason = candidate.absent()
        assert reason is None or "no option capture" in reason


def test_repetitions_are_spread_over_the_rounds():
    order = []
    runs = {name: lambda name=name: order.append(name) for name in "ab"}
    seconds = measure.interleaved(runs, {"a": 6, "b": 2}, torch.device("cpu"), "")
    assert [len(seconds[name]) for name in "ab"] == [6, 2]
    assert "".join(order) == "aaabaaab"


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
            "gone": Candidate("gone", "gone", "peer", CANDIDATES["fomaml"].make, lambda: "not here")
        },
    )
    told = report._remarks(
        {"entries": entries, "many_tasks": {"entries": []}, "extras": {}, "scaling": []}
    )
    assert told == "gone: absent: not here"


def test_counts_of_unrolled_peers():
    assert CANDIDATES["higher"].counts(7) == Counts(gradients=8, hvps=7)
    assert CANDIDATES["fomaml_loop"].counts(7) == Counts(gradients=8)


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
