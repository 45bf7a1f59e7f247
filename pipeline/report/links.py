"""From a cell to its evidence: anchors of the page, and the command that explains the cell."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.report.evidence import LABEL_COLUMNS, Run, row_grids
from pipeline.report.records import record_files


@dataclass(frozen=True)
class Links:
    """What links of one page need to know.

    Attributes:
        results_dir: such as `results/paper`.
        anchors: ids of the groups of the evidence appendix.
        runs: all runs of the grid.
    """

    results_dir: Path
    anchors: frozenset[str]
    runs: tuple[Run, ...]

    def href(self, table: str, row: Mapping[str, str], column: str = "") -> str:
        """Anchor of the evidence of a cell: of its row's setting and method, as far as named."""
        if record_files(self.results_dir, table, row, column):
            return "#evidence-records"
        if row_grids(self.results_dir, row) != [self.results_dir]:
            return "#evidence-companions"
        setting = row.get("setting", "")
        named = [row[column] for column in LABEL_COLUMNS if row.get(column)]
        for label in named:
            if group_anchor(setting, label) in self.anchors:
                return f"#{group_anchor(setting, label)}"
        known = setting_anchor(setting) in self.anchors
        return f"#{setting_anchor(setting)}" if known else "#evidence"

    def title(self, table: str, row_name: str, column: str) -> str:
        """The command that explains a cell."""
        results = shlex.quote(self.results_dir.as_posix())
        return (
            f"python -m pipeline explain {table} {shlex.quote(row_name)} {shlex.quote(column)} "
            f"--results {results}"
        )


def setting_anchor(setting: str) -> str:
    """Id of a setting's part of the appendix."""
    return f"e-{setting}"


def group_anchor(setting: str, label: str) -> str:
    """Id of the evidence of one method (or predictor) in a setting."""
    return f"e-{setting}.{label}"
