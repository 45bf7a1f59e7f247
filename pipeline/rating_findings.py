"""What `rating_verdicts.csv` says in one sentence, and `rating_verdicts.md`: why no gain is shown.

Each reason is computed from the tables: whether the mean or the typical task lacks a gain, what
so many pairs of tasks can show, and where the learning curve is lowest.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.claims import UNTESTED
from pipeline.comparisons import ALPHA
from pipeline.data_counts import TASK_COUNTS
from pipeline.files import write_text
from pipeline.labels import DATASETS, OFFSET, counted, label_title
from pipeline.rating_verdicts import BEATS, LOSES

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
