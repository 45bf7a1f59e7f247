"""`verdicts.csv` and `verdicts.md`: each claim, whether it holds on these records, the figures."""

from dataclasses import asdict, fields
from pathlib import Path

from pipeline.config.titles import label_title
from pipeline.files import write_text
from pipeline.paper.ablation import write_ablation
from pipeline.paper.accuracy import accuracy_verdicts
from pipeline.paper.audit import audit_markdown
from pipeline.paper.claims import UNTESTED, Verdict
from pipeline.paper.findings import write_findings
from pipeline.paper.measurements import measurement_verdicts
from pipeline.paper.ratings import (
    RATING_COLUMNS,
    rating_claim,
    rating_rows,
    write_rating_reasons,
)
from pipeline.tables.build import Tables
from pipeline.tables.comparisons import Comparisons
from pipeline.tables.files import Row, write_table

VERDICT_COLUMNS = tuple(field.name for field in fields(Verdict))
_SOURCES = {"paper": "Claims of the paper", "ours": "Claims of this project"}


def write_claims(results_dir: Path, tables: Tables, grid: str) -> None:
    """Write what the tables say of the claims, beside them.

    Args:
        results_dir: `results/{grid}`, which may hold `studies/`.
        tables: as `build_tables` gives them.
        grid: name of the grid, for headings.
    """
    folder = results_dir / "tables"
    ratings = rating_rows(tables.compared)
    verdicts = verdict_rows(
        results_dir, tables.compared, costs=tables.rows["costs"], ratings=ratings
    )
    write_table(folder, "rating_verdicts", RATING_COLUMNS, ratings)
    write_table(folder, "verdicts", VERDICT_COLUMNS, verdicts)
    write_text(folder / "verdicts.md", verdicts_markdown(grid, verdicts, ratings))
    if "audit" in tables.rows:
        text = audit_markdown(grid, tables.frame("audit"), tables.beside)
        write_text(folder / "audit.md", text)
    else:  # ratings left the grid
        (folder / "audit.md").unlink(missing_ok=True)
    write_ablation(folder, grid)
    write_rating_reasons(folder)
    write_findings(folder)


def verdict_rows(
    results_dir: Path, settings: list[Comparisons], *, costs: list[Row], ratings: list[Row]
) -> list[Row]:
    """Rows of `verdicts.csv`: the paper's claims, then ours.

    Args:
        results_dir: `results/{grid}`, which may hold `studies/`.
        settings: the comparisons of every setting.
        costs: rows of `costs.csv`.
        ratings: rows of `rating_verdicts.csv`.
    """
    verdicts = [
        *accuracy_verdicts(settings),
        *measurement_verdicts(results_dir, costs),
        rating_claim(ratings),
    ]
    order = list(_SOURCES)
    return [asdict(v) for v in sorted(verdicts, key=lambda verdict: order.index(verdict.source))]


def verdicts_markdown(grid: str, verdicts: list[Row], ratings: list[Row]) -> str:
    """The rows of `verdicts.csv` and `rating_verdicts.csv` for people."""
    lines = [
        f"# Verdicts on the claims, grid `{grid}`",
        "",
        "Errors are those of held-out test tasks. Better and worse mean p < 0.05 by the Wilcoxon "
        "signed-rank test over pairs of seed and test task, Holm-corrected over all predictors a "
        "method is compared with, and a mean difference of the same sign (`comparisons.csv`). "
        "Baselines are MAML, MAML with 1 step, FOMAML, Reptile and iMAML, as far as the grid has "
        "them and they finished in a seed; a method of ours that failed in a seed is not called "
        "better. The rank test takes pairs for independent and does not see that seeds scatter; "
        "the intervals in `comparisons.csv` do. SIMULATED ratings count for no claim. Memory, "
        "time and stability are measurements on one machine, without a test.",
    ]
    for source, heading in _SOURCES.items():
        lines += [
            "",
            f"## {heading}",
            "",
            "| claim | verdict | cases | found |",
            "|---|---|---|---|",
        ]
        for row in verdicts:
            if row["source"] == source:
                cases = f"{row['held']} of {row['tested']}" if row["tested"] else ""
                cells = (row["text"], row["verdict"], cases, row["figures"])
                lines.append("| " + " | ".join(cells) + " |")
    if ratings:
        lines += ["", *_rating_lines(ratings)]
    return "\n".join(lines) + "\n"


def _rating_lines(ratings: list[Row]) -> list[str]:
    header = (
        *("setting", "best of ours", "nRMSE", "RMSE", "offset's nRMSE", "offset's RMSE"),
        *("difference in nRMSE (95 % interval)", "p", "verdict"),
    )
    return [
        "## Rating data: the best of our methods against item mean + user offset",
        "",
        "p is multiplied by the number of our methods, because the best is picked on these tasks.",
        "",
        "| " + " | ".join(header) + " |",
        "|" + "---|" * len(header),
        *("| " + " | ".join(_rating_cells(row)) + " |" for row in ratings),
    ]


def _rating_cells(row: Row) -> list[str]:
    name = row["setting"] + (" (SIMULATED data)" if row["simulated"] else "")
    if row["verdict"] == UNTESTED:
        return [name, *[""] * 7, UNTESTED]
    errors = [f"{row[key]:.4g}" for key in ("nrmse", "rmse", "offset_nrmse", "offset_rmse")]
    change = f"{row['difference']:+.2g} ({row['lo']:+.2g} to {row['hi']:+.2g})"
    p = f"{row['p_corrected']:.2g}"
    return [name, label_title(row["method"]), *errors, change, p, row["verdict"]]
