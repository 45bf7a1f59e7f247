"""Costs: what is measured is what was allocated, and what cannot be measured is a point too."""

import contextlib
import gc
import json
import subprocess
import sys
import time
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.errors import BadInput
from pipeline.jobs import recipes
from pipeline.runs import profile as cost_profile
from pipeline.runs.profile import profile, tensor_peak
from pipeline.runs.recipe import Recipe, canonical
from pipeline.seals import read_sealed
from tests.unit.tiny_runs import METHODS, tiny_params

CPU = torch.device("cpu")
MB = 1_000_000


def recipe(method: str = "fomaml", **changes: Any) -> Recipe:
    given = json.loads(canonical(recipes.profile_recipe(tiny_params(), method)))
    return given | changes


def allocate(*sizes: int) -> list[torch.Tensor]:
    return [torch.empty(size, dtype=torch.uint8) for size in sizes]


def test_the_peak_is_that_of_what_lives_together():
    def update() -> None:
        first = allocate(3 * MB)
        second = allocate(4 * MB)
        del first, second  # 7 MB together
        allocate(2 * MB)
        allocate(5 * MB)  # the 2 MB have gone

    assert tensor_peak(update, CPU) == pytest.approx(7 * MB, rel=0.01)


def test_what_was_there_before_does_not_count():
    before = allocate(50 * MB)

    def update() -> None:
        before.clear()
        allocate(3 * MB)

    # nor does what was there and goes
    assert tensor_peak(update, CPU) == pytest.approx(3 * MB, rel=0.01)
    kept = allocate(50 * MB)
    assert tensor_peak(lambda: allocate(3 * MB), CPU) == pytest.approx(3 * MB, rel=0.01)
    assert kept


def test_nothing_allocated():
    assert tensor_peak(lambda: None, CPU) == 0


def in_process(given: Recipe, steps: int, **changes: Any) -> dict[str, Any]:
    """What the child would send; garbage of other tests, freed meanwhile, would count."""
    gc.collect()
    receiver, sender = Pipe(duplex=False)
    settings = given["settings"].get(str(steps))
    if settings is None:
        settings = given["settings"]["5"] | {"inner_steps": steps}
    cost_profile._measure(sender, given, settings | changes, "cpu", 1)
    return receiver.recv()


@pytest.mark.parametrize("method", METHODS)
def test_every_method_can_be_measured(method):
    found = in_process(recipe(method), 5)
    assert found["status"] == "ok", found
    assert found["seconds"] > 0
    assert found["peak_bytes"] > 0


def test_the_graph_of_maml_grows_with_its_steps_and_fomaml_keeps_none():
    maml, fomaml = (
        [in_process(recipe(method), steps)["peak_bytes"] for steps in (10, 20, 40)]
        for method in ("maml", "fomaml")
    )
    assert (maml[2] - maml[1]) == pytest.approx(2 * (maml[1] - maml[0]), rel=0.1)
    assert maml[2] > 3 * maml[0]
    assert fomaml[2] == pytest.approx(fomaml[0], rel=0.01)


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried 2 GiB\nmore"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (MemoryError(), "out_of_memory"),
        (RuntimeError("shapes do not fit"), "failed"),
        (FloatingPointError("the flow reached NaN"), "failed"),
    ],
)
def test_what_breaks_is_a_point(fault, status, monkeypatch):
    def broken(*_: Any, **__: Any) -> None:
        raise fault

    monkeypatch.setattr(cost_profile, "meta_gradient", broken)
    found = in_process(recipe(), 5)
    assert found["status"] == status
    assert (found["seconds"], found["peak_bytes"]) == (None, None)
    assert found["message"] == str(fault).split("\n")[0]


def test_a_network_that_no_machine_holds_is_a_point():
    # the first layer is small: it is made before the second is found too large
    found = in_process(recipe(hidden=[10**3, 10**11]), 1)
    assert (found["status"], found["seconds"]) == ("out_of_memory", None)
    assert "memory" in found["message"]


class Child:
    def __init__(self, exitcode: int) -> None:
        self.exitcode = exitcode
        self.killed = False

    def join(self) -> None:
        pass

    def kill(self) -> None:
        self.killed = True


@pytest.mark.parametrize(("exitcode", "status"), [(-9, "out_of_memory"), (1, "failed")])
def test_a_child_that_ends_without_an_answer(exitcode, status):
    receiver, sender = Pipe(duplex=False)
    sender.close()
    found = cost_profile._receive(receiver, Child(exitcode))
    assert found["status"] == status
    assert found["message"] == f"process ended with {exitcode}"


def test_a_child_that_takes_too_long(monkeypatch):
    monkeypatch.setattr(cost_profile, "LIMIT_S", 0.01)
    receiver, _sender = Pipe(duplex=False)
    child = Child(0)
    found = cost_profile._receive(receiver, child)
    assert child.killed
    assert (found["status"], found["message"]) == ("failed", "took longer than 0.01 s")


def test_a_profile_holds_every_number_of_steps(tmp_path: Path, capfd):
    """Measured in real processes."""
    out = tmp_path / "new/fomaml.json"
    profile(recipe(), out, device="cpu")
    found = read_sealed(out)
    assert found["spec"] == recipe()
    assert (found["method"], found["label"], found["device"]) == ("fomaml", "fomaml", "cpu")
    assert [entry["inner_steps"] for entry in found["entries"]] == [1, 5]
    for entry in found["entries"]:
        assert entry["status"] == "ok"
        assert entry["seconds"] > 0
        assert entry["peak_bytes"] > 0
        assert entry["message"] is None
    assert capfd.readouterr().err == ""  # torch's profiler has nothing to say


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"settings": {"x": {}}}, "settings.x"),
        ({"settings": {"5": {"inner_steps": 0, "inner_lr": 0.1}}}, "settings.5: inner_steps must"),
        ({"repeats": None}, "repeats: found None"),
        ({"meta_batch": 0}, "meta_batch: found 0"),
        ({"hidden": []}, "hidden: found []"),
    ],
)
def test_a_recipe_that_cannot_work(change, found, tmp_path):
    with pytest.raises(BadInput) as caught:
        profile(recipe(**change), tmp_path / "out.json", device="cpu")
    assert found in str(caught.value)
    assert not (tmp_path / "out.json").exists()


def test_settings_that_the_method_refuses_are_no_point(tmp_path, monkeypatch):
    assert in_process(recipe("amaml"), 5, horizon=0.0)["status"] == "refused"
    refused = {"status": "refused", "message": "horizon must be positive"}
    monkeypatch.setattr(cost_profile, "_receive", lambda *_: refused)
    with pytest.raises(BadInput, match=r"recipe: settings\.1: horizon must be positive"):
        profile(recipe("amaml"), tmp_path / "out.json", device="cpu")
    assert not (tmp_path / "out.json").exists()


JOB = """
import sys
from pathlib import Path
from pipeline.runs import profile
from tests.unit.runs.test_profile import recipe
profile._start_method = lambda place: sys.argv[1]
given = recipe("fomaml", repeats=10**9)
profile.profile(given, Path(sys.argv[2]), device="cpu")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("method", ["fork", pytest.param("forkserver", marks=pytest.mark.slow)])
def test_what_measures_ends_with_its_job(method, tmp_path):
    """However that ends: the children, and the server that forks them."""
    command = [sys.executable, "-c", JOB, method, tmp_path / "cost.json"]
    with subprocess.Popen(command, start_new_session=True) as job:
        wait_for(lambda: any(is_measuring(pid) for pid in session(job.pid)))
        job.kill()
    wait_for(lambda: not session(job.pid))


def is_measuring(pid: int) -> bool:
    """Whether a process has been at work for longer than its start took."""
    tasks = [task.name for task in Path(f"/proc/{pid}/task").glob("*")]
    spent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11]
    return len(tasks) > 1 and int(spent) > 20


def session(leader: int) -> list[int]:
    """The processes of a session, but for its leader."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of = stat.read_text().rsplit(")", 1)[1].split()[:4]
            if int(of) == leader != int(stat.parent.name) and state != "Z":
                found.append(int(stat.parent.name))
    return found


def wait_for(there, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end
        time.sleep(0.05)
