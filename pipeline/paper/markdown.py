"""`claims.md`, `audit.md`, `ablation.md`: what is said of this paper, for people."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from pipeline.config.titles import DATASETS, TRIVIAL, UNTRAINED, label_title
from pipeline.paper.claims import (
    ALL,
    BETTER,
    NO_DIFFERENCE,
    NOT_JUDGED,
    NOT_MEASURED,
    OURS,
    PAPER,
    WORSE,
)
from pipeline.tables.ablation import TEXTS, measure_of_effects, outcome, setting_title, signed
from pipeline.tables.audit import READINGS
from pipeline.tables.files import Row, cell

PAPER_EXAMPLE = 0.053
"""The order of magnitude of the nRMSE that the paper prints for rating data.

Li, Wang, Narayan, Kirby, Zhe, AISTATS 2023, arXiv:2110.08432. One figure, known from a reading of
the paper without its cell; compared with no method of ours, and never a target.
"""
NEAR = 2.0  # a factor: our numbers and the paper's are of one order of magnitude
SYMBOLS = {BETTER: "▲", WORSE: "▽", NO_DIFFERENCE: "–", NOT_JUDGED: "·"}
SOURCES = {PAPER: "Claims of the paper", OURS: "Claims of this project"}
_CLAIMS_HEAD = (
    "▲ better, ▽ worse, – no difference shown, · not judged, blank: not tested there. Better and "
    "worse are decided on held-out tasks by a paired test after Holm's correction; of several "
    "rivals or steps the one in which the method does worst decides. Numbers: `claims.csv`."
)
_AUDIT_HEAD = (
    "The paper does not define its nRMSE and prints values of the order of "
    f"{PAPER_EXAMPLE} for rating data. Here every reading of it that we could think of is "
    "computed on the same held-out rows. e is the error and y the target of a task's n query "
    "rows, sd and range are those of the meta-training targets and the rating scale; means "
    "over test tasks and seeds. The paper's numbers are no target, and nothing is tuned "
    "toward them."
)
_ABLATION_HEAD = (
    "Effect: $error with the authors' way at this point alone, minus $error with ours, at the "
    "trained horizon; positive: the authors' way is worse. In brackets the 95% interval. "
    "\\* marks p < 0.05, Holm-corrected over the switches of a setting: Wilcoxon signed-rank "
    "over pairs of seed and test task where both ways meet the same test tasks, Welch's test "
    "of the seeds' means where they do not (°). All numbers: `ablation.csv`."
)


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], align: Sequence[str] = ()
) -> list[str]:
    """Lines of a table, with a blank one before it."""
    marks = align or ["---"] * len(heads)
    body = ["| " + " | ".join(cells) + " |" for cells in (heads, *rows)]
    return ["", body[0], "|" + "|".join(marks) + "|", *body[1:]]


def _escaped(text: str) -> str:
    return text.replace("|", r"\|")


def claims_markdown(grid: str, rows: list[Row]) -> str:
    """The claims of test errors as a matrix, and the measurements with their bounds."""
    lines = [f"# Claims, grid `{grid}`", "", _CLAIMS_HEAD]
    settings = list(dict.fromkeys(row["setting"] for row in rows if row.get("dataset")))
    at = {(row["claim"], row["setting"]): row for row in rows}
    for source, heading in SOURCES.items():
        own = [
            row
            for row in rows
            if row["source"] == source and row["setting"] == ALL and row.get("why") != NOT_MEASURED
        ]
        if not own:
            continue
        lines += ["", f"## {heading}"]
        heads = ("claim", "outcome", "met in", "value", "bound")
        lines += _table(heads, map(_claim_cells, own), (":---", ":---", ":---", "---:", "---:"))
        tested = [row["claim"] for row in own if any((row["claim"], s) in at for s in settings)]
        if tested:
            signs = [
                [f"`{s}`", *(SYMBOLS[at[c, s]["outcome"]] if (c, s) in at else "" for c in tested)]
                for s in settings
            ]
            marked = ["setting", *(f"`{claim}`" for claim in tested)]
            lines += _table(marked, signs, [":---", *[":---:"] * len(tested)])
    return "\n".join(lines) + "\n"


def _claim_cells(row: Row) -> list[str]:
    word = f"{row['outcome']}: {row['why']}" if row.get("why") else row["outcome"]
    met = f"{row['held']} of {row['cases']}" if row["cases"] else ""
    numbers = (row.get(name) for name in ("value", "bound"))
    shown = ["" if x is None or not cell(float(x)) else f"{x:.3g}" for x in numbers]
    return [row["text"], word, met, *shown]


def audit_markdown(grid: str, rows: pd.DataFrame) -> str:
    """Every reading of "nRMSE" side by side, a table of readings per data set.

    Args:
        grid: name of the grid.
        rows: `audit.csv` (`audit.audited`), in the order to show.
    """
    lines = [f"# Metric audit, grid `{grid}`", "", _AUDIT_HEAD]
    for dataset, own in rows.groupby("dataset", sort=False):
        simulated = " (SIMULATED data)" if own["simulated"].iloc[0] else ""
        settings = ", ".join(f"`{setting}`" for setting in dict.fromkeys(own["setting"]))
        lines += [
            *("", f"## {DATASETS.get(str(dataset), str(dataset))}{simulated}"),
            *_readings(own),
            "",
            f"Least to largest over {settings}; \\* where one lies within a factor 2 of "
            f"{PAPER_EXAMPLE}.",
        ]
    return "\n".join(lines) + "\n"


def _readings(own: pd.DataFrame) -> list[str]:
    """Readings x predictors: least to largest over settings, `*` where one comes near."""
    trivial = [name for name in TRIVIAL if name in set(own["label"])]
    groups = {"methods": own[own["kind"] == "method"]}
    groups |= {label_title(name): own[own["label"] == name] for name in (UNTRAINED, *trivial)}
    rows = [
        [_escaped(reading.text), *(span(group[name]) for group in groups.values())]
        for name, reading in READINGS.items()
    ]
    return _table(["reading", *groups], rows)


def span(values: pd.Series) -> str:
    """Least and largest of some numbers, one number where they print alike; `*` near the paper."""
    there = values.dropna()
    if there.empty:
        return ""
    low, high = f"{there.min():.2g}", f"{there.max():.2g}"
    text = low if low == high else f"{low} to {high}"
    return text + (r" \*" if any(map(is_near, there)) else "")


def is_near(value: float) -> bool:
    """Whether a value lies within a factor `NEAR` of the paper's example."""
    return PAPER_EXAMPLE / NEAR <= value <= PAPER_EXAMPLE * NEAR


def ablation_markdown(grid: str, table: pd.DataFrame) -> str:
    """The points that were switched, what paper, released code and we do, and the effects.

    Args:
        table: as `ablation.csv` holds it, one grid after another.
    """
    title = f"# What the authors' code does otherwise, point by point, grid `{grid}`"
    steps = dict(zip(table["setting"], table["inner_steps"], strict=True))
    effects = [f"effect: {setting_title(table, s)}, after {steps[s]} steps" for s in steps]
    rows = []
    for point, texts in TEXTS.items():
        here = table[table["point"] == point]
        if len(here):
            told = (texts.title, texts.paper, texts.released, texts.ours)
            by_setting = [here[here["setting"] == setting].to_dict("records") for setting in steps]
            cells = ["; ".join(map(_effect, records)) or "–" for records in by_setting]
            rows.append([*map(_escaped, told), *cells])
    heads = ["point", "paper", "authors' released code", "ours", *effects]
    lines = [
        title,
        "",
        measure_of_effects(table).said(_ABLATION_HEAD),
        *_table(heads, rows, [":---"] * len(heads)),
    ]
    return "\n".join(lines) + "\n"


def _effect(row: dict) -> str:
    name = label_title(row["label"])
    if not np.isfinite(row["effect"]):
        return f"{name}: {row['status']}"
    text = f"{name} {signed(row['effect'])}"
    if np.isfinite(row["lo"]):
        text += f" [{signed(row['lo'])}, {signed(row['hi'])}]"
    marks = ("" if outcome(row) == "same" else "\\*") + ("" if row["paired"] else "°")
    return text + marks
