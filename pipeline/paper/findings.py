"""What each figure, and the audit, shows in one computed sentence: `tables/findings.json`.

A figure's sentence is one function of the folder of tables, and one line in `FINDINGS`; it is
None where the grid lacks the table.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.titles import DATASETS, label_title
from pipeline.config.variants import fixed_horizon
from pipeline.files import write_json
from pipeline.paper.ablation import ablation_finding
from pipeline.paper.costs import (
    audit_finding,
    equal_cost_finding,
    fidelity_nrmse_finding,
    ledger_finding,
)
from pipeline.paper.ratings import ratings_finding
from pipeline.paper.studies import (
    fidelity_finding,
    noise_finding,
    stability_finding,
    stiffness_finding,
)
from pipeline.tables.comparisons import ALPHA

# What `horizons.csv` and `early_stopping.csv` say, in one sentence.

FEW = 10  # test steps after which a quick start is judged


def horizons_finding(tables: Path) -> str | None:
    """The sentence from the two tables; None where the grid has no long horizons."""
    path, early = (tables / f"{name}.csv" for name in ("horizons", "early_stopping"))
    if not path.is_file():
        return None
    said = horizon_sentence(pd.read_csv(path))
    if said and early.is_file():
        table = pd.read_csv(early)
        said += f"; {early_sentence(table)}" if table["own"].any() else ""
    return f"{said}." if said else None


def horizon_sentence(table: pd.DataFrame) -> str | None:
    """Up to which T longer training pays; early stopping apart, None without a finite error."""
    fixed = table[table["label"].map(fixed_horizon).isna() & np.isfinite(table["nrmse"])]
    least = []
    for (dataset, label), line in fixed[fixed["own"]].groupby(["dataset", "label"], sort=False):
        own = line.sort_values("inner_steps")
        best = own.loc[own["nrmse"].idxmin()]
        shown = own[own["horizon"].isin([own["horizon"].iloc[i] for i in (0, -1)])]
        shown = pd.concat([shown, own[own["horizon"] == best["horizon"]]]).drop_duplicates()
        each = ", ".join(
            f"{row.nrmse:.3g} at T = {row.horizon:g}"
            for row in shown.sort_values("inner_steps").itertuples()
        )
        where = f"{DATASETS.get(dataset, dataset)} with {label_title(label)}"
        least.append(f"T = {best['horizon']:g} on {where} ({each})")
    if not least:
        return None
    text = f"The nRMSE at the trained horizon itself is least for {', '.join(least)}"
    steps = sorted(int(step) for step in set(fixed["step"]))
    for step in sorted({min((s for s in steps if s >= FEW), default=steps[-1]), steps[-1]}):
        longest, of = _leads(fixed[fixed["step"] == step])
        text += f"; after {step:,} test steps the longest training leads in {longest} of {of} cases"
    return text


def early_sentence(table: pd.DataFrame) -> str:
    """In how many settings a horizon for each task is better or worse than the fixed one."""
    own = table[table["own"]]
    sure = own["p_holm"] < ALPHA
    better = int((sure & (own["difference"] < 0) & (own["rank_biserial"] < 0)).sum())
    worse = int((sure & (own["difference"] > 0) & (own["rank_biserial"] > 0)).sum())
    return (
        f"a horizon for each task beats the fixed one at the trained horizon in {better} of "
        f"{len(own)} pairs of family and T and loses in {worse}"
    )


def _leads(rows: pd.DataFrame) -> tuple[int, int]:
    """Family and method pairs in which the longest horizon is best, and pairs in all."""
    best = rows[rows["best_horizon"]]
    longest = rows.groupby(["dataset", "label"])["inner_steps"].max()
    leads = best.set_index(["dataset", "label"])["inner_steps"]
    return int((leads == longest.reindex(leads.index)).sum()), len(longest)


# What `choices.csv` says, in one sentence.


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


FINDINGS: dict[str, Callable[[Path], str | None]] = {
    "stability": stability_finding,
    "fidelity": fidelity_finding,
    "noise": noise_finding,
    "stiffness": stiffness_finding,
    "ledger": ledger_finding,
    "fidelity_nrmse": fidelity_nrmse_finding,
    "equal_cost": equal_cost_finding,
    "audit": audit_finding,
    "ablation": ablation_finding,
    "horizons": horizons_finding,
    "choices": choices_finding,
    "ratings": ratings_finding,
}


def write_findings(tables: Path) -> None:
    """Write `tables/findings.json`: {figure: sentence} of the tables that are there."""
    found = {name: sentence(tables) for name, sentence in FINDINGS.items()}
    write_json(
        tables / "findings.json", {name: text for name, text in found.items() if text is not None}
    )
