"""What `rating_verdicts.csv` says in one sentence, and `rating_verdicts.md`: why no gain is shown.

Each reason is computed from the tables: what so many pairs of tasks could show at all, whether
the typical task gains, and where the learning curve is lowest.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.claims import UNTESTED
from pipeline.comparisons import ALPHA
from pipeline.data_counts import TASK_COUNTS
from pipeline.files import write_text
from pipeline.labels import DATASETS, OFFSET, label_title
from pipeline.rating_verdicts import BEATS, LOSES

POWER = 0.8  # chance of showing a difference that is there, as is usual
USERS = 10  # ratings from which a user is a task


def ratings_finding(tables: Path) -> str | None:
    """The sentence from `rating_verdicts.csv`; None where no rating setting was tested."""
    path = tables / "rating_verdicts.csv"
    tested = _tested(pd.read_csv(path)) if path.is_file() else None
    if tested is None or tested.empty:
        return None
    each = ", ".join(
        f"{DATASETS.get(str(name), str(name))} {(rows['verdict'] == BEATS).sum()} of {len(rows)}"
        for name, rows in tested.groupby("dataset", sort=False)
    )
    return (
        f"The best of our methods beats item mean + user offset at the trained horizon in "
        f"{(tested['verdict'] == BEATS).sum()} of {len(tested)} settings ({each}) and is worse in "
        f"{(tested['verdict'] == LOSES).sum()}."
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
    lines = ["# Gain over item mean + user offset, by users to learn from", ""]
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

    Normal approximation of a two-sided paired test at `ALPHA` over `tests` (Bonferroni); `sd` is
    the standard deviation of the paired differences. The Wilcoxon test needs about as many pairs.
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
    for name, users in sorted(named.items(), key=lambda item: (item[1] is None, item[1])):
        rows = verdicts[verdicts["dataset"] == name]
        better = f"{(rows['verdict'] == BEATS).sum()} of {len(rows)}"
        count = f"{users:,}" if users else ""
        title = DATASETS.get(name, name)
        lines.append(f"| {title} | {count} | {better} | {rows['difference'].mean():+.2g} |")
    counts = [(named[r["dataset"]], r["difference"]) for r in verdicts.to_dict("records")]
    counts = [(users, difference) for users, difference in counts if users]
    if len({users for users, _ in counts}) > 2:
        rho = stats.spearmanr(*zip(*counts, strict=True)).statistic
        lines += [
            "",
            f"Rank correlation of users and difference over {len(counts)} settings: {rho:+.2f} "
            "(negative: the more users, the larger the gain). It is over few data sets, which "
            "differ in more than their users.",
        ]
    return lines


def _reason(row: dict, comparisons: pd.DataFrame) -> str:
    mine = comparisons[
        (comparisons["setting"] == row["setting"])
        & (comparisons["reference"] == row["method"])
        & (comparisons["other"] == OFFSET)
    ]
    at = mine[mine["step"] == row["inner_steps"]].iloc[0]
    difference, tasks = row["difference"], int(at["n_pairs"])
    parts = [
        f"`{row['setting']}`, {label_title(row['method'])}: {row['nrmse']:.4g} against "
        f"{row['offset_nrmse']:.4g}, difference {difference:+.2g} (95 % interval {row['lo']:+.2g} "
        f"to {row['hi']:+.2g}), p = {row['p_corrected']:.2g}"
    ]
    if row["verdict"] != LOSES and at["d_z"]:
        sd = abs(at["difference"] / at["d_z"])
        needed = least_shown(sd, tasks, int(row["picked_from"]))
        word = "more" if abs(difference) >= needed else "less"
        parts.append(
            f"the difference is {word} than the {needed:.2g} that {tasks} pairs with a spread of "
            f"{sd:.2g} show with a chance of {100 * POWER:.0f} %"
        )
    parts.append(f"the error is smaller in {int(at['wins'])} of {tasks} pairs")
    if (at["rank_biserial"] > 0) != (difference > 0):
        parts[-1] += ", so the mean and the typical task disagree"
    lowest = mine.loc[mine["difference"].idxmin()]
    if lowest["step"] == row["inner_steps"]:
        parts.append("its learning curve is lowest at K itself")
    else:
        parts.append(
            f"its learning curve is lowest after {int(lowest['step'])} steps, not after K = "
            f"{row['inner_steps']}: {lowest['difference']:+.2g} there "
            f"({lowest['lo']:+.2g} to {lowest['hi']:+.2g})"
        )
    return "; ".join(parts) + "."
