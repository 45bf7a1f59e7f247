"""For all unit tests: records laid down by hand have a behaviour laid down by hand, and names
of the shipped grids vary what they do there.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.config.schema import load_params
from pipeline.config.variants import told
from pipeline.runs import probes

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True, scope="session")
def shipped_variants() -> Iterator[None]:
    """Tables laid down by hand have labels and settings of the shipped grids."""
    grids = load_params(ROOT / "params.yaml").grids.values()
    with told({name: of for grid in grids for name, of in grid.variants.items()}):
        yield


@pytest.fixture(autouse=True, scope="session")
def no_probes() -> Iterator[None]:
    """Keeping evidence trains nothing here; tests/unit/runs/test_behaviour.py has the probes."""
    of_reference = {"target_std": 2.0}
    with pytest.MonkeyPatch.context() as patch:
        for kind in probes.PROBES:
            found = of_reference if kind == "reference" else of_reference | {"number": 1.0}
            same = (lambda recipe: {"kind": recipe["kind"]}, lambda probe, found=found: found)
            patch.setitem(probes.PROBES, kind, same)
        yield
