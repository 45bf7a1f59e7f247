"""A change in code, params or input reruns exactly what it touches."""

from collections import Counter

import pandas as pd
import pytest

from pipeline.runs.records import FILES
from tests.workflow.project import Project

AFTERWARDS = Counter(build_tables=1, plot_curves=1, build_report=1, log_tracking=1)
NEW = Counter(freeze_episodes=2, build_reference=2)  # of a seed, or of a setting's two
OF_IMAML = Counter(meta_train=2, profile_cost=1, run_study=1)  # the fidelity study has it


def test_whole_run_leaves_tables_figures_records_and_store(finished: Project) -> None:
    grid = finished.params().grids["ci"]
    for method in grid.methods:
        for setting in grid.settings:
            for seed in grid.seeds:
                run = finished.path(f"results/ci/runs/{method}/{setting}/{seed}")
                assert {path.name for path in run.iterdir()} == set(FILES)
        assert finished.path(f"results/ci/profile/{method}.json").is_file()
    for name in ("tables/main.csv", "tables/main.md", "tables/summary.json", "figures/curves.svg"):
        assert finished.path(f"results/ci/{name}").stat().st_size > 0
    for name in ("stability", "stiffness", "fidelity", "noise"):
        assert finished.path(f"results/ci/tables/{name}.csv").stat().st_size > 0
        assert finished.path(f"results/ci/figures/{name}.png").stat().st_size > 0
    assert finished.path("results/ci/tables/claims.csv").stat().st_size > 0
    assert finished.path("mlflow.db").stat().st_size > 0


def test_second_run_does_nothing(finished: Project) -> None:
    assert "Nothing to be done" in finished.snakemake()


def test_setting_of_a_method_reruns_its_jobs_only(project: Project) -> None:
    project.set(methods__imaml__cg_steps=4)
    assert project.planned() == OF_IMAML + AFTERWARDS
    assert all("/imaml/" in path for path in project.planned_outputs("meta_train"))


def test_code_of_a_method_reruns_its_jobs_only(project: Project) -> None:
    module = project.path("pipeline/core/methods/imaml.py")
    module.write_text(module.read_text() + "\n# a comment changes nothing\n")
    assert project.planned() == Counter()
    module.write_text(module.read_text() + "\nUNUSED = 1\n")
    assert project.planned() == OF_IMAML + AFTERWARDS


def test_code_of_the_tables_reruns_no_training(project: Project) -> None:
    module = project.path("pipeline/tables/build.py")
    module.write_text(module.read_text() + "\nUNUSED = 1\n")
    assert project.planned() == AFTERWARDS


@pytest.mark.parametrize(
    "change",
    [
        {"device": "auto"},
        {"data__raw_dir": "elsewhere"},
        {"data__retries": 1},
        {"grids__ci__training__checkpoint_every": 1},
    ],
)
def test_what_changes_no_result_reruns_nothing(project: Project, change: dict) -> None:
    project.set(**change)
    assert project.planned() == Counter()


def test_another_seed_runs_only_what_is_new(project: Project) -> None:
    project.set(grids__ci__seeds=[0, 1, 2])
    runs = 2 * len(project.params().active.methods)
    assert project.planned() == NEW + Counter(meta_train=runs) + AFTERWARDS


def test_simulated_data_reruns_its_path_only(project: Project) -> None:
    project.set(simulated__users=401)
    jobs = len(project.params().active.methods)
    data = Counter(download=1, build_ratings=1, build_tasks=1) + NEW
    assert project.planned() == data + Counter(meta_train=jobs) + AFTERWARDS


def test_lost_record_is_made_again(project: Project) -> None:
    project.path("results/ci/runs/maml/cosmixture-50shot-50val/0/spec.json").unlink()
    assert project.planned("train_all") == Counter(meta_train=1)


def test_lost_store_is_rebuilt_from_the_records(project: Project) -> None:
    project.path("mlflow.db").unlink()
    assert project.planned() == Counter(log_tracking=1)


def test_diverged_run_fails_no_other_job(project: Project) -> None:
    """FOMAML's meta-gradient is an order of magnitude longer than Reptile's."""
    setting = "cosmixture-50shot-50val"
    limit = 0.5 * min(_norms(project, "fomaml", setting))
    assert limit > max(_norms(project, "reptile", setting))
    project.set(
        grids__ci__methods=["fomaml", "reptile"],
        grids__ci__settings=[{"dataset": "cosmixture", "shots": "50/50"}],
        grids__ci__seeds=[0],
        training__gradient_limit=limit,
    )
    project.snakemake()
    table = pd.read_csv(project.path("results/ci/tables/main.csv")).set_index("label")
    assert table.loc["fomaml", "status"] == "failed"
    assert table.loc["reptile", "status"] == "ok"


def _norms(project: Project, method: str, setting: str) -> list[float]:
    curve = project.path(f"results/ci/runs/{method}/{setting}/0/curve.parquet")
    return pd.read_parquet(curve)["gradient_norm"].tolist()
