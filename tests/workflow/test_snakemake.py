"""What Snakemake is told: resources, grids, report, style."""

import re

import pytest

from pipeline.jobs.grid import grid_jobs
from tests.workflow.project import Project

RULES = [
    "download",
    "build_ratings",
    "build_tasks",
    "freeze_episodes",
    "meta_train",
    "profile_cost",
    "run_study",
]
RULES += ["build_tables", "plot_curves", "build_report", "log_tracking", "all"]


def test_lint_is_clean(fresh: Project) -> None:
    assert "good condition" in fresh.snakemake("--lint")


def test_rule_graph_names_every_rule(fresh: Project) -> None:
    graph = fresh.snakemake("--rulegraph", "mermaid-js", "all")
    assert [rule for rule in RULES if rule not in graph] == []


@pytest.mark.parametrize(("device", "gpus"), [("cpu", "0"), ("cuda", "1"), ("auto", "0")])
def test_training_asks_for_a_gpu_where_it_will_use_one(
    fresh: Project, device: str, gpus: str
) -> None:
    """The tests hide GPUs, so `auto` is the CPU here."""
    own = ("--quiet", "host")
    plan = fresh.snakemake(
        "--dry-run", *own, "--resources", "gpu=1", "--config", f"device={device}"
    )
    jobs = re.split(r"rule meta_train\w*:", plan)[1:]
    assert jobs
    for job in jobs:
        resources = re.search(r"resources: (.*)", job)[1]
        assert f"gpu={gpus}" in resources
        assert "mem_mb=" in resources


@pytest.mark.slow
def test_report_shows_captions_and_figures(finished: Project) -> None:
    finished.snakemake("--report", "report.html")
    report = finished.path("report.html").read_text(encoding="utf-8")
    assert "frozen test episodes" in report
    for name in ("curves.svg", "memory.svg", "main.csv", "costs.csv"):
        assert name in report
    finished.path("report.html").unlink()


def test_a_dry_run_is_the_table_of_jobs(fresh: Project) -> None:
    """The rest is said on request; each job's log is where `status` looks."""
    text = fresh.snakemake("--dry-run")
    assert len(text.splitlines()) < 30
    runs = len(fresh.params().active.methods) * len(fresh.params().active.settings)
    assert re.search(rf"^meta_train +{runs}$", text, re.M)
    assert re.search(r"^whole_grid +1$", text, re.M)
    told = fresh.snakemake("--dry-run", "--quiet", "host")
    logs = set(re.findall(r"^    log: (.*)$", told, re.M))
    assert {job.log for job in grid_jobs(fresh.params(), fresh.root)} == {
        log for log in logs if "mark_stale" not in log
    }


def test_the_target_champions_ends_with_weights_to_use(project: Project) -> None:
    said = project.snakemake("champions")
    assert "champions/simulated-10shot-15val-50steps.safetensors: registered as models:/ci." in said
    page = project.path("results/ci/report.html").read_text()
    assert "simulated-10shot-15val-50steps.safetensors" in page, "which shows them in the same call"
    assert not project.planned()
