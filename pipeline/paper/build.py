"""`claims.csv` and what else is said of this paper: the one room that another paper would replace.

claims.csv    each claim of the paper and of this project, setting by setting
claims.md     the same as a matrix of symbols, for people
audit.md      readings of nRMSE side by side with the paper's order of magnitude
ablation.md   where paper, released code and this project differ, with the effects
"""

from pathlib import Path

from pipeline.files import write_text
from pipeline.paper.ablation import ablation_markdown
from pipeline.paper.accuracy import accuracy_claims, truer_is_better
from pipeline.paper.audit import audit_markdown
from pipeline.paper.claims import (
    ALL,
    BETTER,
    CLAIM_COLUMNS,
    NO_DIFFERENCE,
    NOT_JUDGED,
    NOT_MEASURED,
    OURS,
    PAPER,
    SMOKE_RUN,
    WORSE,
    too_small,
)
from pipeline.paper.measurements import measurement_claims
from pipeline.paper.ratings import rating_claims
from pipeline.tables.build import Tables
from pipeline.tables.files import Row, cell, write_table

SYMBOLS = {BETTER: "▲", WORSE: "▽", NO_DIFFERENCE: "–", NOT_JUDGED: "·"}
_SOURCES = {PAPER: "Claims of the paper", OURS: "Claims of this project"}
_HEAD = (
    "▲ better, ▽ worse, – no difference shown, · not judged, blank: not tested there. Better and "
    "worse are decided on held-out tasks by a paired test after Holm's correction; of several "
    "rivals or steps the one in which the method does worst decides. Numbers: `claims.csv`."
)


def write_claims(results_dir: Path, tables: Tables, grid: str) -> None:
    """Write what the tables say of the claims, beside them.

    Args:
        results_dir: `results/{grid}`.
        tables: as `build_tables` gives them.
        grid: name of the grid, for headings.
    """
    folder = results_dir / "tables"
    rows = claim_rows(tables)
    write_table(folder, "claims", CLAIM_COLUMNS, rows)
    texts = {"claims": claims_markdown(grid, rows)}
    if "audit" in tables.rows:
        texts["audit"] = audit_markdown(grid, tables.frame("audit"))
    if "ablation" in tables.rows:
        texts["ablation"] = ablation_markdown(grid, tables.frame("ablation"))
    for name in ("claims", "audit", "ablation"):
        if name in texts:
            write_text(folder / f"{name}.md", texts[name])
        else:  # of what left the grid
            (folder / f"{name}.md").unlink(missing_ok=True)


def claim_rows(tables: Tables) -> list[Row]:
    """Rows of `claims.csv`: the paper's claims, then ours, each over all settings first."""
    measured = measurement_claims(tables.rows["costs"], tables.rows.get("stability", []))
    if all(too_small(runs) for runs in tables.runs):
        measured = [_not_judged(row) for row in measured]
    training, main = tables.frame("training"), tables.frame("main")
    rows = [
        *accuracy_claims(tables.compared),
        *truer_is_better(tables.compared, training, main),
        *measured,
        *rating_claims(tables.compared),
    ]
    return sorted(rows, key=lambda row: [*_SOURCES].index(row["source"]))


def claims_markdown(grid: str, rows: list[Row]) -> str:
    """The claims of test errors as a matrix, and the measurements with their bounds."""
    lines = [f"# Claims, grid `{grid}`", "", _HEAD]
    settings = list(dict.fromkeys(row["setting"] for row in rows if row.get("dataset")))
    at = {(row["claim"], row["setting"]): row for row in rows}
    for source, heading in _SOURCES.items():
        own = [
            row
            for row in rows
            if row["source"] == source and row["setting"] == ALL and row.get("why") != NOT_MEASURED
        ]
        if not own:
            continue
        lines += ["", f"## {heading}", "", "| claim | outcome | met in | value | bound |"]
        lines += ["|:---|:---|:---|---:|---:|"]
        for row in own:
            word = f"{row['outcome']}: {row['why']}" if row.get("why") else row["outcome"]
            met = f"{row['held']} of {row['cases']}" if row["cases"] else ""
            numbers = [_short(row.get("value")), _short(row.get("bound"))]
            lines.append("| " + " | ".join([row["text"], word, met, *numbers]) + " |")
        tested = [row for row in own if any((row["claim"], s) in at for s in settings)]
        if not tested:
            continue
        lines += ["", "| setting | " + " | ".join(f"`{row['claim']}`" for row in tested) + " |"]
        lines += ["|:---|" + ":---:|" * len(tested)]
        for setting in settings:
            found = [at.get((row["claim"], setting)) for row in tested]
            marks = [SYMBOLS[row["outcome"]] if row else "" for row in found]
            lines.append("| " + " | ".join([f"`{setting}`", *marks]) + " |")
    return "\n".join(lines) + "\n"


def _short(value: float | None) -> str:
    return "" if value is None or not cell(float(value)) else f"{value:.3g}"


def _not_judged(row: Row) -> Row:
    """A measurement of a grid that is too small to judge by; its numbers stay."""
    if row["setting"] == ALL:
        row = row | {"held": 0, "cases": 0}
    return row | {"outcome": NOT_JUDGED, "met": None, "why": row.get("why") or SMOKE_RUN}
