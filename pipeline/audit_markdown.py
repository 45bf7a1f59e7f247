"""`audit.md`: the metric audit for people, a paragraph and a table of readings per data set."""

from collections.abc import Mapping

import pandas as pd

from pipeline.audit import READINGS
from pipeline.audit_paragraphs import is_near, paragraph, span
from pipeline.labels import DATASETS, TRIVIAL, UNTRAINED, label_title
from pipeline.paper_numbers import PAPER_EXAMPLE


def audit_markdown(grid: str, rows: pd.DataFrame, companions: Mapping[str, pd.DataFrame]) -> str:
    """The audit as Markdown.

    Args:
        grid: name of the grid.
        rows: `audit.csv` (`audit.audited`), in the order to show.
        companions: `main.csv` of companion grids, by grid.
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
        lines += [paragraph(rows, dataset, companions), "", *_table(own)]
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
