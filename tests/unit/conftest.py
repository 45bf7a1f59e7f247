"""For all unit tests: records laid down by hand have a behaviour laid down by hand."""

import pytest

from pipeline.runs import behaviour


@pytest.fixture(autouse=True)
def no_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeping evidence trains nothing here; tests/unit/runs/test_behaviour.py has the probes."""
    same = (lambda recipe: {"kind": recipe["kind"]}, lambda probe: {"number": 1.0})
    for kind in behaviour.PROBES:
        monkeypatch.setitem(behaviour.PROBES, kind, same)
