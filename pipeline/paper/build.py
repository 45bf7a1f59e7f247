"""`claims.csv` and what else is said of this paper: the one room that another paper would replace.

claims.csv    each claim of the paper and of this project, setting by setting
claims.md     the same as a matrix of symbols, for people
audit.md      readings of nRMSE side by side with the paper's order of magnitude
ablation.md   where paper, released code and this project differ, with the effects
"""

from pathlib import Path

from pipeline.config.titles import is_own
from pipeline.files import write_text
from pipeline.paper.accuracy import (
    accuracy_claims,
    best_claims,
    predictor_claims,
    rating_claims,
    truer_is_better,
)
from pipeline.paper.claims import ALL, CLAIM_COLUMNS, NOT_JUDGED, SMOKE_RUN, too_small
from pipeline.paper.markdown import SOURCES, ablation_markdown, audit_markdown, claims_markdown
from pipeline.paper.measurements import measurement_claims
from pipeline.tables.build import Tables
from pipeline.tables.files import Row, write_table


def write_claims(results_dir: Path, tables: Tables, grid: str) -> None:
    """Write what the tables say of the claims, beside them.

    Args:
        results_dir: `results/{grid}`.
        tables: as `build_tables` gives them.
        grid: name of the grid, for headings.
    """
    folder = results_dir / "tables"
    if rows := claim_rows(tables):
        write_table(folder, "claims", CLAIM_COLUMNS, rows)
        write_text(folder / "claims.md", claims_markdown(grid, rows))
    else:
        for name in ("claims.csv", "claims.md"):
            (folder / name).unlink(missing_ok=True)
    for name, text_of in (("audit", audit_markdown), ("ablation", ablation_markdown)):
        path = folder / f"{name}.md"
        if name in tables.rows:
            write_text(path, text_of(grid, tables.frame(name)))
        else:  # of what left the grid
            path.unlink(missing_ok=True)


def claim_rows(tables: Tables) -> list[Row]:
    """Rows of `claims.csv`: the paper's claims, then ours, each over all settings first.

    Settings of a person's own data count for no claim; [] where the grid has no others.
    """
    compared = [setting for setting in tables.compared if not is_own(setting.runs.dataset)]
    if not compared:
        return []
    measured = measurement_claims(tables.rows["costs"], tables.rows.get("stability", []))
    if all(too_small(setting.runs) for setting in compared):
        measured = [_not_judged(row) for row in measured]
    rows = [
        *accuracy_claims(compared),
        *truer_is_better(compared, tables.frame("training"), tables.frame("main")),
        *measured,
        *rating_claims(compared),
        *predictor_claims(compared),
        *best_claims(compared),
    ]
    return sorted(rows, key=lambda row: [*SOURCES].index(row["source"]))


def _not_judged(row: Row) -> Row:
    """A measurement of a grid that is too small to judge by; its numbers stay."""
    if row["setting"] == ALL:
        row = row | {"held": 0, "cases": 0}
    return row | {"outcome": NOT_JUDGED, "met": None, "why": row.get("why") or SMOKE_RUN}
