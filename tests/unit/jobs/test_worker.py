"""A worker does jobs as their own processes would; where it cannot, they do them themselves."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.jobs import process, worker
from tests.unit.tiny_runs import ROOT, make_files, recipe

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are for Linux")
# What `python -m pipeline` does first, with a sign that the job's own process had to go on.
ASKS = """
import sys
sys.argv = ["pipeline", *sys.argv[1:]]
from pipeline.jobs import worker
worker.hand_over()
print("does it itself")
"""


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A worker whose jobs are those of this process; its number."""
    folder = Path.cwd()
    os.chdir(ROOT)  # where the jobs run
    before = os.environ.pop("PYTEST_CURRENT_TEST", "")  # which changes from test to test
    worker.start(ROOT, tmp_path_factory.mktemp("worker") / "worker.log")
    os.environ["PYTEST_CURRENT_TEST"] = before
    yield worker._STARTED[0][0].pid
    worker.stop()
    os.chdir(folder)


def job(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """A job of this process, as the workflow starts one."""
    own = {**os.environ, "PYTHONPATH": str(ROOT), **worker.THREADS}
    own["PATH"] = f"{Path(sys.executable).parent}:{own['PATH']}"
    own.pop("PYTEST_CURRENT_TEST", None)  # which changes from test to test
    own |= {process.VARIABLE: str(os.getpid())} | environment
    command = [sys.executable, "-c", ASKS, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, env=own, stdout=pipe, stderr=pipe, text=True)


def said(started: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = started.communicate(timeout=120)
    return started.returncode, out, err


@pytest.fixture
def training(serving: int, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, Path]]:
    """A training without end: its job, its fork's number, its folder."""
    given = recipe("fomaml", meta_updates=10**7, validate_every=10**7)
    files = make_files(tmp_path)
    run = tmp_path / "run"
    options = ("--device", "cpu", "--checkpoint-every", 1, "--spec", json.dumps(given))
    started = job("meta-train", *files, run, *options)
    wait_for(lambda: (run / "checkpoint.pt").exists())
    (fork,) = children(serving)
    yield started, fork, run
    started.kill()
    started.communicate()


def test_a_job_is_done_by_a_fork(serving: int) -> None:
    code, out, err = said(job("check-params"))
    assert code == 0
    assert err.startswith("done in ")
    assert out.startswith("params.yaml: sound")
    assert "does it itself" not in out


def test_bad_input_has_its_message_and_status(serving: int) -> None:
    code, out, err = said(job("check-params", "--grid", "nope"))
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "nope" in err


def test_a_signal_reaches_the_fork_and_a_checkpoint_is_written(training) -> None:
    started, fork, run = training
    started.send_signal(signal.SIGINT)
    code, _, err = said(started)
    assert code == 128 + signal.SIGINT
    assert "checkpoint written" in err
    assert not alive(fork)
    assert (run / "checkpoint.pt").exists()


def test_a_fork_dies_with_the_process_of_its_job(training) -> None:
    started, fork, _ = training
    started.kill()
    wait_for(lambda: not alive(fork))


@pytest.mark.parametrize(
    "other",
    [
        {"OMP_NUM_THREADS": "2"},
        {process.VARIABLE: "1"},  # a job of another process: of a cluster's, say
        {worker.VARIABLE: f"{os.getpid()} gone"},
    ],
)
def test_where_no_worker_can_the_job_s_own_process_does_it(
    serving: int, other: dict[str, str]
) -> None:
    assert said(job("check-params", **other)) == (0, "does it itself\n", "")


def test_a_worker_takes_its_forks_along_and_leaves_later_jobs_to_themselves(training) -> None:
    """Last of all: the worker is gone after it."""
    started, fork, _ = training
    other = job("meta-train", "--help")
    assert said(other)[0] == 0, "it does several at a time"
    worker._STARTED[0][0].kill()
    code, _, err = said(started)
    assert code == 1
    assert "the worker of this run was killed" in err
    wait_for(lambda: not alive(fork))
    assert said(job("check-params"))[1] == "does it itself\n"


def children(number: int) -> list[int]:
    found = Path(f"/proc/{number}/task/{number}/children").read_text()
    return [int(word) for word in found.split()]


def alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_for(there, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_worker_that_cannot_load_is_named_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pipeline").mkdir()
    (tmp_path / "pipeline/__init__.py").write_text("raise RuntimeError('half an environment')")
    monkeypatch.setattr(worker, "_STARTED", [])
    monkeypatch.setenv(worker.VARIABLE, "")  # given back after the test
    monkeypatch.chdir(tmp_path)
    worker.start(tmp_path, tmp_path / "logs/worker.log")
    worker._STARTED[0][0].wait(timeout=60)
    worker.stop()
    assert "logs/worker.log: the process that jobs are forked from" in capsys.readouterr().err
    assert "half an environment" in (tmp_path / "logs/worker.log").read_text()


def test_none_is_started_where_torch_does_not_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would load torch for ever, and its jobs would wait for it."""
    monkeypatch.setattr(worker, "_STARTED", [])
    monkeypatch.setattr("resource.getrlimit", lambda _: (900_000_000, 900_000_000))
    worker.start(tmp_path, tmp_path / "worker.log")
    assert worker._STARTED == []
