"""What holds for every study of all methods at every K."""

from pathlib import Path

import pytest

from pipeline.studies.fidelity import study_fidelity
from pipeline.studies.noise import study_noise
from tests.unit.studies.small import recipe

STUDIES = {"fidelity": study_fidelity, "noise": study_noise}


@pytest.mark.parametrize("name", STUDIES)
def test_the_order_of_params_changes_no_byte(name: str, tmp_path: Path):
    texts = []
    for flip in (1, -1):
        changes = {
            "families": ["cosmixture", "alpine"][::flip],
            "methods": ["fomaml", "amaml_rkc"][::flip],
            "inner_steps": [5, 10][::flip],
        }
        out = tmp_path / f"{flip}.json"
        STUDIES[name](recipe(name, **changes), out)
        texts.append(out.read_bytes())
    assert texts[0] == texts[1]
