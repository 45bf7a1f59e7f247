"""What `choices.csv` says, in one sentence."""

from pathlib import Path

import pandas as pd

from pipeline.labels import DATASETS, label_title


def choices_finding(tables: Path) -> str | None:
    """The sentence from the table; None where the grid has none."""
    path = tables / "choices.csv"
    return choices_sentence(pd.read_csv(path)) if path.is_file() else None


def choices_sentence(table: pd.DataFrame) -> str | None:
    """What the validation tasks choose for each method, and the test errors with and without."""
    parts = []
    for (setting, dataset), rows in table.groupby(["setting", "dataset"], sort=False):
        errors = dict(zip(rows["label"], rows["nrmse"], strict=True))
        chosen = {row["label"]: row["base"] for row in rows.to_dict("records") if row["chosen"]}
        if not chosen:
            continue
        each = []
        for label, base in chosen.items():
            change = "" if label == base else f" ({errors[base]:.3g} as given)"
            each.append(f"{label_title(label)} {errors[label]:.3g}{change}")
        best = min(chosen, key=lambda label: errors[label])
        shots = str(setting).removeprefix(f"{dataset}-")
        parts.append(
            f"on {DATASETS.get(str(dataset), dataset)} {shots} validation tasks choose, with these "
            f"test nRMSE at K, {', '.join(each)}; lowest is {label_title(best)}"
        )
    if not parts:
        return None
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
