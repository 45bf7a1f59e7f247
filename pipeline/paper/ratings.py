"""Does a meta-learned start beat item mean + user offset?

Of our methods the one with the smallest mean nRMSE on the test tasks is taken. Because it is
picked on the tasks it is then judged by, its p value is multiplied by the number of methods it
was picked from (Bonferroni), which no rule of picking can make too small.
"""

from collections.abc import Sequence

from pipeline.config.titles import OFFSET, SIMULATED
from pipeline.paper.claims import (
    BETTER,
    NO_DIFFERENCE,
    NOT_COMPARED,
    NOT_JUDGED,
    OURS,
    SMOKE_RUN,
    WORSE,
    Claim,
    decided_by,
    judge,
    named,
    too_small,
)
from pipeline.tables.comparisons import ALPHA, Comparisons
from pipeline.tables.comparisons import OURS as METHODS
from pipeline.tables.files import Row

TEXT = f"The best of our methods is better than item mean + user offset with p < {ALPHA}"
CLAIM = Claim(
    "better_than_user_offset", OURS, f"{TEXT} in two thirds of the paper's rating settings", 2 / 3
)
# The paper's "MovieLens-100K" has the 489 tasks of ml-latest-small-2016; this one stands beside.
BESIDE = ("ml-100k",)
BESIDE_CLAIM = Claim(
    "better_than_user_offset:beside",
    OURS,
    f"{TEXT} in two thirds of the rating settings beside the paper's",
    2 / 3,
)


def rating_claims(settings: Sequence[Comparisons]) -> list[Row]:
    """Rows of both claims, one for each setting with rating data that people gave."""
    rated = [s for s in settings if OFFSET in s.runs.trivial and s.runs.dataset not in SIMULATED]
    own = [_row(CLAIM, s) for s in rated if s.runs.dataset not in BESIDE]
    beside = [_row(BESIDE_CLAIM, s) for s in rated if s.runs.dataset in BESIDE]
    return [judge(CLAIM, own), *own, *([judge(BESIDE_CLAIM, beside), *beside] if beside else [])]


def _row(claim: Claim, setting: Comparisons) -> Row:
    runs, step = setting.runs, setting.runs.inner_steps
    row = named(claim, runs.setting, runs.dataset)
    if too_small(runs):
        return row | {"outcome": NOT_JUDGED, "why": SMOKE_RUN}
    means = {label: setting.mean(step, label) for label in METHODS}
    finite = {label: mean for label, mean in means.items() if mean == mean}
    method = min(finite, key=lambda label: finite[label], default=None)
    pair = setting.row(step, method, OFFSET) if method else None
    if pair is None:
        return row | {"outcome": NOT_JUDGED, "why": NOT_COMPARED}
    p = min(1.0, pair["p"] * len(finite))
    word = _word(pair, p)
    return row | decided_by(pair) | {"p": p, "outcome": word, "met": word == BETTER, "step": step}


def _word(pair: Row, p: float) -> str:
    signs = {pair[name] > 0 for name in ("difference", "rank_biserial")}
    if p >= ALPHA or len(signs) > 1:
        return NO_DIFFERENCE
    return WORSE if signs == {True} else BETTER
