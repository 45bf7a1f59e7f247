"""Run records to `results/{grid}/tables/`: CSV for machines, Markdown for people, JSON for DVC.

    main.csv             setting x (method | untrained | trivial predictor) at the test horizon
    main.md              the same, to read
    per_seed.csv         one row per run
    comparisons.csv      methods against one another, paired by test task
    curves.csv           errors against test steps
    training.csv         meta-loss and validation error against meta-updates
    costs.csv            seconds and peak memory per meta-update against inner steps
    norms.csv, aggregation.csv   where a grid scales tasks' meta-gradients, or varies how
    audit.csv            readings of nRMSE side by side, where the grid has ratings of an archive
    equal_cost.csv       errors against what training cost, where it has synthetic families
    fidelity.csv, noise.csv, stability.csv, stiffness.csv   of the studies that the grid has
    ablation.csv, horizons.csv, early_stopping.csv, choices.csv   of grids that have them, or
                         whose companions do
    summary.json         {setting: {label: {nrmse, rmse}}}, of classes {log_loss, accuracy}; no
                         timing, so that a difference means something

What these say of claims is written beside them by `pipeline/paper`, from the rows in memory.

The bytes depend on the records alone: rows are in the order of pipeline/config/titles.py, numbers
have six significant digits, what is undefined is blank (pipeline/tables/files.py). Standard
errors: pipeline/tables/pooling.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.config.measures import Measure
from pipeline.data.families import FAMILIES
from pipeline.files import write_json, write_text
from pipeline.tables.ablation import ablation_columns, ablation_rows
from pipeline.tables.aggregation import aggregation_columns, aggregation_rows
from pipeline.tables.audit import AUDIT_COLUMNS, audit_rows
from pipeline.tables.comparisons import COMPARISON_COLUMNS, Comparisons, mark_best
from pipeline.tables.equal_cost import EQUAL_COST_COLUMNS, equal_cost_rows
from pipeline.tables.files import Row, cell, companion_tables, write_table
from pipeline.tables.grid import SettingRuns, read_grid
from pipeline.tables.horizons import EARLY_COLUMNS, HORIZON_COLUMNS, early_rows, horizon_rows
from pipeline.tables.main import main_columns, main_rows, per_seed_columns, per_seed_rows
from pipeline.tables.markdown import main_markdown
from pipeline.tables.norms import NORM_COLUMNS, norm_rows
from pipeline.tables.series import (
    COST_COLUMNS,
    cost_rows,
    curve_columns,
    curve_rows,
    training_columns,
    training_rows,
)
from pipeline.tables.studies import STUDY_COLUMNS, study_rows
from pipeline.tables.tuning import choice_columns, choice_rows


def columns_of(measure: Measure) -> dict[str, tuple[str, ...]]:
    """Columns of each table of a grid with this measure."""
    return {
        "main": main_columns(measure),
        "per_seed": per_seed_columns(measure),
        "comparisons": COMPARISON_COLUMNS,
        "curves": curve_columns(measure),
        "training": training_columns(measure),
        "norms": NORM_COLUMNS,
        "costs": COST_COLUMNS,
        "audit": AUDIT_COLUMNS,
        "equal_cost": EQUAL_COST_COLUMNS,
        **STUDY_COLUMNS,
        "ablation": ablation_columns(measure),
        "horizons": HORIZON_COLUMNS,
        "early_stopping": EARLY_COLUMNS,
        "aggregation": aggregation_columns(measure),
        "choices": choice_columns(measure),
    }


@dataclass(frozen=True)
class Tables:
    """The tables of a grid in memory.

    Attributes:
        grid: its name.
        runs: its runs, a setting each, in canonical order.
        compared: the comparisons of each setting.
        rows: of each table that the grid has, by name, unrounded.
        beside: the committed `main.csv` of companions, by grid.
    """

    grid: str
    runs: list[SettingRuns]
    compared: list[Comparisons]
    rows: dict[str, list[Row]]
    beside: Mapping[str, pd.DataFrame]

    @property
    def measure(self) -> Measure:
        """Of its runs: a grid has one."""
        return self.runs[0].measure

    def frame(self, name: str) -> pd.DataFrame:
        """A table with all its columns; without rows where the grid does not have it."""
        columns = columns_of(self.measure)[name]
        return pd.DataFrame(self.rows.get(name, []), columns=list(columns))


def build_tables(
    results_dir: Path,
    *,
    grid: str,
    methods: list[str],
    settings: list[str],
    seeds: list[int],
    companions: Sequence[str] = (),
) -> Tables:
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
    costs = cost_rows(results_dir, runs[0].labels)
    rows = {
        "main": mark_best(main_rows(runs), compared),
        "per_seed": per_seed_rows(runs),
        "comparisons": [row for setting in compared for row in setting.rows],
        "curves": curve_rows(runs),
        "training": training_rows(runs),
        "costs": costs,
        **study_rows(results_dir),
    }
    if any(setting.dataset in FAMILIES for setting in runs):
        beside = companion_tables(results_dir, companions, "equal_cost")
        rows["equal_cost"] = equal_cost_rows(grid, runs, costs, beside)
    if norms := norm_rows(runs):
        rows["norms"] = norms
    if aggregation := aggregation_rows(grid, runs):
        rows["aggregation"] = aggregation
    if audit := audit_rows(runs):
        rows["audit"] = audit
    own = {
        "ablation": ablation_rows(grid, runs, results_dir, companions),
        "horizons": horizon_rows(grid, runs),
        "early_stopping": early_rows(grid, runs),
        "choices": choice_rows(grid, runs),
    }
    for name, found in own.items():  # where the grid has none, its companions'
        if found := found or _companions_rows(results_dir, companions, name):
            rows[name] = found
    tables = Tables(grid, runs, compared, rows, companion_tables(results_dir, companions, "main"))
    _write(tables, results_dir / "tables")
    return tables


def _companions_rows(results_dir: Path, companions: Sequence[str], name: str) -> list[Row]:
    tables = companion_tables(results_dir, companions, name)
    rows = (row for table in tables.values() for row in table.to_dict("records"))
    return [{str(key): value for key, value in row.items()} for row in rows]


def _write(tables: Tables, folder: Path) -> None:
    for name, columns in columns_of(tables.measure).items():
        if name in tables.rows:
            write_table(folder, name, columns, tables.rows[name])
        else:  # of what left the grid
            (folder / f"{name}.csv").unlink(missing_ok=True)
    write_text(folder / "main.md", main_markdown(tables.grid, tables.rows["main"], tables.measure))
    write_json(folder / "summary.json", summary(tables.rows["main"], tables.measure))


def summary(rows: list[Row], measure: Measure) -> dict[str, dict[str, dict[str, float]]]:
    """Two errors per setting and label; failed and diverged ones are left out."""
    nested: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        values = {key: row[key] for key in (measure.name, measure.beside)}
        if all(np.isfinite(value) for value in values.values()):
            nested.setdefault(row["setting"], {})[row["label"]] = {
                key: float(cell(value)) for key, value in values.items()
            }
    return nested
