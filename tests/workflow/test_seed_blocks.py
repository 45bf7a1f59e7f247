"""Blocks of seeds: one job trains a block's seeds together, and only those that need it."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from pipeline.config.schema import load_params
from pipeline.jobs.artifacts import seed_blocks
from pipeline.jobs.recipes import run_recipe
from pipeline.runs.records import FILES
from tests.workflow.project import Project, environment, new_project
from tests.workflow.test_kill import _children, _wait_for, _wait_until_gone

pytestmark = pytest.mark.slow  # minutes of the real engines

SETTING = "cosmixture-50shot-50val"
GRID = {
    "methods": ["fomaml", "imaml"],
    "settings": [{"dataset": "cosmixture", "shots": "50/50"}],
    "seeds": [0, 1, 2],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three seeds in blocks of two, made by DVC. Do not change it: copy it (`blocks`)."""
    project = new_project(tmp_path_factory.mktemp("blocks") / "made")
    project.set(**{f"grids__ci__{name}": value for name, value in GRID.items()})
    jobs = project.planned("train_all")
    assert jobs["meta_train"] == 4
    project.dvc("repro", "train@ci")
    project.commit()
    return project


@pytest.fixture
def blocks(made: Project, tmp_path: Path) -> Project:
    return made.copy(tmp_path / "project")


def run_of(project: Project, method: str, seed: int) -> Path:
    return project.path(f"results/ci/runs/{method}/{SETTING}/{seed}")


def target(project: Project, seed: int) -> str:
    """What Snakemake is asked for to have the records of all seeds."""
    return "train_all"


def record(project: Project, method: str, seed: int) -> dict[str, bytes]:
    """A record's files; every meta-training writes other ones, because it takes other times."""
    return {name: (run_of(project, method, seed) / name).read_bytes() for name in FILES}


def metrics(project: Project, method: str, seed: int) -> dict:
    return json.loads(record(project, method, seed)["metrics.json"])


# --- which seeds are trained together


@pytest.mark.parametrize(
    ("seeds", "size", "wanted"),
    [
        ([0, 1, 2], 3, {0: [0, 1, 2]}),
        ([0, 1, 2], 2, {0: [0, 1], 1: [2]}),
        ([2, 0], 1, {0: [0], 2: [2]}),
        ([7, 3, 4], 4, {0: [3], 1: [4, 7]}),
    ],
)
def test_blocks_are_fixed(seeds: list[int], size: int, wanted: dict[int, list[int]]) -> None:
    assert seed_blocks(seeds, size) == wanted


def test_another_seed_is_in_no_other_block() -> None:
    for size in range(1, 5):
        before = seed_blocks([1, 2, 5], size)
        after = seed_blocks([1, 2, 5, 4], size)
        assert {b: s for b, s in after.items() if b != 4 // size} == {
            b: s for b, s in before.items() if b != 4 // size
        }


# --- what is made


def test_every_seed_has_its_own_whole_record(made: Project) -> None:
    params = load_params(made.path("params.yaml"))
    for method in GRID["methods"]:
        for seed, together in ((0, 2), (1, 2), (2, 1)):
            files = record(made, method, seed)
            assert {path.name for path in run_of(made, method, seed).iterdir()} == set(FILES)
            # no word of the block: the same recipe whatever it is trained with
            assert json.loads(files["spec.json"]) == run_recipe(params, method, SETTING, seed)
            assert metrics(made, method, seed)["seeds_in_job"] == together
            assert metrics(made, method, seed)["status"] == "ok"
    assert not made.planned("train_all")
    assert "Running stage 'train@ci'" not in made.dvc("repro", "train@ci")


def test_another_seed_runs_its_block_only(blocks: Project) -> None:
    blocks.set(grids__ci__seeds=[0, 1, 2, 3, 4])
    wanted = Counter(freeze_episodes=2, build_reference=2, meta_train=4)
    assert blocks.planned("train_all") == wanted
    before = {seed: record(blocks, "imaml", seed) for seed in (0, 1, 2)}
    blocks.snakemake("train_all")
    assert {seed: record(blocks, "imaml", seed) for seed in (0, 1, 2)} == before
    assert [metrics(blocks, "imaml", seed)["seeds_in_job"] for seed in (3, 4)] == [1, 1]
    assert not blocks.planned("train_all")


def test_a_stale_seed_is_trained_alone(blocks: Project) -> None:
    spec = run_of(blocks, "imaml", 1) / "spec.json"
    spec.write_text(json.dumps(json.loads(spec.read_text()) | {"code": "0" * 16}))
    summary = json.loads(blocks.run("python", "-m", "pipeline", "reconcile"))
    assert list(summary["reasons"].values()) == ["made with another code"]
    assert blocks.planned("train_all") == Counter(meta_train=1)
    before = {seed: record(blocks, "imaml", seed) for seed in (0, 2)}
    said = blocks.dvc("repro", "train@ci")
    assert " meta_train imaml " in said
    assert {seed: record(blocks, "imaml", seed) for seed in (0, 2)} == before
    assert metrics(blocks, "imaml", 1)["seeds_in_job"] == 1
    assert not blocks.planned("train_all")


def test_what_changed_for_all_is_trained_together(blocks: Project) -> None:
    blocks.set(methods__imaml__cg_steps=4)
    blocks.snakemake(target(blocks, 1))
    assert metrics(blocks, "imaml", 0)["seeds_in_job"] == 2
    spec = json.loads(record(blocks, "imaml", 0)["spec.json"])
    assert spec["settings"]["cg_steps"] == 4


@pytest.mark.parametrize("size", [1, 3])
def test_other_blocks_make_nothing_stale(blocks: Project, size: int) -> None:
    blocks.set(grids__ci__seeds_per_job=size)
    summary = json.loads(blocks.run("python", "-m", "pipeline", "reconcile"))
    assert (summary["removed"], summary["missing"]) == (0, 0)
    assert set(blocks.planned("train_all")) <= {"restore_runs"}  # which writes blocks' files
    before = {seed: record(blocks, "imaml", seed) for seed in (0, 1, 2)}
    assert " meta_train " not in blocks.dvc("repro", "train@ci")
    assert {seed: record(blocks, "imaml", seed) for seed in (0, 1, 2)} == before


# --- jobs that do not end well


def test_a_killed_job_leaves_finished_seeds_and_goes_on(made: Project, tmp_path: Path) -> None:
    project = made.copy(tmp_path / "project")
    updates = {"meta_updates": 600, "checkpoint_every": 5, "validate_every": 200}
    project.set(grids__ci__training=updates)
    folder = run_of(project, "imaml", 1)
    wanted = target(project, 1)
    project.snakemake(wanted)
    before, alone = record(project, "imaml", 0), record(project, "imaml", 1)
    (folder / "spec.json").unlink()

    command = ["snakemake", "--cores", "1", wanted]
    with subprocess.Popen(
        command, cwd=project.root, env=environment(), start_new_session=True
    ) as process:
        _wait_for(run_of(project, "imaml", 0) / "checkpoint.pt")  # the first of the block
        children = _children(process.pid)
        process.kill()
    _wait_until_gone(children)
    assert record(project, "imaml", 0) == before
    assert not (folder / "spec.json").exists()

    project.snakemake(wanted)
    log = project.path(f"logs/meta_train/ci/imaml/{SETTING}/block_0.log").read_text()
    assert "going on from meta-update" in log
    assert record(project, "imaml", 0) == before
    assert record(project, "imaml", 1)["spec.json"] == alone["spec.json"]
    assert not (run_of(project, "imaml", 0) / "checkpoint.pt").exists()
    assert not project.planned(wanted)
