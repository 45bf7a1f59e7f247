"""How jobs stand, from recipes and logs."""

import fcntl
from pathlib import Path

import pytest

from pipeline.jobs.grid import Job
from pipeline.jobs.status import standings, time_left
from pipeline.jobs.status_text import status_text

TOLD = "maml cos seed 0: update 25 of 100, loss 0.5, 30 s left\n"


def train(label: str, done: bool = False, stale: bool = False) -> Job:
    output = f"results/ci/runs/{label}/cos/block_0.json"
    return Job("meta_train", done, (), label, "d", "cos", output, stale, (0,))


def files_below(root: Path) -> dict[Path, float]:
    return {path: path.stat().st_mtime for path in root.rglob("*")}


def wrote(root: Path, job: Job, text: str) -> Path:
    log = root / job.log
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(text)
    return log


@pytest.mark.parametrize(
    ("log", "done", "stale", "state", "told"),
    [
        (None, False, False, "waiting", ""),
        (None, True, False, "done", ""),
        (None, False, True, "stale", ""),
        ("nRMSE\ndone in 12.5 s\n", True, False, "done", ""),
        ("nRMSE\ndone in 12.5 s\n", False, True, "stale", ""),
        ("error: no file\n", False, False, "failed", "error: no file"),
        ("Traceback (most recent call last):\n  a\nKeyError: 1\n", False, True, "failed", "KeyE"),
        ("error: of an earlier try\n", True, False, "done", ""),
        (TOLD, False, False, "waiting", "maml cos seed 0: update 25 of 100, loss 0.5"),
    ],
)
def test_states(
    tmp_path: Path, log: str | None, done: bool, stale: bool, state: str, told: str
) -> None:
    job = train("maml", done, stale)
    if log is not None:
        wrote(tmp_path, job, log)
    before = files_below(tmp_path)
    (found,) = standings([job], tmp_path)
    assert found.state == state
    assert found.told.startswith(told)
    assert bool(found.told) == bool(told)
    assert found.took == (12.5 if state == "done" and log and "done in" in log else None)
    assert files_below(tmp_path) == before


def test_a_job_runs_as_long_as_it_holds_its_log(tmp_path: Path) -> None:
    job = train("maml")
    log = wrote(tmp_path, job, TOLD)
    with log.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (found,) = standings([job], tmp_path)
        assert (found.state, found.left, found.whole) == ("running", 30.0, 40.0)
    assert standings([job], tmp_path)[0].state == "waiting", "its process is gone"


def test_time_left_and_text(tmp_path: Path) -> None:
    jobs = [train("maml"), train("amaml"), train("imaml", done=True), train("reptile")]
    wrote(tmp_path, jobs[2], "done in 60.0 s\n")
    wrote(tmp_path, jobs[3], "error: no\n")
    with wrote(tmp_path, jobs[0], TOLD).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        found = standings(jobs, tmp_path)
    left = time_left(found, cores=1)
    assert left == 30 + 2 * (60 + 40) / 2
    text = status_text("ci", found, left, alive=True)
    rows = [line.split() for line in text.splitlines()]
    assert ["meta_train", "4", "1", "1", "1", "1"] in rows
    assert ["meta_train", "maml", "cos", "seed", "0", "update", "25", "of", "100,", "loss", "0.5",
            "30", "s"] in rows  # fmt: skip
    assert ["meta_train", "reptile", "cos", "seed", "0", jobs[3].log] in rows
    assert text.endswith(
        "Grid 'ci': 1 of 4 jobs done, 1 running, 1 failed, 1 waiting. About 2 min left.\n"
    )
    assert all(len(line) <= 100 for line in text.splitlines())
    stopped = status_text("ci", found, None, alive=False)
    assert "Time left: not known" in stopped
    assert "No Snakemake works here now." in stopped
