"""The ablation for people: `ablation.md`, and its finding in one sentence."""

from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.expand import ALL
from pipeline.config.titles import label_title
from pipeline.files import write_text
from pipeline.tables.ablation import TEXTS, outcome, setting_title, signed
from pipeline.tables.comparisons import ALPHA


def write_ablation(tables: Path, grid: str) -> None:
    """Write `ablation.md` from `ablation.csv`; remove it where there is none."""
    path, markdown = tables / "ablation.csv", tables / "ablation.md"
    if path.is_file():
        write_text(markdown, ablation_markdown(grid, pd.read_csv(path)))
    else:
        markdown.unlink(missing_ok=True)


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


def ablation_finding(tables: Path) -> str | None:
    """The sentence from `ablation.csv`; None without one."""
    path = tables / "ablation.csv"
    return ablation_sentence(pd.read_csv(path)) if path.is_file() else None


def ablation_sentence(table: pd.DataFrame) -> str | None:
    """How many switches matter, and which one most in each setting; None without an effect."""
    alone = table[table["point"] != ALL]
    rows = alone[np.isfinite(alone["effect"])].to_dict("records")
    if not rows:
        return None
    told = [outcome(row) for row in rows]
    parts = [
        f"Of {len(rows)} single switches to the authors' way, {told.count('worse')} raise the "
        f"nRMSE, {told.count('better')} lower it and {told.count('same')} do neither for sure "
        f"(p < {ALPHA:g}, Holm-corrected)"
    ]
    largest = []
    for setting in dict.fromkeys(row["setting"] for row in rows):
        here = [row for row in rows if row["setting"] == setting]
        top = max(here, key=lambda row: abs(row["effect"]))
        title = TEXTS[top["point"]].title
        largest.append(
            f"{title} with {label_title(top['label'])} on {setting_title(table, setting)} "
            f"({signed(top['effect'])} on {top['nrmse_ours']:.3g})"
        )
    parts.append(f"the largest effect is that of the {' and of the '.join(largest)}")
    n_lost = len(alone) - len(rows)
    if n_lost:
        parts.append(f"{n_lost} more failed or diverged")
    return "; ".join(parts) + "."


def _cell(row: dict) -> str:
    name = label_title(row["label"])
    if not np.isfinite(row["effect"]):
        return f"{name}: {row['status']}"
    text = f"{name} {signed(row['effect'])}"
    if np.isfinite(row["lo"]):
        text += f" [{signed(row['lo'])}, {signed(row['hi'])}]"
    marks = ("" if outcome(row) == "same" else "\\*") + ("" if row["paired"] else "°")
    return text + marks
