"""`rating_verdicts.csv`: does a meta-learned start beat item mean + user offset?

Of our methods the one with the smallest mean nRMSE on the test tasks is taken. Because it is
picked on the tasks it is then judged by, its p value is multiplied by the number of methods it
was picked from (Bonferroni), which no rule of picking can make too small.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.config.titles import DATASETS, OFFSET, SIMULATED, counted, label_title
from pipeline.files import write_text
from pipeline.paper.claims import OURS as OUR_CLAIM
from pipeline.paper.claims import UNTESTED, Verdict, clause, judge
from pipeline.tables.comparisons import ALPHA, OURS, Comparisons
from pipeline.tables.files import Row
from pipeline.tables.main import pooled_errors
from pipeline.tables.other_grids import TASK_COUNTS

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


# What `rating_verdicts.csv` says in one sentence, and `rating_verdicts.md`: why no gain is shown.
#
# Each reason is computed from the tables: whether the mean or the typical task lacks a gain, what
# so many pairs of tasks can show, and where the learning curve is lowest.

POWER = 0.8  # chance of showing a difference that is there, as is usual
USERS = 10  # ratings from which a user is a task


def ratings_finding(tables: Path) -> str | None:
    """The sentence from `rating_verdicts.csv`; None where no rating setting was tested."""
    path = tables / "rating_verdicts.csv"
    tested = _tested(pd.read_csv(path)) if path.is_file() else pd.DataFrame()
    if tested.empty:
        return None
    real = tested[~tested["simulated"]]
    tested = real if len(real) else tested  # simulated ratings count for nothing beside real ones
    each = ", ".join(
        f"{DATASETS.get(str(name), str(name))} {(rows['verdict'] == BEATS).sum()} of {len(rows)}"
        for name, rows in tested.groupby("dataset", sort=False)
    )
    better, worse = ((tested["verdict"] == word).sum() for word in (BEATS, LOSES))
    return (
        f"The best of our methods beats item mean + user offset at the trained horizon in "
        f"{better} of {counted(len(tested), 'setting')} ({each}) and is worse in {worse}."
    )


def write_rating_reasons(tables: Path) -> None:
    """Write `rating_verdicts.md` from the tables beside it; remove it where there is no rating."""
    verdicts = pd.read_csv(tables / "rating_verdicts.csv")
    if verdicts.empty:
        (tables / "rating_verdicts.md").unlink(missing_ok=True)
        return
    comparisons = pd.read_csv(tables / "comparisons.csv")
    write_text(tables / "rating_verdicts.md", rating_reasons(_tested(verdicts), comparisons))


def rating_reasons(verdicts: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    """Markdown: gains by data set, and a paragraph for each setting without one.

    Args:
        verdicts: tested rows of `rating_verdicts.csv`.
        comparisons: `comparisons.csv`.
    """
    lines = ["# Gain over item mean + user offset, by data set", ""]
    if verdicts.empty:
        return "\n".join([*lines, "None of our methods finished in every seed."]) + "\n"
    lines += [*_by_users(verdicts), ""]
    missed = verdicts[verdicts["verdict"] != BEATS]
    if len(missed):
        lines += ["## Where no gain is shown, and why", ""]
        lines += [f"- {_reason(row, comparisons)}" for row in missed.to_dict("records")]
    return "\n".join(lines).rstrip("\n") + "\n"


def least_shown(sd: float, pairs: int, tests: int) -> float:
    """The mean difference that `pairs` of tasks show with the chance `POWER`.

    Normal approximation of a two-sided test of the mean at `ALPHA` over `tests` (Bonferroni);
    `sd` is the standard deviation of the paired differences.
    """
    quantiles = stats.norm.ppf([1 - ALPHA / (2 * tests), POWER])
    return float(quantiles.sum() * sd / np.sqrt(pairs))


def _tested(verdicts: pd.DataFrame) -> pd.DataFrame:
    return verdicts[verdicts["verdict"] != UNTESTED]


def _by_users(verdicts: pd.DataFrame) -> list[str]:
    lines = [
        f"| data set | users with {USERS} ratings | better in | mean difference in nRMSE |",
        "|---|---|---|---|",
    ]
    named = {name: TASK_COUNTS.get(name, {}).get(USERS) for name in verdicts["dataset"].unique()}
    for name, users in sorted(named.items(), key=lambda item: (item[1] is None, item[1] or 0)):
        rows = verdicts[verdicts["dataset"] == name]
        better = f"{(rows['verdict'] == BEATS).sum()} of {len(rows)}"
        count = f"{users:,}" if users else ""
        title = DATASETS.get(name, name)
        lines.append(f"| {title} | {count} | {better} | {rows['difference'].mean():+.2g} |")
    return [
        *lines,
        "",
        "Users are those with as many ratings of the 100 most-rated items, held-out ones "
        "included. Item means are those of all that are not held out; a meta-batch takes its "
        "tasks from those of them who rated enough items for support and query rows.",
    ]


def _reason(row: dict, comparisons: pd.DataFrame) -> str:
    mine = comparisons[
        (comparisons["setting"] == row["setting"])
        & (comparisons["reference"] == row["method"])
        & (comparisons["other"] == OFFSET)
    ]
    at = mine[mine["step"] == row["inner_steps"]].iloc[0]
    parts = [
        f"`{row['setting']}`, {label_title(row['method'])}: {row['nrmse']:.4g} against "
        f"{row['offset_nrmse']:.4g}, difference {row['difference']:+.2g} (95 % interval "
        f"{row['lo']:+.2g} to {row['hi']:+.2g}), p = {row['p_corrected']:.2g}",
        f"the error is smaller in {int(at['wins'])} of {int(at['n_pairs'])} pairs",
    ]
    if row["verdict"] != LOSES:
        parts += _undecided(row, at)
    lowest = mine.loc[mine["difference"].idxmin()]
    if lowest["step"] == row["inner_steps"]:
        parts.append("of the measured steps its learning curve is lowest at K itself")
    else:
        steps = counted(int(lowest["step"]), "step")
        parts.append(
            f"of the measured steps its learning curve is lowest after {steps}, not after "
            f"K = {row['inner_steps']}: "
            f"{lowest['difference']:+.2g} there ({lowest['lo']:+.2g} to {lowest['hi']:+.2g})"
        )
    return "; ".join(parts) + "."


def _undecided(row: dict, at: pd.Series) -> list[str]:
    """Why the test shows nothing: too few pairs for so small a mean, or a mean of few tasks."""
    if row["lo"] <= 0 <= row["hi"]:
        sd = abs(at["difference"] / at["d_z"]) if at["d_z"] else np.nan
        if not np.isfinite(sd):
            return []
        needed = least_shown(sd, int(at["n_pairs"]), int(row["picked_from"]))
        return [
            f"the interval has zero in it: with the pairs' spread of {sd:.2g}, as many show a mean "
            f"of {needed:.2g} with a chance of {100 * POWER:.0f} %"
        ]
    return [
        "the interval of the mean has no zero in it, but the typical task hardly differs "
        f"(rank-biserial correlation {at['rank_biserial']:+.2f}), and the rank test is about that"
    ]
