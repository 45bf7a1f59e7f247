"""What a verdict on a claim is, and how checks of its cases become one."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from math import ceil

HOLDS, IN_PART, FAILS = "holds", "holds in part", "does not hold"
UNTESTED = "not tested here"
PAPER, OURS = "paper", "ours"


@dataclass(frozen=True)
class Verdict:
    """One row of `verdicts.csv`.

    Attributes:
        claim: its name, the same in every grid.
        source: `paper` or `ours`.
        text: the claim in words.
        verdict: one of the four words above.
        held, tested: cases (settings, or settings times steps) in which it was so, and all.
        figures: what was found, in words.
    """

    claim: str
    source: str
    text: str
    verdict: str
    held: int
    tested: int
    figures: str


def judge(
    claim: str,
    source: str,
    text: str,
    checks: Collection[bool],
    figures: str,
    *,
    share: float = 1.0,
) -> Verdict:
    """A claim holds when at least `share` of its cases (`checks`) do, in part when any does."""
    held, tested = sum(checks), len(checks)
    if not tested:
        return Verdict(claim, source, text, UNTESTED, 0, 0, "")
    word = HOLDS if held >= ceil(share * tested) else IN_PART if held else FAILS
    return Verdict(claim, source, text, word, held, tested, figures)


def listed(names: Iterable[object]) -> str:
    """Names with commas, `none` when there are none."""
    return ", ".join(map(str, names)) or "none"


def after_colon(names: Collection[object]) -> str:
    """`: a, b` behind a count, nothing when there are none."""
    return f": {listed(names)}" if names else ""


def clause(title: str, names: Collection[object]) -> str:
    """` Title: a, b.`, nothing when there are none."""
    return f" {title}: {listed(names)}." if names else ""
