"""After an accident the same command again makes everything by today's recipes, or fails.

Never is a mixture shown: `nothing_is_stale` asks each artifact for the recipe it carries, and
compares errors with those of a grid that was trained with the new value from the start.
"""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from pipeline.jobs.look import look
from pipeline.runs.records import FILES
from tests.workflow.project import Project, environment

RESULTS = "results/ci"
SETTING = "cosmixture-50shot-50val"
RUN = f"{RESULTS}/runs/imaml/{SETTING}/0"
VIEWS = Counter(build_tables=1, plot_curves=1, build_report=1, log_tracking=1)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # minutes of the real engines


@pytest.fixture(scope="module")
def small(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Two methods, two settings, two seeds. Do not change it: copy it (`changed`)."""
    project = finished.copy(tmp_path_factory.mktemp("never stale") / "small")
    project.set(grids__ci__methods=["fomaml", "imaml"], grids__ci__studies={})
    project.snakemake()
    assert faults(project) == {}
    return project


@pytest.fixture(scope="module")
def wanted(small: Project, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Errors of the grid when all runs are trained with the new value from the start."""
    project = small.copy(tmp_path_factory.mktemp("from scratch") / "project")
    project.set(training__outer_lr=0.002)
    for name in (f"{RESULTS}/runs", f"{RESULTS}/tables", ".snakemake"):
        shutil.rmtree(project.path(name))
    project.snakemake()
    assert not errors(project).equals(errors(small))
    return errors(project)


@pytest.fixture
def changed(small: Project, tmp_path: Path) -> Project:
    """A copy in which another learning rate is asked for, and nothing has run since."""
    project = small.copy(tmp_path / "project")
    project.set(training__outer_lr=0.002)
    return project


def faults(project: Project) -> dict[str, str]:
    """What does not carry today's recipe; data that nothing needs left out."""
    found = look(project.params(), project.root).faults
    return {name: why for name, why in found.items() if not name.startswith("data/")}


def errors(project: Project) -> pd.DataFrame:
    table = pd.read_csv(project.path(f"{RESULTS}/tables/main.csv"))
    names = [name for name in table if "rmse" in name]
    assert names
    return table.set_index(["setting", "label"])[names]


def nothing_is_stale(project: Project, wanted: pd.DataFrame) -> None:
    """The same command again ends well, with everything by its recipe and nothing left."""
    project.snakemake()
    assert faults(project) == {}
    pd.testing.assert_frame_equal(errors(project), wanted)
    assert project.planned() == Counter()


def kill_jobs(project: Project, chosen: Callable[[str], bool]) -> int:
    """Run Snakemake, which must fail, and kill its children whose command is chosen; how many."""
    seen = set()
    command = ["snakemake", "--cores", "2"]
    said = project.path("killed.log")
    with (
        said.open("w") as out,
        subprocess.Popen(
            command, cwd=project.root, env=environment(), stdout=out, stderr=subprocess.STDOUT
        ) as workflow,
    ):
        while workflow.poll() is None:
            for pid in children(workflow.pid):
                if chosen(command_of(pid)):
                    os.kill(pid, signal.SIGKILL)
                    seen.add(pid)
            time.sleep(0.02)
    assert workflow.returncode != 0
    return len(seen)


def children(pid: int) -> list[int]:
    """Child processes of all threads of a process."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, thread.read_text().split())
        except OSError:  # it has ended
            continue
    return found


def command_of(pid: int) -> str:
    """The command line of a job, its options apart by spaces; empty before `exec` and after."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return ""
    return " ".join(words) if "bash" not in words[0] else ""


def trains(command: str) -> bool:
    return " meta-train " in command


def trains_one(command: str) -> bool:
    return trains(command) and f"runs/imaml/{SETTING}/" in command


def lose_memory(project: Project) -> None:
    shutil.rmtree(project.path(".snakemake"))


def set_clock_back(project: Project) -> None:
    """All files are of ten days from now."""
    future = time.time() + 10 * 86400
    for path in project.root.rglob("*"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (future, future))


# --- accidents, with real runs


def test_one_killed_job(changed: Project, wanted: pd.DataFrame) -> None:
    assert kill_jobs(changed, trains_one) == 1
    # others were trained; tables that were there before are known for stale
    assert f"{RESULTS}/tables/spec.json" in faults(changed)
    refused = changed.run("python", "-m", "pipeline", "build-tables", RESULTS, rc=2)
    assert "spec.json" in refused
    assert changed.planned() == Counter(meta_train=1) + VIEWS
    nothing_is_stale(changed, wanted)


def test_all_jobs_killed_memory_lost_clock_set_back(changed: Project, wanted: pd.DataFrame) -> None:
    """With a block for each seed."""
    changed.set(grids__ci__seeds_per_job=1)
    assert kill_jobs(changed, trains) == 8
    lose_memory(changed)
    set_clock_back(changed)
    assert changed.planned() == Counter(meta_train=8) + VIEWS
    nothing_is_stale(changed, wanted)


@pytest.mark.parametrize("seeds_per_job", [1, 2])
@pytest.mark.parametrize("chosen", [trains_one, trains])
def test_killed_jobs(
    changed: Project, wanted: pd.DataFrame, chosen: Callable[[str], bool], seeds_per_job: int
) -> None:
    changed.set(grids__ci__seeds_per_job=seeds_per_job)
    assert kill_jobs(changed, chosen) > 0
    assert faults(changed)
    nothing_is_stale(changed, wanted)


@pytest.mark.parametrize("accident", [lose_memory, set_clock_back])
def test_one_accident(
    changed: Project, wanted: pd.DataFrame, accident: Callable[[Project], None]
) -> None:
    accident(changed)
    nothing_is_stale(changed, wanted)


def test_reconcile_before(changed: Project, wanted: pd.DataFrame) -> None:
    changed.run("python", "-m", "pipeline", "reconcile")
    nothing_is_stale(changed, wanted)


# --- accidents without a change


def test_a_clock_set_back_makes_nothing_stale(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "project")
    set_clock_back(project)
    lose_memory(project)
    assert project.planned() == Counter()


@pytest.mark.parametrize("targets", [(), ("train_all",)])
def test_stale_data_below_records_that_are_gone(
    small: Project, tmp_path: Path, targets: tuple[str, ...]
) -> None:
    project = small.copy(tmp_path / "project")
    project.set(data__validation_tasks=12)
    shutil.rmtree(project.path(RESULTS))
    project.snakemake(*targets)
    project.snakemake()
    assert look(project.params(), project.root).faults == {}
    assert project.planned() == Counter()


def test_the_mark_of_a_killed_call_marks_nothing(small: Project, tmp_path: Path) -> None:
    project = small.copy(tmp_path / "project")
    mark = project.path("results/.stale/0123456789ab")
    mark.parent.mkdir(exist_ok=True)
    mark.touch()
    assert project.planned() == Counter()
    assert mark.exists(), "a dry run deletes nothing"
    project.path(f"{RESULTS}/report.html").unlink()
    project.snakemake()
    assert not mark.exists()
    assert faults(project) == {}


def test_files_that_are_links_are_judged_by_their_content(small: Project, tmp_path: Path) -> None:
    """DVC may restore a folder as links into its cache, dated as the cache is."""
    project = small.copy(tmp_path / "project")
    cache = tmp_path / "cache"
    cache.mkdir()
    for number, name in enumerate(FILES):
        kept, place = cache / str(number), project.path(f"{RUN}/{name}")
        place.rename(kept)
        os.utime(kept, (1000, 1000))
        place.symlink_to(kept)
    assert project.planned() == Counter()
    text = (cache / str(FILES.index("spec.json"))).read_text()
    place = project.path(f"{RUN}/spec.json")
    place.unlink()
    place.write_text(text.replace('"seed": 0', '"seed": 7'))
    assert place.read_text() != text
    assert project.planned() == Counter(meta_train=1) + VIEWS


# --- deletions

DATA = (
    *("data/raw/simulated.zip", "data/ratings/simulated.parquet"),
    *("data/tasks/cosmixture.parquet", "data/tasks/simulated.parquet"),
    f"data/episodes/{SETTING}/0.parquet",
)
MADE = (
    *(f"{RUN}/{name}" for name in FILES),
    f"{RESULTS}/runs/imaml/{SETTING}/block_0.json",
    f"{RESULTS}/profile/fomaml.json",
    *(f"{RESULTS}/tables/{name}" for name in ("main.csv", "claims.csv", "spec.json")),
    *(f"{RESULTS}/figures/{name}" for name in ("curves.svg", "memory.png", "spec.json")),
    *(f"{RESULTS}/{name}" for name in ("report.html", "report.json", "tracking.json")),
    *("mlflow.db", "mlartifacts"),
)
MADE_AGAIN = (f"{RUN}/curve.parquet", f"{RESULTS}/tables/main.csv", "mlartifacts")


@pytest.fixture(scope="module")
def spoilt(small: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """For tests that put back what they take away."""
    return small.copy(tmp_path_factory.mktemp("spoilt") / "project")


def test_data_that_nothing_needs_are_not_made_again(spoilt: Project, tmp_path: Path) -> None:
    for number, name in enumerate(DATA):
        spoilt.path(name).rename(tmp_path / str(number))
    assert spoilt.planned() == Counter()
    assert faults(spoilt) == {}
    for number, name in enumerate(DATA):
        (tmp_path / str(number)).rename(spoilt.path(name))


@pytest.mark.parametrize("name", MADE)
def test_a_deleted_file_is_made_again(spoilt: Project, tmp_path: Path, name: str) -> None:
    place, aside = spoilt.path(name), tmp_path / "aside"
    place.rename(aside)
    planned = spoilt.planned()
    aside.rename(place)
    assert planned


def test_after_deletions_the_same_command_makes_all_whole(
    spoilt: Project, small: Project, tmp_path: Path
) -> None:
    for name in MADE_AGAIN:
        spoilt.path(name).rename(tmp_path / name.replace("/", "-"))
    nothing_is_stale(spoilt, errors(small))
    for name in MADE_AGAIN:
        assert spoilt.path(name).exists()
