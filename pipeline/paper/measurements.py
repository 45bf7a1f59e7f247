"""Claims on memory, time and stability: measurements, which need no test of significance.

Memory and time are those of one meta-update in `costs.csv` (pipeline/runs/profile.py), on the
machine that made the profile. Backward re-integration is judged by `stability.csv`, by all of its
rows that have a reference. `value` is what is compared with `bound`.
"""

from collections.abc import Sequence
from math import isfinite

from pipeline.config.studies import NO_REFERENCE, WRONG
from pipeline.config.titles import label_title
from pipeline.paper.claims import (
    BETTER,
    FAILS,
    HOLDS,
    IN_PART,
    NO_DIFFERENCE,
    OURS,
    PAPER,
    WORSE,
    Claim,
    judge,
    measured,
)
from pipeline.tables.files import Row

LONG = 500  # inner steps at which the paper compares memory and time
SHARE_OF_MAML = 0.25
COMPARABLE = 2.0  # times FOMAML's seconds
STEEPER = 1.1  # last stretch of a line may be this much steeper than the whole
PROFILE = "cost profile"  # stands for the setting
OUT = "out_of_memory"
Costs = Sequence[Row]


def measurement_claims(costs: Costs, stability: Sequence[Row]) -> list[Row]:
    """Rows of the paper's claims, and of the same ones of A-MAML RKC.

    Args:
        costs: rows of `costs.csv`.
        stability: rows of `stability.csv`, [] without that study.
    """
    pairs = (("amaml", PAPER), ("amaml_rkc", OURS))
    claims = (memory_linear, memory_below_maml, time_like_fomaml)
    return [
        *(row for claim in claims for pair in pairs for row in claim(costs, *pair)),
        *maml_out_of_memory(costs),
        *backsolve_diverges(stability),
    ]


def memory_linear(costs: Costs, label: str, source: str) -> list[Row]:
    """Bytes per inner step no larger on the last stretch than over all: at most linear.

    `value` is the slope of the last stretch over that of the whole line.
    """
    text = f"Memory of {label_title(label)} grows at most linearly with the inner steps"
    claim = Claim(f"memory_linear:{label}", source, text)
    peaks = _finished(costs, label, "peak_bytes")
    if len(peaks) < 3 or max(peaks) < LONG:
        return [judge(claim, [])]
    first, before, last = min(peaks), sorted(peaks)[-2], max(peaks)
    whole = (peaks[last] - peaks[first]) / (last - first)
    end = (peaks[last] - peaks[before]) / (last - before)
    ratio = end / whole if whole > 0 else None
    return _one(claim, end <= STEEPER * max(whole, 0.0), ratio, STEEPER, last, (label,))


def memory_below_maml(costs: Costs, label: str, source: str) -> list[Row]:
    """Under a quarter of MAML's peak memory at 500 steps.

    Where MAML ran out of memory there, the longest horizon that it could do stands for it, and
    the claim holds in part at most.
    """
    text = f"{label_title(label)} needs under {SHARE_OF_MAML:.0%} of MAML's memory at {LONG} steps"
    claim = Claim(f"memory_below_maml:{label}", source, text)
    mine, theirs = (_finished(costs, method, "peak_bytes") for method in (label, "maml"))
    both = sorted(set(mine) & set(theirs))
    if not both or (LONG not in both and _status(costs, "maml", LONG) != OUT):
        return [judge(claim, [])]
    step = LONG if LONG in both else both[-1]
    ratio = mine[step] / theirs[step]
    rows = _one(claim, ratio < SHARE_OF_MAML, ratio, SHARE_OF_MAML, step, (label, "maml"))
    if step != LONG and rows[0]["outcome"] == HOLDS:
        rows[0] |= {"outcome": IN_PART, "why": f"MAML ran out of memory at {LONG} steps"}
    return rows


def time_like_fomaml(costs: Costs, label: str, source: str) -> list[Row]:
    """At most twice FOMAML's seconds at 500 steps, from an untrained start."""
    text = f"{label_title(label)} takes at most {COMPARABLE:g} times FOMAML's time at {LONG} steps"
    claim = Claim(f"time_like_fomaml:{label}", source, text)
    mine, theirs = (_finished(costs, method, "seconds") for method in (label, "fomaml"))
    if LONG not in mine or LONG not in theirs:
        return [judge(claim, [])]
    ratio = mine[LONG] / theirs[LONG]
    return _one(claim, ratio <= COMPARABLE, ratio, COMPARABLE, LONG, (label, "fomaml"))


def maml_out_of_memory(costs: Costs) -> list[Row]:
    """MAML, unrolled, meets the limit of memory within the measured horizons.

    `value` is the peak in MB at the longest horizon that fitted.
    """
    claim = Claim("maml_out_of_memory", PAPER, "MAML runs out of memory at long horizons")
    steps = [row["inner_steps"] for row in costs if row["label"] == "maml"]
    out = [step for step in steps if _status(costs, "maml", step) == OUT]
    peaks = _finished(costs, "maml", "peak_bytes")
    if not out and max(peaks, default=0) < LONG:
        return [judge(claim, [])]
    peak = peaks[max(peaks)] / 1e6 if peaks else None
    return _one(claim, bool(out), peak, None, min(out) if out else max(peaks), ("maml",))


def backsolve_diverges(stability: Sequence[Row]) -> list[Row]:
    """Backward re-integration off by more than the gradient itself at the longest horizon.

    A row is a horizon T, a case of it one family and initialisation; at the longest T all must
    be so. `value` is the least relative error of the cases that ended in a number.
    """
    text = "Backward re-integration (backsolve) diverges at long horizons"
    claim = Claim("backsolve_diverges", PAPER, text)
    errors: dict[float, list[float]] = {}
    for row in stability:
        if row["method"] == "backsolve" and row["status"] != NO_REFERENCE:
            error = row["relative_error"] if row["status"] == "ok" else None
            errors.setdefault(row["horizon"], []).append(_or_infinite(error))
    rows = []
    for horizon, found in sorted(errors.items()):
        wrong = sum(error > WRONG for error in found)
        row = measured(claim, f"T = {horizon:g}", wrong == len(found), min(found), bound=WRONG)
        row["outcome"] = BETTER if row["met"] else NO_DIFFERENCE if wrong else WORSE
        row |= {"held": wrong, "cases": len(found), "record": "studies/stability.json"}
        rows.append(row)
    total = judge(claim, rows)
    if rows:
        held, cases = (sum(row[name] for row in rows) for name in ("held", "cases"))
        word = HOLDS if rows[-1]["met"] else IN_PART if held else FAILS
        total |= {"outcome": word, "held": held, "cases": cases}
    return [total | {"record": "studies/stability.json"}, *rows]


def _one(
    claim: Claim,
    met: bool,
    value: float | None,
    bound: float | None,
    step: int,
    profiles: Sequence[str],
) -> list[Row]:
    """The rows of a claim that is judged by one measurement."""
    record = " ".join(f"profile/{label}.json" for label in profiles)
    row = measured(claim, PROFILE, met, value, bound=bound, step=step, record=record)
    total = judge(claim, [row]) | {"value": value, "bound": bound, "step": step, "record": record}
    return [total, row]


def _or_infinite(error: float | None) -> float:
    return float(error) if error is not None and isfinite(error) else float("inf")


def _finished(costs: Costs, label: str, what: str) -> dict[int, float]:
    """A cost by inner steps, where it was measured."""
    rows = [row for row in costs if row["label"] == label and row["status"] == "ok"]
    return {row["inner_steps"]: row[what] for row in rows if row[what]}


def _status(costs: Costs, label: str, step: int) -> str | None:
    found = [r["status"] for r in costs if (r["label"], r["inner_steps"]) == (label, step)]
    return found[0] if found else None
