"""SIGKILL in mid-training: the job dies too, the lock is dropped, the run goes on from there."""

import os
import subprocess
import time
from pathlib import Path

from tests.workflow.project import Project, environment

RUN = "results/ci/runs/imaml/cosmixture-50shot-50val/0"
BLOCK = "results/ci/runs/imaml/cosmixture-50shot-50val/block_0.json"


def test_killed_training_goes_on_bit_for_bit(fresh: Project) -> None:
    updates = {"meta_updates": 300, "checkpoint_every": 5, "validate_every": 200}
    fresh.set(grids__ci__training=updates)
    target, run = BLOCK, fresh.path(RUN)

    fresh.snakemake(target)
    uninterrupted = (run / "meta_init.safetensors").read_bytes()
    for seed in "01":  # the block that is trained together
        (run.parent / seed / "spec.json").unlink()
    fresh.path(BLOCK).unlink()

    command = ["snakemake", "--cores", "1", target]
    with subprocess.Popen(command, cwd=fresh.root, env=environment(), start_new_session=True) as p:
        _wait_for(run / "checkpoint.pt")
        children = _children(p.pid)
        p.kill()
    assert children
    _wait_until_gone(children)
    assert not (run / "spec.json").exists()

    fresh.snakemake(target)
    log = fresh.path(RUN.replace("results/ci/runs", "logs/meta_train/ci")).with_name("block_0.log")
    assert "going on from meta-update" in log.read_text()
    assert (run / "meta_init.safetensors").read_bytes() == uninterrupted
    assert not (run / "checkpoint.pt").exists()


def test_lock_of_a_living_snakemake_holds(fresh: Project) -> None:
    fresh.set(grids__ci__training={"meta_updates": 100000, "checkpoint_every": 1})
    target, run = BLOCK, fresh.path(RUN)
    command = ["snakemake", "--cores", "1", target]
    with subprocess.Popen(command, cwd=fresh.root, env=environment(), start_new_session=True) as p:
        try:
            _wait_for(run / "checkpoint.pt")
            assert "lock" in fresh.snakemake(target, rc=1).lower()
            refused = fresh.run("python", "-m", "pipeline", "reconcile", rc=2)
            assert "found the lock of a running Snakemake" in refused
        finally:
            p.kill()


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True)
    return [int(line) for line in found.stdout.split()]


def _wait_for(path: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.02)


def _wait_until_gone(pids: list[int], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while any(_alive(pid) for pid in pids):
        assert time.monotonic() < end, f"{pids} outlived Snakemake"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"  # a zombie is dead: whoever adopted it has not looked yet
