"""What a grid has found, in a few lines for a terminal: from its tables, as they stand."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.config.measures import measure_in
from pipeline.config.titles import best_of, counted, label_title
from pipeline.errors import BadInput

WIDTH = 100
NOT_JUDGED = "not judged"
Row = Mapping[str, str]


def summary(results_dir: Path) -> str:
    """The best method of each setting, what was not judged, and where to read on.

    Args:
        results_dir: `results/{grid}`.

    Raises:
        BadInput: when there are no tables.
    """
    every = _rows(results_dir, "main")
    rows = [row for row in every if row["kind"] == "method"]
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, highlight=False)
    console.print(f"Grid '{results_dir.name}': the best method of each setting, on test tasks")
    console.print(_best(rows, best_of(row["label"] for row in every)))
    for sentence in (*_failed(rows), *_not_judged(results_dir)):
        console.print(sentence, soft_wrap=True)
    page = results_dir / "report.html"
    if page.is_file():
        console.print(f"Page: {page}", soft_wrap=True)
    if (results_dir / "tracking.json").is_file():
        console.print("Runs in a browser: mlflow ui", soft_wrap=True)
    if not (results_dir / "champions").is_dir():
        told = f"The best initialisations, to use: python -m pipeline promote {results_dir.name}"
        console.print(told, soft_wrap=True)
    lines = (line.rstrip() for line in out.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def _rows(results_dir: Path, name: str) -> list[Row]:
    file = results_dir / "tables" / f"{name}.csv"
    try:
        with file.open(encoding="utf-8", newline="") as handle:
            return list(csv.DictReader(handle))
    except FileNotFoundError:
        raise BadInput(
            f"{file}: found no table; needed those of a finished grid: "
            f"`snakemake --config grid={results_dir.name}`."
        ) from None


def _best(rows: list[Row], of_predictors: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("setting", overflow="fold")
    table.add_column("best method", no_wrap=True)
    measure = measure_in(rows[0] if rows else ())
    for head in (measure.title, f"over {of_predictors}"):
        table.add_column(head, justify="right", no_wrap=True)
    for setting in dict.fromkeys(row["setting"] for row in rows):
        best = [row for row in rows if row["setting"] == setting and row["best"] == "true"]
        if not best:
            table.add_row(setting, "none: no method finished in every seed", "", "")
        for row in best:
            name, title = row["label"], label_title(row["label"])
            table.add_row(
                setting,
                name if name == title else f"{title} ({name})",
                _with_error(row[measure.name], row[measure.stderr]),
                _percent(row["gain_over_best_trivial"]),
            )
    return table


def _failed(rows: list[Row]) -> list[str]:
    """Methods that diverged in some seed."""
    failed = [row for row in rows if row["status"] != "ok"]
    if not failed:
        return []
    named = ", ".join(f"{row['label']} on {row['setting']}" for row in failed)
    return [f"Failed in some seed: {named}."]


def _not_judged(results_dir: Path) -> list[str]:
    """How many claims were not judged, over all settings, and why."""
    claims: dict[str, Row] = {}
    if not (results_dir / "tables" / "claims.csv").is_file():
        return []  # of own data nothing is claimed
    for row in _rows(results_dir, "claims"):
        claims.setdefault(row["claim"], row)  # that over all settings comes first
    whys = Counter(r["why"] or "no data" for r in claims.values() if r["outcome"] == NOT_JUDGED)
    if not whys:
        return []
    total = sum(whys.values())
    said = ", ".join(f"{n} {why}" if len(whys) > 1 else why for why, n in whys.most_common())
    return [f"Not judged: {total} of {counted(len(claims), 'claim')} ({said})."]


def _with_error(mean: str, error: str) -> str:
    shown = f"{float(mean):.4g}"
    return f"{shown} ± {float(error):.2g}" if error else shown


def _percent(gain: str) -> str:
    return f"{float(gain):+.1f} %" if gain else ""
