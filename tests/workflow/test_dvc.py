"""Real DVC: versions, remotes, comparisons, experiments."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.workflow.project import Project


@pytest.fixture
def clone(project: Project, tmp_path: Path) -> Project:
    """A fresh clone after `dvc pull` from a local remote."""
    project.dvc("remote", "add", "--default", "store", tmp_path / "store")
    project.commit()
    project.dvc("push")
    project.run("git", "clone", "--quiet", project.root, tmp_path / "clone")
    clone = Project(tmp_path / "clone")
    clone.dvc("pull")
    return clone


def stages_run(said: str) -> set[str]:
    """Stages that `dvc repro` ran; `recipes` only looks, and does so each time."""
    return set(re.findall(r"Running stage '([^']+)'", said)) - {"recipes"}


def test_second_repro_does_nothing(finished: Project) -> None:
    assert stages_run(finished.dvc("repro")) == set()


def test_a_comment_and_a_test_make_no_stage_stale(project: Project) -> None:
    module = project.path("pipeline/core/meta.py")
    module.write_text(module.read_text() + "\n# a comment\n")
    project.path("pipeline/tables/notes.txt").write_text("no code")
    before = project.path("dvc.lock").read_bytes()
    assert stages_run(project.dvc("repro")) == set()
    assert project.path("dvc.lock").read_bytes() == before


def test_clone_and_pull_recomputes_nothing(clone: Project) -> None:
    assert stages_run(clone.dvc("repro")) == set()
    assert clone.dvc("status").split() == ["recipes:", "always", "changed"]
    assert not clone.planned("train_all")


def test_clone_and_pull_with_a_change_reruns_its_jobs_only(clone: Project) -> None:
    clone.set(methods__imaml__cg_steps=4)
    wanted = Counter(meta_train=2, profile_cost=1, run_study=1)
    assert clone.planned("train_all") - Counter(mark_stale=1) == wanted
    summary = json.loads(clone.run("python", "-m", "pipeline", "reconcile"))
    assert summary["removed"] == 6
    study = "results/ci/studies/fidelity.json"
    assert all("/imaml" in path or path == study for path in summary["reasons"])
    assert clone.planned("train_all") == wanted


def test_pull_repairs_what_was_lost(project: Project, tmp_path: Path) -> None:
    run = project.path("results/ci/runs/maml/cosmixture-50shot-50val/0/metrics.json")
    whole = run.read_bytes()
    run.unlink()
    project.dvc("checkout")
    assert run.read_bytes() == whole


@pytest.mark.slow
def test_diffs_of_an_experiment(project: Project) -> None:
    before = project.path("results/ci/runs/maml/cosmixture-50shot-50val/0/metrics.json").stat()
    project.dvc("exp", "run", "-S", "methods.imaml.proximal=5.0")
    after = project.path("results/ci/runs/maml/cosmixture-50shot-50val/0/metrics.json").stat()
    assert after.st_ino == before.st_ino  # MAML was not trained again
    changed = json.loads(project.dvc("metrics", "diff", "--json"))
    metrics = changed["results/ci/tables/summary.json"]
    assert {name.split(".")[1] for name in metrics} == {"imaml"}
    params = json.loads(project.dvc("params", "diff", "--json"))
    change = {"old": 15.0, "new": 5.0, "diff": -10.0}
    assert params == {"params.yaml": {"methods.imaml.proximal": change}}
    project.run("python", "workflow/offline_plots.py")
    project.dvc("plots", "diff", "HEAD", "--out", "plots")
    page = project.path("plots/index.html").read_text(encoding="utf-8")
    assert "validation nRMSE against meta-updates" in page
    assert "cdn.jsdelivr.net" not in page


@pytest.mark.slow
def test_grids_keep_their_versions(project: Project) -> None:
    """While another grid is the default, the results of `ci` stay in dvc.lock."""
    project.set(grid="quickstart", grids__quickstart=_one_run(project))
    project.commit()
    project.dvc("repro")
    assert project.path("results/quickstart/tables/summary.json").is_file()
    assert project.path("results/ci/runs/maml").is_dir()
    project.commit()
    said = project.dvc("exp", "run", "-S", "grid=ci")
    assert project.params().grid == "ci"
    assert project.path("results/ci/tables/summary.json").is_file()
    assert not project.planned("train_all")
    assert " meta_train " not in said


def _one_run(project: Project) -> dict:
    settings = [{"dataset": "cosmixture", "shots": "50/50"}]
    tiny = {"seeds": [0], "methods": ["fomaml"], "settings": settings}
    return project.config()["grids"]["ci"] | tiny
