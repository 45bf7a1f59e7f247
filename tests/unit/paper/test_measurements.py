"""Claims on memory, time and stability from laid-down measurements."""

import pytest

from pipeline.errors import BadInput
from pipeline.files import write_json
from pipeline.paper.claims import FAILS, HOLDS, IN_PART, UNTESTED
from pipeline.paper.measurements import STABILITY, measurement_verdicts
from pipeline.tables.series import cost_rows

STEPS = (1, 50, 100, 300, 500)
MB = 10**6


def flat(value):
    return dict.fromkeys(STEPS, value)


def verdicts(root, peaks=None, seconds=None, stability=None):
    """Write profiles of bytes and seconds by steps (None: out of memory), and judge."""
    peaks = {
        "maml": {s: 0.7 * MB * s for s in STEPS},
        "fomaml": flat(MB),
        "amaml": {s: MB + 0.02 * MB * s for s in STEPS},
    } | (peaks or {})
    seconds = {"fomaml": flat(0.1), "amaml": flat(0.15)} | (seconds or {})
    for label, by_step in peaks.items():
        entries = [
            {"inner_steps": step, "status": "ok" if peak else "out_of_memory"}
            | {"seconds": seconds.get(label, flat(0.2))[step], "peak_bytes": peak}
            for step, peak in by_step.items()
        ]
        write_json(root / "profile" / f"{label}.json", {"device": "cpu", "entries": entries})
    if stability is not None:
        write_json(root / STABILITY, stability)
    rows = cost_rows(root, list(peaks))
    return {verdict.claim: verdict for verdict in measurement_verdicts(root, rows)}


def test_the_papers_claims_hold_on_such_measurements(tmp_path):
    maml = {s: 0.7 * MB * s if s < 500 else None for s in STEPS}
    found = verdicts(tmp_path, {"maml": maml})
    assert found["memory_linear:amaml"].verdict == HOLDS
    assert found["time_like_fomaml:amaml"].verdict == HOLDS
    assert "150 ms against 100 ms per meta-update: 1.50 times" in (
        found["time_like_fomaml:amaml"].figures
    )
    assert found["maml_out_of_memory"].verdict == HOLDS
    # where MAML has no memory at 500 steps, a ratio at 300 is part of the claim
    assert found["memory_below_maml:amaml"].verdict == IN_PART
    assert "7 MB against 210 MB at 300 steps: 3.3%" in found["memory_below_maml:amaml"].figures
    assert found["memory_linear:amaml_rkc"].verdict == UNTESTED


@pytest.mark.parametrize(
    ("claim", "changes", "verdict"),
    [
        ("memory_below_maml:amaml", {}, HOLDS),
        ("memory_below_maml:amaml", {"peaks": {"amaml": flat(80 * MB)}}, HOLDS),
        ("memory_below_maml:amaml", {"peaks": {"amaml": flat(90 * MB)}}, FAILS),
        ("memory_linear:amaml", {"peaks": {"amaml": {s: 10 * s**2 for s in STEPS}}}, FAILS),
        ("memory_linear:amaml", {"peaks": {"amaml": {s: MB * s**0.5 for s in STEPS}}}, HOLDS),
        ("memory_linear:amaml", {"peaks": {"amaml": flat(MB)}}, HOLDS),
        ("time_like_fomaml:amaml", {"seconds": {"amaml": flat(0.21)}}, FAILS),
        ("time_like_fomaml:amaml", {"seconds": {"amaml": flat(0.01)}}, HOLDS),
        ("maml_out_of_memory", {}, FAILS),
        ("maml_out_of_memory", {"peaks": {"maml": {1: MB, 50: MB}}}, UNTESTED),
        ("memory_below_maml:amaml", {"peaks": {"maml": {1: MB, 50: MB}}}, UNTESTED),
        ("time_like_fomaml:amaml", {"peaks": {"fomaml": {1: MB}}}, UNTESTED),
        ("memory_linear:amaml", {"peaks": {"amaml": {1: MB, 500: MB}}}, UNTESTED),
        ("backsolve_diverges", {}, UNTESTED),
    ],
)
def test_measurements_decide(tmp_path, claim, changes, verdict):
    assert verdicts(tmp_path, **changes)[claim].verdict == verdict


def record(horizon, error, status="ok", method="backsolve"):
    return {"horizon": horizon, "method": method, "relative_error": error, "status": status}


@pytest.mark.parametrize(
    ("records", "verdict", "held"),
    [
        ([record(1, 1e-3), record(100, 2e9)], HOLDS, 1),
        ([record(1, 1e-3), record(5, None, "failed"), record(100, None, "failed")], HOLDS, 2),
        ([record(1, 1e-3), record(5, 30.0), record(100, 0.5)], IN_PART, 1),
        ([record(1, 1e-3), record(100, 1e-2), record(100, 8.0)], IN_PART, 1),
        ([record(1, 1e-3), record(100, 1e-2)], FAILS, 0),
        ([record(100, 9.0, method="discrete")], UNTESTED, 0),
    ],
)
def test_backsolve_by_the_stability_study(tmp_path, records, verdict, held):
    for stability in (records, {"records": records[::-1]}):
        found = verdicts(tmp_path, stability=stability)["backsolve_diverges"]
        assert (found.verdict, found.held) == (verdict, held)


def test_figures_name_the_horizons_in_order(tmp_path):
    records = [record(100, None, "failed"), record(5, 0.5), record(1, 1e-3)]
    figures = verdicts(tmp_path, stability=records)["backsolve_diverges"].figures
    assert "1: 0.001; 5: 0.5; 100: failed" in figures
    assert "in 1 of 3 cases, in every case at 1 of 3 horizons" in figures


def test_a_horizon_is_every_case_of_it(tmp_path):
    """Two families: one case of the shorter horizon fails, both of the longer one."""
    records = [record(5, 0.5), record(5, 3.0), record(100, 2.0), record(100, None, "failed")]
    found = verdicts(tmp_path, stability=records)["backsolve_diverges"]
    assert (found.verdict, found.held, found.tested) == (HOLDS, 3, 4)
    assert "in every case at 1 of 2 horizons" in found.figures


@pytest.mark.parametrize(("limit", "words"), [(500, "fitted"), (None, "was measured")])
def test_the_longest_that_fitted_or_was_measured(tmp_path, limit, words):
    maml = {s: None if s == limit else MB * s for s in STEPS}
    found = verdicts(tmp_path, {"maml": maml})["maml_out_of_memory"]
    assert found.verdict == (HOLDS if limit else FAILS)
    assert found.figures.endswith(f"the longest that {words}.")


@pytest.mark.parametrize("bad", [{}, [{"horizon": 1}], [3], {"records": [record("far", 1.0)]}])
def test_an_unreadable_study_is_refused(tmp_path, bad):
    with pytest.raises(BadInput, match="unreadable stability study"):
        verdicts(tmp_path, stability=bad)
