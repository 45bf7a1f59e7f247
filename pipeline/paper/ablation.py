"""`ablation.md`: the points that were switched, what each of us does there, and the effects."""

import numpy as np
import pandas as pd

from pipeline.config.titles import label_title
from pipeline.tables.ablation import TEXTS, outcome, setting_title, signed


def ablation_markdown(grid: str, table: pd.DataFrame) -> str:
    """The points that were switched, what paper, released code and we do, and the effects.

    Args:
        table: as `ablation.csv` holds it, one grid after another.
    """
    settings = list(dict.fromkeys(table["setting"]))
    steps = {s: int(table.loc[table["setting"] == s, "inner_steps"].iloc[0]) for s in settings}
    heads = [f"effect: {setting_title(table, s)}, after {steps[s]} steps" for s in settings]
    lines = [
        f"# What the authors' code does otherwise, point by point, grid `{grid}`",
        "",
        "Effect: nRMSE with the authors' way at this point alone, minus nRMSE with ours, at the "
        "trained horizon; positive: the authors' way is worse. In brackets the 95% interval. "
        "\\* marks p < 0.05, Holm-corrected over the switches of a setting: Wilcoxon signed-rank "
        "over pairs of seed and test task where both ways meet the same test tasks, Welch's test "
        "of the seeds' means where they do not (°). All numbers: `ablation.csv`.",
        "",
        "| point | paper | authors' released code | ours | " + " | ".join(heads) + " |",
        "|" + ":---|" * (4 + len(heads)),  # columns of words
    ]
    for point, texts in TEXTS.items():
        rows = table[table["point"] == point]
        if rows.empty:
            continue
        told = (texts.title, texts.paper, texts.released, texts.ours)
        cells = [text.replace("|", "\\|") for text in told]
        for setting in settings:
            here = rows[rows["setting"] == setting].to_dict("records")
            cells.append("; ".join(_cell(row) for row in here) or "–")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(row: dict) -> str:
    name = label_title(row["label"])
    if not np.isfinite(row["effect"]):
        return f"{name}: {row['status']}"
    text = f"{name} {signed(row['effect'])}"
    if np.isfinite(row["lo"]):
        text += f" [{signed(row['lo'])}, {signed(row['hi'])}]"
    marks = ("" if outcome(row) == "same" else "\\*") + ("" if row["paired"] else "°")
    return text + marks
