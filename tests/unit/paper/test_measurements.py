"""Claims on memory, time and stability from laid-down measurements."""

import pytest

from pipeline.paper.claims import ALL, FAILS, HOLDS, IN_PART, NOT_JUDGED
from pipeline.paper.measurements import PROFILE, measurement_claims
from pipeline.seals import write_sealed
from pipeline.tables.series import cost_rows

STEPS = (1, 50, 100, 300, 500)
MB = 10**6


def flat(value):
    return dict.fromkeys(STEPS, value)


def rows_of(root, peaks=None, seconds=None, stability=()):
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
        write_sealed(root / "profile" / f"{label}.json", {"device": "cpu", "entries": entries})
    rows = measurement_claims(cost_rows(root, list(peaks)), stability)
    return {(row["claim"], row["setting"]): row for row in rows}


def test_values_stand_beside_their_bounds(tmp_path):
    found = rows_of(tmp_path)
    time = found["time_like_fomaml:amaml", PROFILE]
    assert (time["value"], time["bound"], time["met"], time["step"]) == (
        *(pytest.approx(1.5), 2.0, True, 500),
    )
    assert time["record"] == "profile/amaml.json profile/fomaml.json"
    assert found["time_like_fomaml:amaml", ALL]["value"] == pytest.approx(1.5)


def test_where_maml_has_no_memory_the_longest_it_could_do_is_a_part_of_the_claim(tmp_path):
    maml = {s: 0.7 * MB * s if s < 500 else None for s in STEPS}
    found = rows_of(tmp_path, {"maml": maml})
    assert found["maml_out_of_memory", ALL]["outcome"] == HOLDS
    below = found["memory_below_maml:amaml", ALL]
    assert (below["outcome"], below["step"]) == (IN_PART, 300)
    assert below["value"] == pytest.approx(7 / 210)


@pytest.mark.parametrize(
    ("claim", "changes", "outcome"),
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
        ("maml_out_of_memory", {"peaks": {"maml": {1: MB, 50: MB}}}, NOT_JUDGED),
        ("memory_below_maml:amaml", {"peaks": {"maml": {1: MB, 50: MB}}}, NOT_JUDGED),
        ("time_like_fomaml:amaml", {"peaks": {"fomaml": {1: MB}}}, NOT_JUDGED),
        ("memory_linear:amaml", {"peaks": {"amaml": {1: MB, 500: MB}}}, NOT_JUDGED),
        ("memory_linear:amaml_rkc", {}, NOT_JUDGED),
        ("backsolve_diverges", {}, NOT_JUDGED),
    ],
)
def test_measurements_decide(tmp_path, claim, changes, outcome):
    assert rows_of(tmp_path, **changes)[claim, ALL]["outcome"] == outcome


def record(horizon, error, status="ok", method="backsolve"):
    return {"horizon": horizon, "method": method, "relative_error": error, "status": status}


@pytest.mark.parametrize(
    ("records", "outcome", "held", "cases"),
    [
        ([record(1, 1e-3), record(100, 2e9)], HOLDS, 1, 2),
        ([record(1, 1e-3), record(5, None, "failed"), record(100, None, "failed")], HOLDS, 2, 3),
        ([record(1, 1e-3), record(5, 30.0), record(100, 0.5)], IN_PART, 1, 3),
        ([record(1, 1e-3), record(100, 1e-2), record(100, 8.0)], IN_PART, 1, 3),
        ([record(1, 1e-3), record(100, 1e-2)], FAILS, 0, 2),
        ([record(100, 9.0, method="discrete")], NOT_JUDGED, 0, 0),
        # what has no reference cannot be judged
        ([record(5, 9.0), record(100, None, "no reference")], HOLDS, 1, 1),
    ],
)
def test_backsolve_by_the_stability_table(tmp_path, records, outcome, held, cases):
    for stability in (records, records[::-1]):
        found = rows_of(tmp_path, stability=stability)["backsolve_diverges", ALL]
        assert (found["outcome"], found["held"], found["cases"]) == (outcome, held, cases)


def test_a_horizon_is_every_case_of_it(tmp_path):
    """Two families: one case of the shorter horizon fails, both of the longer one."""
    records = [record(5, 0.5), record(5, 3.0), record(100, 2.0), record(100, None, "failed")]
    found = rows_of(tmp_path, stability=records)
    short, long = (found["backsolve_diverges", f"T = {horizon}"] for horizon in (5, 100))
    assert (short["met"], short["held"], short["cases"], short["value"]) == (False, 1, 2, 0.5)
    assert (long["met"], long["held"], long["cases"], long["value"]) == (True, 2, 2, 2.0)
