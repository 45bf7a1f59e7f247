"""Evidence or a store that cannot be written fails no job; the next command makes up for it."""

import json

import pytest

from tests.workflow.project import Project

pytestmark = pytest.mark.slow


def test_what_fails_beside_the_work_costs_nothing(project: Project) -> None:
    project.set(grids__ci__keep_evidence=True)
    record, kept = (
        project.path(f"results/ci/{name}profile/maml.json") for name in ("", "evidence/")
    )
    record.unlink()
    kept.parent.parent.mkdir(exist_ok=True)
    kept.parent.touch()  # where a folder has to be
    store, tracking = project.path("mlflow.db"), project.path("results/ci/tracking.json")
    store.write_bytes(b"no database" * 500)
    # recipes that no command line holds, too
    module = project.path("pipeline/jobs/handed.py")
    module.write_text(module.read_text().replace("LONGEST = ", "LONGEST = 100  # "))

    said = project.snakemake()
    assert record.is_file()
    assert "some records could not be put into evidence" in said
    assert "MLflow has not been told" in said
    assert "not_logged" in tracking.read_text()
    assert len(list(project.path(".snakemake/recipes").iterdir())) > 10

    kept.parent.unlink()
    store.unlink()
    assert project.planned() == {"keep_evidence": 1, "log_tracking": 1}
    said = project.snakemake()
    assert "evidence" not in said.split("jobs done")[-1]
    assert json.loads(tracking.read_text())["spec"]["kind"] == "tracking"
    assert kept.is_file()
    assert not project.planned()
