"""The lock that goes with its process, marks of dead calls, and files of the future."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import BadInput
from pipeline.jobs import process
from tests.unit.tiny_runs import ROOT

HOLD = """
import sys, time
from pathlib import Path
from pipeline.jobs import process
process.hold(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def let_go() -> Iterator[None]:
    yield
    process.release()


@pytest.fixture
def another(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that holds the lock of the folder."""
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield holder
        holder.kill()


def test_a_lock_is_held_and_given_back(tmp_path):
    assert not process.is_locked(tmp_path)
    process.hold(tmp_path)
    assert process.is_locked(tmp_path)
    process.release()
    assert not process.is_locked(tmp_path)
    process.hold(tmp_path)


def test_two_do_not_work_in_one_folder(another, tmp_path):
    assert process.is_locked(tmp_path)
    with pytest.raises(BadInput, match=r"\.snakemake/alive"):
        process.hold(tmp_path)
    assert another.poll() is None


def test_the_lock_dies_with_its_process(another, tmp_path):
    another.send_signal(signal.SIGKILL)
    another.wait()
    assert (tmp_path / ".snakemake/alive").exists()
    assert not process.is_locked(tmp_path)
    process.hold(tmp_path)


def test_a_lock_of_another_machine_is_left_to_people(tmp_path):
    """A kernel lock may not reach a machine that shares the folder."""
    place = tmp_path / ".snakemake/alive"
    place.parent.mkdir()
    place.write_text("elsewhere 0")
    assert process.is_locked(tmp_path)
    with pytest.raises(BadInput, match="elsewhere"):
        process.hold(tmp_path)
    assert place.read_text() == "elsewhere 0"
    place.unlink()
    process.hold(tmp_path)


def test_a_file_system_without_locks_is_worked_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "no locks here")

    monkeypatch.setattr("fcntl.flock", refuse)
    process.hold(tmp_path)
    assert process.is_locked(tmp_path) is False
    process.hold_log()
    assert not process.is_written(tmp_path / "log")


def test_looking_for_a_lock_writes_nothing(tmp_path):
    process.is_locked(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_marks_of_other_calls_are_forgotten(tmp_path):
    for name in ("own", "killed", "older"):
        (tmp_path / name).touch()
    process.forget_marks(tmp_path, tmp_path / "own")
    assert [path.name for path in tmp_path.iterdir()] == ["own"]
    process.forget_marks(tmp_path / "nowhere", tmp_path / "own")


def test_files_of_the_future_get_the_present(tmp_path):
    future, past, gone = (tmp_path / name for name in ("future", "past", "gone"))
    future.touch()
    past.touch()
    os.utime(future, (time.time() + 864000,) * 2)
    os.utime(past, (1000, 1000))
    process.date_back([future, past, gone])
    assert abs(future.stat().st_mtime - time.time()) < 60
    assert past.stat().st_mtime == 1000
    assert not gone.exists()


def test_files_of_another_owner_keep_their_time(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    shared, link = tmp_path / "shared", tmp_path / "link"
    shared.touch()
    os.utime(shared, (time.time() + 864000,) * 2)
    link.symlink_to(shared)
    monkeypatch.setattr(os, "utime", refuse)
    process.date_back([link])


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("before", [True, False], ids=["already gone", "goes later"])
def test_a_job_dies_with_the_workflow_that_asks_for_it(asked: bool, before: bool) -> None:
    """Also one whose workflow has died before the job could ask."""
    wait = "import time; os.getppid() == parent and time.sleep(1); " if before else ""
    job = (
        f"import os; parent = os.getppid(); print('up', flush=True); {wait}"
        "from pipeline.jobs import process; process.die_with_parent(); "
        "import time; time.sleep(60)"
    )
    late = "" if before else "import time; time.sleep(1)\n"
    environment = f"os.environ | {{{process.VARIABLE!r}: str(os.getpid())}}" if asked else "None"
    parent = (
        "import os, subprocess, sys\n"
        # of the parent's pipes the child keeps none: whoever reads them would wait for it
        f"child = subprocess.Popen([{sys.executable!r}, '-c', {job!r}], env={environment},\n"
        "    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)\n"
        f"child.stdout.readline()\nprint(child.pid, flush=True)\n{late}os.kill(os.getpid(), 9)"
    )
    said = subprocess.run(
        [sys.executable, "-c", parent], cwd=ROOT, capture_output=True, text=True, env=os.environ
    )
    pid = int(said.stdout)
    end = time.monotonic() + (30 if asked else 2)
    while _runs(pid) and time.monotonic() < end:
        time.sleep(0.05)
    assert _runs(pid) is not asked
    if not asked:
        os.kill(pid, signal.SIGKILL)


START = """
import os, subprocess, sys, time
environment = os.environ | {sys.argv[1]: str(os.getpid())}
command = [sys.executable, "-m", "pipeline", *sys.argv[2:]]
print(subprocess.Popen(command, env=environment, stdout=2).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("command", ["download ml-1m OUT", "build-tables OUT", "log-tracking OUT"])
def test_a_command_of_a_rule_dies_with_its_snakemake(command: str, tmp_path: Path) -> None:
    """In the middle of its work: it waits for a recipe that nobody writes."""
    recipe = tmp_path / "recipe"
    os.mkfifo(recipe)
    held = os.open(recipe, os.O_RDWR)
    given = [*command.replace("OUT", str(tmp_path / "out")).split(), "--spec", f"@{recipe}"]
    with subprocess.Popen(
        [sys.executable, "-c", START, process.VARIABLE, *given],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as snakemake:  # fmt: skip
        assert snakemake.stdout is not None
        pid = int(snakemake.stdout.readline())
        try:
            _wait_for(lambda: str(recipe) in _open_files(pid))
        finally:
            snakemake.kill()
    try:
        _wait_for(lambda: not _runs(pid))
    finally:
        os.close(held)


def _open_files(pid: int) -> list[str]:
    found = []
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            found.append(str(handle.readlink()))
    return found


def _wait_for(there: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_hidden_gpus_are_not_there(hidden, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert not process.gpu_here()


def test_torch_is_not_loaded_where_it_does_not_fit():
    """OpenBLAS, which is loaded with it, asks for memory again and again when it gets none."""
    limited = f"ulimit -v 900000; exec {sys.executable} -m pipeline meta-train a b c --spec '{{}}'"
    done = subprocess.run(
        ["bash", "-c", limited], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: limit of address space (`ulimit -v`): found 922 MB")
