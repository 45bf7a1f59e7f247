"""`plan` counts the jobs that Snakemake has, and changes nothing."""

import json
import shutil
from collections import Counter

import pytest

from pipeline.jobs.artifacts import seed_blocks
from tests.workflow.project import Project

RUN = "results/ci/runs/maml/cosmixture-50shot-50val/0"


def left(project: Project, *options: str) -> Counter[str]:
    """Jobs per rule that `plan` says are left."""
    said = json.loads(project.run("python", "-m", "pipeline", "plan", "--json", *options))
    return Counter({row["rule"]: n for row in said["rules"] if (n := row["jobs"] - row["done"])})


def planned(project: Project, *arguments: str) -> Counter[str]:
    """What Snakemake would run, blocks of seeds under the name of their rule."""
    jobs: Counter[str] = Counter()
    for rule, n in project.planned(*arguments).items():
        jobs["meta_train" if rule.startswith("meta_train") else rule] += n
    return jobs


@pytest.mark.parametrize(
    "grid", ["ci", "quickstart", "ratings", pytest.param("paper", marks=pytest.mark.slow)]
)
def test_every_grid_counts_as_in_snakemake(fresh: Project, grid: str) -> None:
    """One job for each cell and block of seeds, a profile a method, each study."""
    wanted = planned(fresh, "--config", f"grid={grid}")
    assert left(fresh, "--grid", grid, "--no-measure") == wanted
    given = fresh.params().grids[grid]
    blocks = seed_blocks(given.seeds, given.seeds_per_job)
    assert wanted["meta_train"] == len(given.methods) * len(given.settings) * len(blocks)
    assert wanted["profile_cost"] == len(given.methods)
    assert wanted["run_study"] == len(given.studies.names)


def test_counts_of_a_grid_that_has_begun(project: Project) -> None:
    assert left(project, "--no-measure") == planned(project) == Counter()
    project.path(f"{RUN}/spec.json").unlink()
    project.path("results/ci/profile/imaml.json").unlink()
    records = Counter({"meta_train": 1, "profile_cost": 1})
    after = Counter(dict.fromkeys(("build_tables", "plot_curves", "build_report"), 1))
    after["log_tracking"] = 1
    assert planned(project, "train_all") == records
    assert left(project, "--no-measure") == records + after
    shutil.rmtree(project.path("data/ratings"))
    assert planned(project, "train_all") == records
    assert left(project, "--no-measure") == records + after


def test_finished_runs_say_what_the_rest_takes(project: Project) -> None:
    """By --measured, a job costs what its twin took, where there is one: of another seed."""
    project.set(grids__ci__seeds=[0, 1, 2, 3], grids__ci__methods=["imaml"])
    plan = ("python", "-m", "pipeline", "plan", "--measured")
    said = json.loads(project.run(*plan, "--json"))
    (row,) = said["methods"]
    assert (row["jobs"], row["done"]) == (4, 2)
    took = []
    for setting in said_settings(project):
        runs = [f"results/ci/runs/imaml/{setting}/{seed}/metrics.json" for seed in (0, 1)]
        metrics = [json.loads(project.path(run).read_text()) for run in runs]
        assert {of["seeds_in_job"] for of in metrics} == {2}
        took.append(sum(of["train_seconds"] for of in metrics) / metrics[0]["meta_updates"])
    assert row["update_seconds"] == pytest.approx([min(took), max(took)])
    assert "Grid 'ci': " in project.run(*plan)
    assert project.run("git", "status", "--porcelain").split() == ["M", "grids/ci.yaml"]


def said_settings(project: Project) -> list[str]:
    return project.params().grids["ci"].settings
