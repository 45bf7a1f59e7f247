"""`reconcile` judges artifacts by the recipe they carry."""

import json
import shutil

import pytest

from tests.workflow.project import Project

RUN = "results/ci/runs/maml/cosmixture-50shot-50val/0"


def test_nothing_to_do(project: Project) -> None:
    before = _times(project)
    summary = _reconcile(project)
    assert (summary["removed"], summary["missing"]) == (0, 0)
    assert _times(project) == before


def test_what_left_the_grid_is_deleted(project: Project) -> None:
    project.set(grids__ci__seeds=[0], grids__ci__methods=["maml", "amaml"])
    summary = _reconcile(project)
    left = {path.name for path in project.path("results/ci/runs").iterdir()}
    assert left == {"maml", "amaml"}
    assert {path.name for path in project.path("results/ci/profile").iterdir()} == {
        "maml.json",
        "amaml.json",
    }
    assert summary["missing"] == 0
    assert project.path("results/ci/studies/stability.json").is_file()
    project.set(grids__ci__studies={})
    assert _reconcile(project)["reasons"] == {
        f"results/ci/studies/{name}.json": "not in the grid"
        for name in ("fidelity", "noise", "stability")
    }
    assert project.path(
        "data/episodes/cosmixture-50shot-50val/1.parquet"
    ).exists()  # may be another grid's


def test_changed_data_deletes_what_was_made_from_it(project: Project) -> None:
    project.set(simulated__users=401)
    reasons = _reconcile(project)["reasons"]
    kinds = {path.split("/")[0] + "/" + path.split("/")[1] for path in reasons}
    assert kinds == {"data/raw", "data/ratings", "data/tasks", "data/episodes", "results/ci"}
    assert all("simulated" in path for path in reasons)
    assert not project.path("data/raw/simulated.zip").exists()


@pytest.mark.parametrize("name", ["spec.json", "curve.parquet"])
def test_broken_run_is_deleted(project: Project, name: str) -> None:
    broken = project.path(f"{RUN}/{name}")
    broken.unlink()
    summary = _reconcile(project)
    assert summary["missing"] == 1
    assert not any(project.path(RUN).glob("*"))


def test_unreadable_recipe_is_no_recipe(project: Project) -> None:
    project.path(f"{RUN}/spec.json").write_text("{")
    project.path("data/tasks/cosmixture.parquet").write_text("nonsense")
    assert set(_reconcile(project)["reasons"]) == {
        f"{RUN}/spec.json",
        "data/tasks/cosmixture.parquet",
    }


def test_other_grids_are_left_alone(project: Project) -> None:
    shutil.copytree(project.path("results/ci"), project.path("results/paper"))
    project.set(grids__ci__seeds=[0])
    _reconcile(project)
    assert project.path("results/paper/runs/maml/cosmixture-50shot-50val/1/spec.json").exists()


def test_unknown_grid(fresh: Project) -> None:
    said = fresh.run("python", "-m", "pipeline", "reconcile", "--grid", "nope", rc=2)
    assert "--grid: found 'nope'" in said
    assert all(name in said for name in fresh.params().grids)


def _reconcile(project: Project) -> dict:
    return json.loads(project.run("python", "-m", "pipeline", "reconcile"))


def _times(project: Project) -> dict[str, int]:
    files = (*project.path("results").rglob("*"), *project.path("data").rglob("*"))
    return {str(path): path.stat().st_mtime_ns for path in files if path.is_file()}
