"""Run records to `results/{grid}/tables/`: CSV for machines, Markdown for people, JSON for DVC.

    main.csv             setting x (method | untrained | trivial predictor) at the test horizon
    main.md              the same, to read
    per_seed.csv         one row per run
    comparisons.csv      methods against one another, paired by test task
    verdicts.csv         claim -> does it hold here
    verdicts.md          the same and the next, to read
    rating_verdicts.csv  rating settings: our best method against item mean + user offset
    rating_verdicts.md   the same by data set, and why no gain is shown where there is none
    curves.csv           errors against test steps
    training.csv         meta-loss and validation error against meta-updates
    costs.csv            seconds and peak memory per meta-update against inner steps
    audit.csv, audit.md  readings of nRMSE side by side, where the grid has ratings
    equal_cost.csv       errors against what training cost, where it has synthetic families
    fidelity.csv, stability.csv, stiffness.csv   of the studies that the grid has
    ablation.csv, .md, horizons.csv, early_stopping.csv   of grids that have them, or whose
                         companions do (pipeline/tables/optional.py)
    findings.json        one sentence per figure that needs words (pipeline/paper/findings.py)
    summary.json         {setting: {label: {nrmse, rmse}}}; no timing, so that a difference means
                         something

The bytes depend on the records alone: rows are in the order of pipeline/config/titles.py, numbers
have six significant digits, what is undefined is blank. Standard errors:
pipeline/tables/pooling.py.
"""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.schema import SYNTHETIC_DATASETS
from pipeline.config.studies import STUDIES
from pipeline.files import write_json, write_text
from pipeline.paper.ablation import write_ablation
from pipeline.paper.audit import audit_markdown
from pipeline.paper.build import VERDICT_COLUMNS, verdict_rows, verdicts_markdown
from pipeline.paper.findings import write_findings
from pipeline.paper.ratings import RATING_COLUMNS, rating_rows, write_rating_reasons
from pipeline.tables.audit import AUDIT_COLUMNS, audit_rows, audited
from pipeline.tables.comparisons import COMPARISON_COLUMNS, Comparisons, mark_best
from pipeline.tables.equal_cost import EQUAL_COST_COLUMNS, equal_cost_rows
from pipeline.tables.extra_rows import EXTRA_COLUMNS, extra_rows
from pipeline.tables.grid import SettingRuns, read_grid
from pipeline.tables.main import MAIN_COLUMNS, PER_SEED_COLUMNS, Row, main_rows, per_seed_rows
from pipeline.tables.markdown import main_markdown
from pipeline.tables.other_grids import companion_tables
from pipeline.tables.series import (
    COST_COLUMNS,
    CURVE_COLUMNS,
    TRAINING_COLUMNS,
    cost_rows,
    curve_rows,
    training_rows,
)
from pipeline.tables.studies import study_tables

DIGITS = 6


def build_tables(
    results_dir: Path,
    *,
    grid: str,
    methods: list[str],
    settings: list[str],
    seeds: list[int],
    companions: Sequence[str] = (),
) -> None:
    """Read exactly the runs named below `results_dir`, write `results_dir/tables/`.

    Args:
        results_dir: `results/{grid}`, which holds `runs/` and perhaps `profile/` and `studies/`.
        grid: name of the grid, for the heading.
        methods, settings, seeds: the runs; their order does not matter.
        companions: grids whose committed tables and evidence may be shown or compared with.

    Raises:
        BadInput: when a run is missing, or runs that are compared met different test rows.
    """
    runs = read_grid(results_dir, methods=methods, settings=settings, seeds=seeds)
    compared = [Comparisons(setting) for setting in runs]
    main = mark_best(main_rows(runs), compared)
    costs = cost_rows(results_dir, runs[0].labels)
    ratings = rating_rows(compared)
    verdicts = verdict_rows(results_dir, compared, costs=costs, ratings=ratings)
    tables = results_dir / "tables"
    for name, columns, rows in (
        ("per_seed", PER_SEED_COLUMNS, per_seed_rows(runs)),
        ("curves", CURVE_COLUMNS, curve_rows(runs)),
        ("training", TRAINING_COLUMNS, training_rows(runs)),
        ("costs", COST_COLUMNS, costs),
        ("comparisons", COMPARISON_COLUMNS, [row for setting in compared for row in setting.rows]),
        ("rating_verdicts", RATING_COLUMNS, ratings),
        ("verdicts", VERDICT_COLUMNS, verdicts),
        ("main", MAIN_COLUMNS, main),
    ):
        write_text(tables / f"{name}.csv", csv_text(columns, rows))
    write_text(tables / "main.md", main_markdown(grid, main))
    write_text(tables / "verdicts.md", verdicts_markdown(grid, verdicts, ratings))
    write_json(tables / "summary.json", summary(main))
    _write_audit(tables, grid, runs, companion_tables(results_dir, companions, "main"))
    beside = companion_tables(results_dir, companions, "equal_cost")
    _write_equal_cost(tables, equal_cost_rows(grid, runs, costs, beside), runs)
    studies = study_tables(results_dir)
    for name in sum(STUDIES.values(), ()):
        if name in studies:
            write_text(tables / f"{name}.csv", csv_text(*studies[name]))
        else:  # of a study that left the grid
            (tables / f"{name}.csv").unlink(missing_ok=True)
    for name, rows in extra_rows(grid, runs, results_dir, companions).items():
        if rows:
            write_text(tables / f"{name}.csv", csv_text(EXTRA_COLUMNS[name], rows))
        else:  # of methods or settings that left the grid
            (tables / f"{name}.csv").unlink(missing_ok=True)
    write_ablation(tables, grid)
    write_rating_reasons(tables)
    write_findings(tables)


def _write_audit(
    tables: Path, grid: str, runs: list[SettingRuns], companions: Mapping[str, pd.DataFrame]
) -> None:
    rows = audit_rows(runs)
    if not rows:  # ratings left the grid
        for name in ("audit.csv", "audit.md"):
            (tables / name).unlink(missing_ok=True)
        return
    write_text(tables / "audit.csv", csv_text(AUDIT_COLUMNS, rows))
    write_text(tables / "audit.md", audit_markdown(grid, audited(rows), companions))


def _write_equal_cost(tables: Path, rows: list[Row], runs: list[SettingRuns]) -> None:
    if any(setting.dataset in SYNTHETIC_DATASETS for setting in runs):
        write_text(tables / "equal_cost.csv", csv_text(EQUAL_COST_COLUMNS, rows))
    else:
        (tables / "equal_cost.csv").unlink(missing_ok=True)


def csv_text(columns: Iterable[str], rows: Iterable[Row]) -> str:
    """Rows as CSV with a header; a missing value is blank."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = list(columns)
    writer.writerow(names)
    writer.writerows([cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def cell(value: Any) -> str:
    """A value as text: six significant digits, blank for what is missing or not finite."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.{DIGITS}g}" if np.isfinite(value) else ""
    return str(value)


def summary(rows: list[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """nRMSE and RMSE per setting and label; failed and diverged ones are left out."""
    nested: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        values = {key: row[key] for key in ("nrmse", "rmse")}
        if all(np.isfinite(value) for value in values.values()):
            nested.setdefault(row["setting"], {})[row["label"]] = {
                key: float(f"{value:.{DIGITS}g}") for key, value in values.items()
            }
    return nested
