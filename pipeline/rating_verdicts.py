"""`rating_verdicts.csv`: does a meta-learned start beat item mean + user offset?

Of our methods the one with the smallest mean nRMSE on the test tasks is taken. Because it is
picked on the tasks it is then judged by, its p value is multiplied by the number of methods it
was picked from (Bonferroni), which no rule of picking can make too small.
"""

from pipeline.claims import OURS as OUR_CLAIM
from pipeline.claims import UNTESTED, Verdict, clause, judge
from pipeline.comparisons import ALPHA, OURS, Comparisons
from pipeline.labels import OFFSET, SIMULATED
from pipeline.main_table import Row, pooled_errors

SHARE = 2 / 3  # of the rating settings
# The paper's "MovieLens-100K" has the 489 tasks of ml-latest-small-2016; this one stands beside.
BESIDE = ("ml-100k",)
BEATS, NO_DIFFERENCE, LOSES = "better", "no difference shown", "worse"
RATING_COLUMNS = (
    *("setting", "dataset", "simulated", "inner_steps", "method", "verdict"),
    *("nrmse", "rmse", "offset_nrmse", "offset_rmse", "difference", "lo", "hi"),
    *("p", "p_corrected", "picked_from", "rank_biserial", "n_pairs", "n_seeds", "seeds_agreeing"),
)


def rating_rows(settings: list[Comparisons]) -> list[Row]:
    """Rows of `rating_verdicts.csv`, one for each setting with rating data."""
    return [_row(setting) for setting in settings if OFFSET in setting.runs.trivial]


def rating_claim(rows: list[Row]) -> Verdict:
    """On two thirds of the paper's rating settings our best method beats the user offset.

    Settings of `BESIDE` are told, and count where a grid has no other real ratings.
    """
    real = [row for row in rows if not row["simulated"] and row["verdict"] != UNTESTED]
    tested = [row for row in real if row["dataset"] not in BESIDE] or real
    beside = [row for row in real if row not in tested]
    checks = {row["setting"]: row["verdict"] == BEATS for row in tested}
    named = {
        word: [row["setting"] for row in tested if row["verdict"] == word]
        for word in (BEATS, NO_DIFFERENCE, LOSES)
    }
    figures = f"{sum(checks.values())} of {len(checks)} settings." + "".join(
        clause(word.capitalize(), names) for word, names in named.items()
    )
    if beside:
        found = [f"{row['setting']}, {row['verdict']}" for row in beside]
        figures += f" Beside them: {'; '.join(found)}."
    text = (
        "The best of our methods is better than item mean + user offset with p < "
        f"{ALPHA} in two thirds of the paper's rating settings"
    )
    return judge("better_than_user_offset", OUR_CLAIM, text, checks.values(), figures, share=SHARE)


def _row(setting: Comparisons) -> Row:
    runs, step = setting.runs, setting.runs.inner_steps
    means = {label: setting.mean(step, label) for label in OURS}
    finite = {label: mean for label, mean in means.items() if mean == mean}
    row: Row = {
        "setting": runs.setting,
        "dataset": runs.dataset,
        "simulated": runs.dataset in SIMULATED,
        "inner_steps": step,
        "picked_from": len(finite),
        "verdict": UNTESTED,
    }
    method = min(finite, key=lambda label: finite[label], default=None)
    found = setting.row(step, method, OFFSET) if method else None
    if method is None or found is None:
        return row
    p = min(1.0, found["p"] * len(finite))
    row |= {name: found[name] for name in RATING_COLUMNS if name in found and name not in row}
    for prefix, label, at in (("", method, step), ("offset_", OFFSET, 0)):
        pooled = pooled_errors(runs, label, at, runs.seeds)
        row |= {f"{prefix}{metric}": pooled[metric].mean for metric in ("nrmse", "rmse")}
    return row | {"method": method, "p_corrected": p, "verdict": _word(found, p)}


def _word(found: Row, p: float) -> str:
    signs = {found[name] > 0 for name in ("difference", "rank_biserial")}
    if p >= ALPHA or len(signs) > 1:
        return NO_DIFFERENCE
    return LOSES if signs == {True} else BEATS
