"""`audit.md`: every reading of "nRMSE" side by side, a table of readings per data set."""

from collections.abc import Iterable

import pandas as pd

from pipeline.config.titles import DATASETS, TRIVIAL, UNTRAINED, label_title
from pipeline.tables.audit import READINGS

PAPER_EXAMPLE = 0.053
"""The order of magnitude of the nRMSE that the paper prints for rating data.

Li, Wang, Narayan, Kirby, Zhe, AISTATS 2023, arXiv:2110.08432. One figure, known from a reading of
the paper without its cell; compared with no method of ours, and never a target.
"""
NEAR = 2.0  # a factor: our numbers and the paper's are of one order of magnitude


def is_near(value: float) -> bool:
    """Whether a value lies within a factor `NEAR` of the paper's example."""
    return PAPER_EXAMPLE / NEAR <= value <= PAPER_EXAMPLE * NEAR


def span(values: Iterable[float]) -> str:
    """Least and largest of some numbers as text, one number where they print alike."""
    there = [value for value in values if pd.notna(value)]
    if not there:
        return "unknown"
    low, high = (f"{value:.2g}" for value in (min(there), max(there)))
    return low if low == high else f"{low} to {high}"


def audit_markdown(grid: str, rows: pd.DataFrame) -> str:
    """The audit as Markdown.

    Args:
        grid: name of the grid.
        rows: `audit.csv` (`audit.audited`), in the order to show.
    """
    lines = [
        f"# Metric audit, grid `{grid}`",
        "",
        "The paper does not define its nRMSE and prints values of the order of "
        f"{PAPER_EXAMPLE} for rating data. Here every reading of it that we could think of is "
        "computed on the same held-out rows. e is the error and y the target of a task's n query "
        "rows, sd and range are those of the meta-training targets and the rating scale; means "
        "over test tasks and seeds. The paper's numbers are no target, and nothing is tuned "
        "toward them.",
    ]
    for dataset in dict.fromkeys(rows["dataset"]):
        own = rows[rows["dataset"] == dataset]
        simulated = " (SIMULATED data)" if own["simulated"].iloc[0] else ""
        lines += ["", f"## {DATASETS.get(dataset, dataset)}{simulated}", ""]
        lines += _table(own)
    return "\n".join(lines) + "\n"


def _table(own: pd.DataFrame) -> list[str]:
    """Readings x predictors: least to largest over settings, `*` where one comes near."""
    trivial = [name for name in TRIVIAL if name in set(own["label"])]
    groups = {
        "methods": own[own["kind"] == "method"],
        **{label: own[own["label"] == label] for label in (UNTRAINED, *trivial)},
    }
    titles = ["reading", *("methods" if g == "methods" else label_title(g) for g in groups)]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    for name, reading in READINGS.items():
        cells = [_cell(rows[name]) for rows in groups.values()]
        text = reading.text.replace("|", r"\|")
        lines.append("| " + " | ".join([text, *cells]) + " |")
    settings = ", ".join(f"`{setting}`" for setting in dict.fromkeys(own["setting"]))
    return [
        *lines,
        "",
        f"Least to largest over {settings}; \\* where one lies within a factor 2 of "
        f"{PAPER_EXAMPLE}.",
    ]


def _cell(values: pd.Series) -> str:
    there = values.dropna()
    if there.empty:
        return ""
    return span(there) + (r" \*" if any(is_near(value) for value in there) else "")
