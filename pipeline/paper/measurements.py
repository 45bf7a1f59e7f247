"""Claims on memory, time and stability: measurements, which need no test of significance.

Memory and time are those of one meta-update in `costs.csv` (pipeline/runs/profile.py), on the
machine that made the profile. Backward re-integration is judged by the records of
`results/{grid}/studies/stability.json` where that study was run.
"""

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any

from pipeline.config.titles import label_title
from pipeline.errors import BadInput
from pipeline.files import read_json
from pipeline.paper.claims import FAILS, HOLDS, IN_PART, OURS, PAPER, UNTESTED, Verdict, listed
from pipeline.tables.files import Row

LONG = 500  # inner steps at which the paper compares memory and time
SHARE_OF_MAML = 0.25
COMPARABLE = 2.0  # times FOMAML's seconds
STEEPER = 1.1  # last stretch of a line may be this much steeper than the whole
DIVERGED = 1.0  # relative error of a meta-gradient: as large as the gradient itself
STABILITY = "studies/stability.json"
Costs = Sequence[Row]


def measurement_verdicts(results_dir: Path, costs: Costs) -> list[Verdict]:
    """Verdicts on the paper's claims, then on the same ones of A-MAML RKC.

    Args:
        results_dir: `results/{grid}`.
        costs: rows of `costs.csv`.

    Raises:
        BadInput: when the stability study is there and cannot be read.
    """
    pairs = (("amaml", PAPER), ("amaml_rkc", OURS))
    return [
        *(memory_linear(costs, label, source) for label, source in pairs),
        *(memory_below_maml(costs, label, source) for label, source in pairs),
        *(time_like_fomaml(costs, label, source) for label, source in pairs),
        maml_out_of_memory(costs),
        backsolve_diverges(stability_records(results_dir / STABILITY)),
    ]


def memory_linear(costs: Costs, label: str, source: str) -> Verdict:
    """Bytes per inner step no larger on the last stretch than over all: at most linear."""
    claim, name = f"memory_linear:{label}", label_title(label)
    text = f"Memory of {name} grows at most linearly with the inner steps"
    peaks = _finished(costs, label, "peak_bytes")
    if len(peaks) < 3 or max(peaks) < LONG:
        return _untested(claim, source, text)
    first, before, last = min(peaks), sorted(peaks)[-2], max(peaks)
    whole = (peaks[last] - peaks[first]) / (last - first)
    end = (peaks[last] - peaks[before]) / (last - before)
    figures = (
        f"{_mb(peaks[first])} at {first} step{'s' * (first > 1)}, {_mb(peaks[last])} at {last}: "
        f"{whole / 1e3:.3g} kB per step over all, {end / 1e3:.3g} kB from {before} to {last}."
    )
    return _measured(claim, source, text, end <= STEEPER * max(whole, 0.0), figures)


def memory_below_maml(costs: Costs, label: str, source: str) -> Verdict:
    """Under a quarter of MAML's peak memory at 500 steps."""
    claim, name = f"memory_below_maml:{label}", label_title(label)
    text = f"{name} needs under {SHARE_OF_MAML:.0%} of MAML's memory at {LONG} inner steps"
    mine, theirs = (_finished(costs, method, "peak_bytes") for method in (label, "maml"))
    both = sorted(set(mine) & set(theirs))
    if not both or (LONG not in both and _status(costs, "maml", LONG) != "out_of_memory"):
        return _untested(claim, source, text)
    step = LONG if LONG in both else both[-1]
    ratio = mine[step] / theirs[step]
    figures = f"{_mb(mine[step])} against {_mb(theirs[step])} at {step} steps: {ratio:.1%}."
    if step == LONG:
        return _measured(claim, source, text, ratio < SHARE_OF_MAML, figures)
    figures += f" MAML ran out of memory at {LONG}: no ratio there."
    word = IN_PART if ratio < SHARE_OF_MAML else FAILS
    return Verdict(claim, source, text, word, int(word == IN_PART), 1, figures)


def time_like_fomaml(costs: Costs, label: str, source: str) -> Verdict:
    """At most twice FOMAML's seconds at 500 steps."""
    claim, name = f"time_like_fomaml:{label}", label_title(label)
    text = f"{name} takes at most {COMPARABLE:g} times FOMAML's time at {LONG} inner steps"
    mine, theirs = (_finished(costs, method, "seconds") for method in (label, "fomaml"))
    if LONG not in mine or LONG not in theirs:
        return _untested(claim, source, text)
    ratio = mine[LONG] / theirs[LONG]
    figures = (
        f"{mine[LONG] * 1e3:.3g} ms against {theirs[LONG] * 1e3:.3g} ms per meta-update: "
        f"{ratio:.2f} times, from an untrained start; what whole trainings took is in "
        "equal_cost.csv."
    )
    return _measured(claim, source, text, ratio <= COMPARABLE, figures)


def maml_out_of_memory(costs: Costs) -> Verdict:
    """MAML, unrolled, meets the limit of memory within the measured horizons."""
    claim, text = "maml_out_of_memory", "MAML runs out of memory at long horizons"
    steps = sorted(row["inner_steps"] for row in costs if row["label"] == "maml")
    out = [step for step in steps if _status(costs, "maml", step) == "out_of_memory"]
    peaks = _finished(costs, "maml", "peak_bytes")
    if not out and max(peaks, default=0) < LONG:
        return _untested(claim, PAPER, text)
    figures = f"out of memory at inner steps: {listed(out)}; " + (
        f"{_mb(peaks[max(peaks)])} at {max(peaks)} steps, the longest that "
        f"{'fitted' if out else 'was measured'}."
        if peaks
        else "no measured horizon fitted."
    )
    return _measured(claim, PAPER, text, bool(out), figures)


def backsolve_diverges(records: Sequence[Row] | None) -> Verdict:
    """Backward re-integration off by more than the gradient itself at the longest horizon.

    A case is a horizon with a family and an initialisation; at the longest all must be so.
    """
    claim = "backsolve_diverges"
    text = "Backward re-integration (`backsolve`) diverges at long horizons"
    worst: dict[float, list[bool]] = {}
    words: dict[float, list[str]] = {}
    for record in records or []:
        if record["method"] == "backsolve":
            error, ok = record["relative_error"], record["status"] == "ok"
            finite = ok and error is not None and isfinite(error)
            worst.setdefault(record["horizon"], []).append(not finite or error > DIVERGED)
            word = f"{error:.2g}" if finite else "failed"
            words.setdefault(record["horizon"], []).append(word)
    if not worst:
        return _untested(claim, PAPER, text)
    diverged = [horizon for horizon, cases in worst.items() if all(cases)]
    held, tested = (sum(map(count, worst.values())) for count in (sum, len))
    word = HOLDS if max(worst) in diverged else IN_PART if held else FAILS
    figures = (
        f"off by more than the gradient itself in {held} of {tested} cases, in every case at "
        f"{len(diverged)} of {len(worst)} horizons. "
    )
    figures += "Relative gradient error by horizon T: " + "; ".join(
        f"{horizon:g}: {listed(sorted(words[horizon]))}" for horizon in sorted(words)
    )
    return Verdict(claim, PAPER, text, word, held, tested, f"{figures}.")


def stability_records(path: Path) -> list[Row] | None:
    """The study's records: `horizon`, `method`, `relative_error`, `status`; None without it.

    Raises:
        BadInput: when the file is there and holds something else.
    """
    if not path.is_file():
        return None
    try:
        found = read_json(path)
        return [
            _record(entry) for entry in (found if isinstance(found, list) else found["records"])
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(
            f"{path}: unreadable stability study ({error!r}); needed `records` with horizon, "
            "method, relative_error and status. Delete the file and run the study again."
        ) from error


def _record(entry: dict[str, Any]) -> Row:
    error = entry["relative_error"]
    return {
        "horizon": float(entry["horizon"]),
        "method": str(entry["method"]),
        "relative_error": None if error is None else float(error),
        "status": str(entry["status"]),
    }


def _finished(costs: Costs, label: str, what: str) -> dict[int, float]:
    """A cost by inner steps, where it was measured."""
    rows = [row for row in costs if row["label"] == label and row["status"] == "ok"]
    return {row["inner_steps"]: row[what] for row in rows if row[what]}


def _status(costs: Costs, label: str, step: int) -> str | None:
    found = [r["status"] for r in costs if (r["label"], r["inner_steps"]) == (label, step)]
    return found[0] if found else None


def _measured(claim: str, source: str, text: str, held: bool, figures: str) -> Verdict:
    return Verdict(claim, source, text, HOLDS if held else FAILS, int(held), 1, figures)


def _untested(claim: str, source: str, text: str) -> Verdict:
    return Verdict(claim, source, text, UNTESTED, 0, 0, "")


def _mb(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:.3g} MB"
