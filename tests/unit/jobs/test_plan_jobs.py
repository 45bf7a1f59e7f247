"""Which jobs are left: artifacts are laid down with their recipes, then some are spoilt."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.config.schema import Params
from pipeline.jobs.grid import RULES, Job, grid_jobs
from pipeline.jobs.plan import grid_runs
from pipeline.jobs.recipes import profile_recipe
from pipeline.jobs.restore import keep_finished
from pipeline.runs.recipe import canonical
from pipeline.seals import read_sealed, write_sealed
from tests import run_records
from tests.unit.jobs.finished_grid import RUN, params, spoil_run
from tests.unit.tiny_runs import METHODS, RATINGS, SYNTHETIC

VIEWS = (
    *("results/tiny/tables/spec.json", "results/tiny/figures/spec.json"),
    *("results/tiny/report.html", "mlflow.db"),
)
AFTER = {"build_tables": 1, "plot_curves": 1, "build_report": 1, "log_tracking": 1}
ALL = {"download": 1, "build_ratings": 1, "build_tasks": 2, "freeze_episodes": 4}
ALL |= {"build_reference": 4, "profile_cost": len(METHODS)} | AFTER


def counts(jobs: list[Job], *, left: bool) -> Counter[str]:
    return Counter(job.rule for job in jobs if not (left and job.done))


def left(root: Path, given: Params | None = None) -> Counter[str]:
    return counts(grid_jobs(given or params(), root), left=True)


@pytest.mark.parametrize(("size", "blocks"), [(1, 2), (2, 1), (3, 1)])
def test_a_grid_that_has_not_begun(size, blocks, tmp_path):
    jobs = grid_jobs(params(size), tmp_path)
    wanted = Counter(ALL | {"meta_train": len(METHODS) * 2 * blocks})
    assert counts(jobs, left=False) == counts(jobs, left=True) == wanted
    seeds = [tuple(r["seed"] for r in j.recipes) for j in jobs if j.rule == "meta_train"]
    assert set(seeds) == ({(0,), (1,)} if blocks == 2 else {(0, 1)})
    assert set(wanted) == set(RULES) - {"run_study", "fit_offsets"}  # the tiny grid has none
    assert list(tmp_path.iterdir()) == []


def test_a_finished_grid(root):
    assert left(root) == Counter()
    # other blocks lack their own files only, which one job writes: then tables are made anew
    assert left(root, params(1)) == Counter(AFTER)
    assert counts(grid_jobs(params(), root), left=False)["meta_train"] == 2 * len(METHODS)


def test_looking_changes_nothing(root):
    spoil_run(root)
    (root / "results/tiny/runs/unknown/s/0").mkdir(parents=True)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    grid_jobs(params(), root)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


@pytest.mark.parametrize(
    ("spoil", "wanted"),
    [
        (spoil_run, {"meta_train": 1} | AFTER),
        (lambda root: (root / RUN / "curve.parquet").unlink(), {"meta_train": 1} | AFTER),
        (lambda root: (root / RUN / "spec.json").write_text("{"), {"meta_train": 1} | AFTER),
        (
            lambda root: (root / "results/tiny/profile/maml.json").unlink(),
            {"profile_cost": 1} | AFTER,
        ),
        (lambda root: (root / VIEWS[0]).unlink(), AFTER),
        (
            lambda root: (root / VIEWS[1]).unlink(),
            {"plot_curves": 1, "build_report": 1, "log_tracking": 1},
        ),
        (lambda root: (root / VIEWS[2]).unlink(), {"build_report": 1}),
        (lambda root: (root / VIEWS[3]).unlink(), {"log_tracking": 1}),
        # a run that is newer than the tables: recipes decide, times do not
        (lambda root: os.utime(root / RUN / "spec.json", (4e9, 4e9)), {}),
        # data that nothing needs any more
        (lambda root: shutil.rmtree(root / "data"), {}),
    ],
)
def test_what_is_spoilt_is_left(
    spoil: Callable[[Path], object], wanted: dict[str, int], root: Path
) -> None:
    spoil(root)
    assert left(root) == Counter(wanted)


def test_a_block_has_its_missing_seeds_left(root):
    spoil_run(root)
    (job,) = (job for job in grid_jobs(params(), root) if job.recipes)
    assert (job.label, job.setting, job.dataset) == ("imaml", SYNTHETIC, "cosmixture")
    assert [recipe["seed"] for recipe in job.recipes] == [1]


def test_what_evidence_holds_is_not_left(tmp_path):
    """A clone has the evidence alone; a run of another recipe, and a lost one, are left."""
    grid = params().active.model_copy(update={"keep_evidence": True})
    given = params().model_copy(update={"grids": {"tiny": grid}})
    results = tmp_path / "results/tiny"
    of = {"methods": list(grid.methods), "settings": list(grid.settings), "seeds": [0, 1]}
    run_records.write_grid(results, **of, inner_steps=5, steps=(0, 1, 3, 5))
    for recipe, folder in grid_runs(given, tmp_path):
        write_sealed(folder / "spec.json", recipe)
    for method in grid.methods:
        write_sealed(results / f"profile/{method}.json", {"spec": profile_recipe(given, method)})
    write_sealed(
        tmp_path / RUN / "spec.json",
        read_sealed(tmp_path / RUN / "spec.json") | {"dtype": "float64"},
    )
    shutil.rmtree(tmp_path / RUN.replace("imaml", "fomaml"))
    (results / "profile/maml.json").unlink()
    keep_finished(results, **of)
    for made in ("runs", "profile"):
        shutil.rmtree(results / made)
    left = [job for job in grid_jobs(given, tmp_path) if not job.done]
    trained = [(job.label, [r["seed"] for r in job.recipes]) for job in left if job.setting]
    assert sorted(trained) == [("fomaml", [1]), ("imaml", [1])]
    assert [job.label for job in left if job.rule == "profile_cost"] == ["maml"]
    # committed tables of a clone: records restored later are newer, so Snakemake makes them anew
    write_sealed(results / "tables/summary.json", {})
    assert {job.rule for job in grid_jobs(given, tmp_path) if not job.done} >= set(AFTER)
    without = params().model_copy(update={"grids": {"tiny": params().active}})
    assert all(not job.done for job in grid_jobs(without, tmp_path) if job.rule == "meta_train")


def test_data_are_left_where_a_run_needs_them(root):
    shutil.rmtree(root / "data")
    shutil.rmtree(root / f"results/tiny/runs/fomaml/{RATINGS}/0")
    assert left(root) == Counter(
        # of cosmixture the tasks, of which the figures show an instance
        {"download": 1, "build_ratings": 1, "build_tasks": 2, "freeze_episodes": 2, "meta_train": 1}
        | AFTER
    )


def test_figures_need_no_tasks_of_ratings(root):
    shutil.rmtree(root / "data")
    (root / "results/tiny/figures/spec.json").unlink()
    assert left(root) == Counter(
        {"build_tasks": 1} | {rule: 1 for rule in AFTER if rule != "build_tables"}
    )


def test_an_archive_that_is_there_is_not_downloaded(root):
    """It is got again where its recipe is another and its ratings are to be read."""
    shutil.rmtree(root / f"results/tiny/runs/fomaml/{RATINGS}/0")
    for name in ("ratings", "tasks"):
        (root / f"data/{name}/simulated.parquet").unlink()
    assert left(root)["build_ratings"] == 1
    assert left(root)["download"] == 0
    write_sealed(root / "data/raw/simulated.json", {"spec": {}})
    assert left(root)["download"] == 1


def test_order_of_the_grid_changes_no_job(tmp_path):
    def named(given: Params) -> set[tuple]:
        jobs = grid_jobs(given, tmp_path)
        return {
            (job.rule, job.label, job.setting, tuple(map(canonical, job.recipes))) for job in jobs
        }

    grid = params().active
    turned = {name: getattr(grid, name)[::-1] for name in ("seeds", "methods", "settings")}
    other = params().model_copy(update={"grids": {"tiny": grid.model_copy(update=turned)}})
    assert named(other) == named(params())


def test_runs_and_their_folders(tmp_path):
    runs = grid_runs(params(), tmp_path)
    assert len(runs) == len(METHODS) * 2 * 2
    for recipe, folder in runs:
        names = (recipe["label"], recipe["setting"], str(recipe["seed"]))
        assert folder.relative_to(tmp_path / "results/tiny/runs").parts == names
