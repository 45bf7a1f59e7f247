"""The evidence appendix: per setting and method, the runs behind its cells; and links into it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.config.measures import NUMBERS, Measure
from pipeline.config.titles import DATASETS, SIMULATED, label_title
from pipeline.report.blocks import Block, Cell, Part, anchor, fold
from pipeline.report.evidence import (
    LABEL_COLUMNS,
    RECORDS,
    Run,
    evidence_file,
    record_files,
    row_grids,
    runs_behind,
)
from pipeline.report.grid_tables import GridTable, read_table, table_names

SHORT = 12  # hexadecimal digits of a commit or fingerprint; in full in the tooltip


@dataclass(frozen=True)
class Links:
    """From a cell to its evidence.

    Attributes:
        results_dir: such as `results/paper`.
        anchors: ids of the groups of the appendix.
        measure: of the grid.
    """

    results_dir: Path
    anchors: frozenset[str]
    measure: Measure = NUMBERS

    def href(self, table: str, row: Mapping[str, str], column: str = "") -> str:
        """Anchor of the evidence of a cell: of its row's setting and method, as far as named."""
        if record_files(self.results_dir, table, row, column):
            return "#evidence-records"
        if row_grids(self.results_dir, row) != [self.results_dir]:
            return "#evidence-companions"
        setting = row.get("setting", "")
        labels = [row[column] for column in LABEL_COLUMNS if row.get(column)]
        for name in (*(group_anchor(setting, label) for label in labels), group_anchor(setting)):
            if name in self.anchors:
                return f"#{name}"
        return "#evidence"

    def title(self, table: str, row_name: str, column: str) -> str:
        """The command that explains a cell."""
        cell = shlex.join([table, row_name, column, "--results", self.results_dir.as_posix()])
        return f"python -m pipeline explain {cell}"


def group_anchor(setting: str, label: str = "") -> str:
    """Id of the evidence of a setting, or of one method (or predictor) in it."""
    return f"e-{setting}.{label}" if label else f"e-{setting}"


def anchors(main: GridTable, runs: list[Run]) -> frozenset[str]:
    """Ids that `evidence_blocks` gives."""
    settings = {run.setting for run in runs}
    groups = {group_anchor(r["setting"], r["label"]) for r in main.rows if r["setting"] in settings}
    return frozenset(groups | {group_anchor(setting) for setting in settings})


def evidence_blocks(main: GridTable, runs: list[Run], links: Links) -> list[Block]:
    """One fold per setting; `main` is `main.csv`."""
    blocks: list[Block] = [Part(kind="evidence_reading", error=links.measure.name)]
    for setting in dict.fromkeys(run.setting for run in runs):
        given = [run for run in runs if run.setting == setting]
        groups = []
        for row in (row for row in main.rows if row["setting"] == setting):
            label, is_method = row["label"], row["kind"] == "method"
            behind = runs_behind(row, given)
            groups.append(
                {
                    "id": group_anchor(setting, label),
                    "title": label_title(label),
                    "label": label,
                    "command": links.title("main", f"{setting}/{label}", links.measure.name),
                    "read_from": "" if is_method else behind[0].label,
                    "runs": [_cells(run) for run in behind] if is_method else [],
                }
            )
        dataset = given[0].dataset
        badge = "SIMULATED" if dataset in SIMULATED else ""
        seeds = ", ".join(str(seed) for seed in sorted({run.seed for run in given}))
        file = evidence_file(links.results_dir, setting)
        kept = f"; errors of each test task: {file.as_posix()}" if file else ""
        summary = f"{DATASETS.get(dataset, dataset)}: {len(given)} runs, seeds {seeds}{kept}"
        listed = Part(kind="evidence", setting=setting, groups=groups)
        blocks.append(anchor(group_anchor(setting), setting, badge))
        blocks.append(fold(summary, [listed], printed=False))
    folder = links.results_dir
    there = [read_table(folder, name) for name in table_names(folder)]
    records = {name: path for name, path in RECORDS.items() if name in {of.name for of in there}}
    has_others = any(row_grids(folder, row) != [folder] for of in there for row in of.rows)
    told = {"folder": folder.as_posix(), "parent": folder.parent.as_posix(), "records": records}
    return [*blocks, Part(kind="other_evidence", has_others=has_others, **told)]


def _cells(run: Run) -> list[Cell]:
    commit = run.values["git_commit"]
    return [
        Cell(str(run.seed)),
        Cell(run.values["status"]),
        Cell(_short(commit), title=commit),
        Cell(run.recipe or "not here"),
        Cell(_short(run.fingerprint) or "not here", title=run.fingerprint),
        Cell(run.directory.as_posix(), badge="" if run.state == "here" else run.state),
    ]


def _short(text: str) -> str:
    """The first digits; a `+` at the end (changes not committed) is kept."""
    if len(text) <= SHORT:
        return text
    return text[:SHORT] + ("+" if text.endswith("+") else "")
