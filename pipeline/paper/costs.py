"""The findings of the equal-cost and the ledger figures, and of the metric audit."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from pipeline.config.titles import counted, label_order, label_title
from pipeline.paper.accuracy import BASELINES
from pipeline.paper.audit import NEAR, nearness
from pipeline.paper.numbers import PAPER_EXAMPLE
from pipeline.tables.audit import READINGS
from pipeline.tables.equal_cost import REFERENCE
from pipeline.tables.series import fidelity_points, ledger_entries

_COSTS = {"process_seconds": "process seconds", "gradient_equivalents": "gradient equivalents"}


def equal_cost_finding(tables: Path) -> str | None:
    """Which method is lowest at FOMAML's cost, and what memory the lowest test errors take."""
    table = _read(tables, "equal_cost")
    return None if table is None or table.empty else equal_cost_sentence(table)


def ledger_finding(tables: Path) -> str | None:
    """How near each method's meta-gradient is to the true one late in training."""
    training = _read(tables, "training")
    if training is None or ledger_entries(training).empty:
        return None
    return ledger_sentence(training)


def fidelity_nrmse_finding(tables: Path) -> str | None:
    """Whether methods with the better meta-gradient have the smaller test error."""
    training, main = _read(tables, "training"), _read(tables, "main")
    if training is None or main is None or ledger_entries(training).empty:
        return None
    return fidelity_nrmse_sentence(training, main)


def audit_finding(tables: Path) -> str | None:
    """How many readings come near the paper's order of magnitude."""
    table = _read(tables, "audit")
    return None if table is None or table.empty else audit_sentence(table)


def equal_cost_sentence(table: pd.DataFrame) -> str:
    """From `equal_cost.csv`: at the reference's whole cost, the last error that cost no more."""
    parts = []
    for cost, text in _COSTS.items():
        winners = [
            winner
            for _, rows in table.groupby("setting", sort=False)
            if (winner := lowest_within(rows, cost)) is not None
        ]
        if winners:
            parts.append(
                f"within the {text} of {label_title(REFERENCE)}'s whole training the lowest "
                f"validation nRMSE is {_shares(winners)}"
            )
    ends = table[table["test_nrmse"].notna()]
    best = ends.loc[ends.groupby("setting", sort=False)["test_nrmse"].idxmin()]
    if len(best):
        parts.append(f"the lowest test nRMSE at K is {_shares(list(best['label']))}")
        memory = best["peak_bytes"].dropna() / 1e6
        if len(memory):
            parts[-1] += f", at a peak of {_span(memory)} MB per meta-update"
    return _sentence([*parts, *_left_out(table)])


def _left_out(table: pd.DataFrame) -> list[str]:
    """Whose seconds are missing, because they were taken on another machine."""
    gone = table[table["process_seconds"].isna()]
    if gone.empty:
        return []
    settings = gone.groupby("label")["setting"].nunique()
    each = [
        f"{label_title(name)} ({settings[name]})"
        for name in sorted(settings.index, key=label_order)
    ]
    return [
        "seconds that were taken on another machine are left out, by the number of settings: "
        + ", ".join(each)
    ]


def lowest_within(rows: pd.DataFrame, cost: str) -> str | None:
    """The method lowest at the reference's whole cost, in rows of one setting.

    Each method stands with the last of its validated errors that cost no more; one that has
    none yet is left out. None without the reference.
    """
    reference = rows.loc[rows["label"] == REFERENCE, cost]
    if reference.empty:
        return None
    within = rows[rows[cost] <= reference.max()].sort_values("update", kind="stable")
    last = within.groupby("label")["validation_nrmse"].last()
    return min(last.index, key=lambda label: (last[label], label_order(label)))


def ledger_sentence(training: pd.DataFrame) -> str:
    """From `training.csv`: relative error of each method's last entry, over settings."""
    entries = ledger_entries(training)
    last = entries.groupby(["setting", "label"], sort=False).tail(1)
    each = []
    for label in sorted(set(last["label"]), key=label_order):
        rows = last[last["label"] == label]
        each.append(f"{label_title(label)} {_span(rows['relative_error'])}")
        gone = int(rows["relative_error"].isna().sum())
        notes = [f"{gone} diverged"] if 0 < gone < len(rows) else []
        own = rows["own_relative_error"]
        if own.notna().any() and not np.allclose(own, rows["relative_error"], equal_nan=True):
            notes.append(f"{_span(own)} to that of its own objective")
        each[-1] += f" ({', '.join(notes)})" if notes else ""
    settings = last["setting"].nunique()
    return _sentence(
        [
            "relative error to the true meta-gradient of the final loss at the last entry, over "
            f"{counted(settings, 'setting')}: {', '.join(each)}"
        ]
    )


def fidelity_nrmse_sentence(training: pd.DataFrame, main: pd.DataFrame) -> str:
    """Mean over settings of Spearman's rank correlation between fidelity and test nRMSE.

    By relative error and by cosine: a method whose steps have another length than the
    meta-gradient (Reptile's) has an error of about 1 whatever its direction.
    """
    error, cosine = (_rank_correlations(training, main, by) for by in ("relative_error", "cosine"))
    if not error or not cosine:
        return "Too few methods have both a fidelity and a test error to compare them."
    agreeing = sum(value > 0 for value in error), sum(value < 0 for value in cosine)
    return _sentence(
        [
            "within a setting, the rank correlation of the meta-gradient's relative error and the "
            f"test nRMSE is {np.mean(error):+.2f} on average, positive (the truer gradient, the "
            f"smaller error) in {agreeing[0]} of {len(error)} settings",
            f"that of its cosine {np.mean(cosine):+.2f}, negative (the truer, the smaller) in "
            f"{agreeing[1]} of {len(cosine)}",
            *_among_baselines(training, main),
        ]
    )


def _among_baselines(training: pd.DataFrame, main: pd.DataFrame) -> list[str]:
    """The same of the paper's rivals alone: ours are alike in both, and would decide it."""
    rivals = main[main["label"].isin(BASELINES) | (main["kind"] != "method")]
    found = _rank_correlations(training, rivals, "relative_error")
    if not found or len(rivals) == len(main):
        return []
    return [
        f"among the baselines alone that of the error is {np.mean(found):+.2f}, positive in "
        f"{sum(value > 0 for value in found)} of {len(found)}"
    ]


def _rank_correlations(training: pd.DataFrame, main: pd.DataFrame, by: str) -> list[float]:
    """Of each setting in which there are methods enough to rank."""
    found = []
    for _, rows in fidelity_points(training, main).groupby("setting", sort=False):
        pairs = rows[[by, "nrmse"]].dropna()
        if len(pairs) > 2 and all(pairs[name].nunique() > 1 for name in pairs):
            found.append(float(stats.spearmanr(pairs[by], pairs["nrmse"]).statistic))
    return found


def audit_sentence(table: pd.DataFrame) -> str:
    """From `audit.csv`: readings of all methods and rating settings within the factor."""
    methods = table[table["kind"] == "method"]
    names = {
        how: [READINGS[name].text for name in READINGS if nearness(methods, name) == how]
        for how in ("every", "some", "no")
    }
    said = f"of {len(READINGS)} readings of nRMSE, {len(names['every'])} come"
    text = f"{said} within a factor {NEAR:g} of {PAPER_EXAMPLE} for every method and rating setting"
    if names["every"]:
        text += f" ({'; '.join(names['every'])})"
    text += f", {len(names['some'])} for some"
    if names["some"]:
        text += f" ({'; '.join(names['some'])})"
    return _sentence([f"{text}, {len(names['no'])} for none"])


def _shares(labels: Sequence[str]) -> str:
    """Who is how often among some labels, the most frequent first."""
    counts = Counter(labels)
    order = sorted(counts, key=lambda label: (-counts[label], label_order(label)))
    if len(order) == 1:
        return f"that of {label_title(order[0])} in {_of(len(labels))}"
    each = ", ".join(f"{label_title(label)} ({counts[label]})" for label in order)
    return f"that of {each} among {len(labels)} synthetic settings"


def _of(count: int) -> str:
    """Settings of the table: synthetic ones only."""
    named = {1: "the one synthetic setting", 2: "both synthetic settings"}
    return named.get(count, f"all {count} synthetic settings")


def _span(values: pd.Series) -> str:
    there = values.dropna()
    if there.empty:
        return "unknown"
    low, high = f"{there.min():.2g}", f"{there.max():.2g}"
    return low if low == high else f"{low} to {high}"


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _read(tables: Path, name: str) -> pd.DataFrame | None:
    path = tables / f"{name}.csv"
    return pd.read_csv(path) if path.is_file() else None
