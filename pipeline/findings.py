"""What each figure shows, in one sentence computed from the tables: `tables/findings.json`.

A figure's sentence is one function of the folder of tables, and one line in `FINDINGS`; it is
None where the grid lacks the table.
"""

from collections.abc import Callable
from pathlib import Path

from pipeline.ablation_text import ablation_finding
from pipeline.files import write_json
from pipeline.horizon_findings import horizons_finding
from pipeline.study_findings import fidelity_finding, stability_finding, stiffness_finding

FINDINGS: dict[str, Callable[[Path], str | None]] = {
    "stability": stability_finding,
    "fidelity": fidelity_finding,
    "stiffness": stiffness_finding,
    "ablation": ablation_finding,
    "horizons": horizons_finding,
}


def write_findings(tables: Path) -> None:
    """Write `tables/findings.json`: {figure: sentence} of the tables that are there."""
    found = {name: sentence(tables) for name, sentence in FINDINGS.items()}
    write_json(
        tables / "findings.json", {name: text for name, text in found.items() if text is not None}
    )
