"""What each figure, and the audit, shows in one computed sentence: `tables/findings.json`.

A figure's sentence is one function of the folder of tables, and one line in `FINDINGS`; it is
None where the grid lacks the table.
"""

from collections.abc import Callable
from pathlib import Path

from pipeline.ablation_text import ablation_finding
from pipeline.choice_findings import choices_finding
from pipeline.cost_findings import (
    audit_finding,
    equal_cost_finding,
    fidelity_nrmse_finding,
    ledger_finding,
)
from pipeline.files import write_json
from pipeline.horizon_findings import horizons_finding
from pipeline.rating_findings import ratings_finding
from pipeline.study_findings import (
    fidelity_finding,
    noise_finding,
    stability_finding,
    stiffness_finding,
)

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
