"""`progress.jsonl`: what a job tells while it trains, and what is left of it afterwards."""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import MetaTrainer
from pipeline.runs import progress
from pipeline.runs.job import run_seeds
from pipeline.runs.progress import FILE, ProgressFile, is_written, reported, whole_lines
from pipeline.runs.recipe import digest
from pipeline.runs.records import read_run
from tests.unit.seed_runs import SYNTHETIC, make, recipes

START = {"recipe": "r", "label": "maml", "setting": "s", "seed": 0, "updates": 100}


@dataclass(frozen=True)
class Seen:
    """What a progress file says of a run.

    Attributes:
        start: its first line.
        update, row: the last update it tells of, and that row of the curve; 0 and empty before.
        trained: only the meta-test and the record are left.
        running: the process that writes it lives. Without a file system that has kernel locks,
            or where the process is another machine's there: not known to be dead.
        ended: how it ended without a record, where it says so.
        seconds_left: of training at the pace since this process started; None when not known.
    """

    start: dict[str, Any]
    update: int
    row: dict[str, Any]
    trained: bool
    running: bool
    ended: str | None
    seconds_left: float | None


def read_progress(folder: Path) -> Seen | None:
    """Look at the progress file of a run; None where there is none."""
    try:
        with (folder / FILE).open(encoding="utf-8") as handle:
            lines = list(whole_lines(handle))
            running = is_written(handle)
    except OSError:
        return None
    if not lines:
        return None
    start, *rest = lines
    rows = [line for line in rest if "update" in line]
    timed = [row for row in rows if "clock" in row]
    last = rows[-1] if rows else {"update": 0}
    left = None
    if len(timed) > 1 and timed[-1]["update"] > timed[0]["update"]:
        pace = (timed[-1]["clock"] - timed[0]["clock"]) / (timed[-1]["update"] - timed[0]["update"])
        left = pace * (start["updates"] - last["update"])
    return Seen(
        start=start,
        update=last["update"],
        row=last if rows else {},
        trained=any("trained" in line for line in rest),
        running=running,
        ended=next((line["ended"] for line in rest if "ended" in line), None),
        seconds_left=left,
    )


def row(update: int, validation: float = math.nan, loss: float = 1.0) -> dict[str, float]:
    return {
        "update": update,
        "seconds": update / 10,
        "meta_loss": loss,
        "gradient_norm": 2.0,
        "validation_nrmse": validation,
        "hvps": 3,
    }


def look(folder: Path) -> Seen:
    seen = read_progress(folder)
    assert seen is not None
    return seen


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Monotonic seconds, which the test sets."""
    now = [1000.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_a_line_every_two_seconds_and_every_validation(tmp_path: Path, clock: list[float]) -> None:
    file = ProgressFile(tmp_path, START)
    file.open()
    for update in range(1, 61):
        clock[0] += 0.1
        file.note(row(update, validation=0.5 if update % 7 == 0 else math.nan))

    lines = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert lines[0].items() >= START.items()
    timed = [line["update"] for line in lines if "clock" in line]
    assert timed == [1, 21, 41]
    validated = [line["update"] for line in lines if line.get("validation_nrmse")]
    assert validated == [7, 14, 21, 28, 35], "those after the last line come with the next"
    file.trained()
    assert '"update": 56' in (tmp_path / FILE).read_text()


def test_what_is_read_of_it(tmp_path: Path, clock: list[float]) -> None:
    assert read_progress(tmp_path) is None
    file = ProgressFile(tmp_path, START)
    file.open()
    seen = look(tmp_path)
    assert (seen.update, seen.running, seen.seconds_left) == (0, True, None)
    for update in (10, 20, 30):
        clock[0] += 5
        file.note(row(update, loss=math.inf))
    seen = look(tmp_path)
    assert seen.update == 30
    assert seen.row["meta_loss"] is None
    assert seen.seconds_left == pytest.approx(70 * 0.5)

    with (tmp_path / FILE).open("a") as torn:
        torn.write('{"update": 9')
    assert look(tmp_path).update == 30, "a line without its end is left out"
    file.close("killed")
    assert not look(tmp_path).running


def test_rows_of_a_checkpoint_come_first_and_thinned(tmp_path: Path) -> None:
    file = ProgressFile(tmp_path, START)
    file.open([row(update) for update in range(1, 5001)])
    assert len((tmp_path / FILE).read_text().splitlines()) <= 2 * progress.EARLIER_ROWS + 1
    file.close(None)
    assert not (tmp_path / FILE).exists()


@pytest.mark.parametrize(
    ("raised", "ended"),
    [(SystemExit, "killed"), (KeyboardInterrupt, "killed"), (OSError, "failed")],
)
def test_how_a_job_ended(tmp_path: Path, raised: type[BaseException], ended: str) -> None:
    file = ProgressFile(tmp_path, START)
    file.open()
    with pytest.raises(raised), reported([file]):
        raise raised
    seen = look(tmp_path)
    assert (seen.ended, seen.running) == (ended, False)


def test_a_full_disk_costs_the_file_and_not_the_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ProgressFile(tmp_path, START)
    file.open()
    with Path("/dev/full").open("w") as file._handle:
        file.trained()
    assert "No space left" in capsys.readouterr().err
    file.note(row(2))
    file.close("failed")


def test_a_job_tells_of_each_seed_and_leaves_only_records(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = recipes(meta_updates=6, validate_every=2)
    tasks, episodes = make(tmp_path, SYNTHETIC)
    folders = [tmp_path / "runs" / str(own["seed"]) for own in given]
    step, seen = MetaTrainer.step, []

    def looking(self: MetaTrainer, batch: Any) -> Any:
        seen.append([read_progress(folder) for folder in folders])
        return step(self, batch)

    monkeypatch.setattr(MetaTrainer, "step", looking)
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    run_seeds(given, tasks, episodes, folders, device="cpu")

    for own, folder, looks in zip(given, folders, zip(*seen, strict=True), strict=True):
        assert [one.update for one in looks] == [0, 1, 2, 3, 4, 5]
        assert all(one.running for one in looks)
        assert looks[0].start["recipe"] == digest(own)
        assert looks[0].start["updates"] == 6
        curve = read_run(folder).curve.set_index("update")
        assert looks[5].row["meta_loss"] == curve.loc[5, "meta_loss"]
        assert looks[4].row["validation_nrmse"] == curve.loc[4, "validation_nrmse"]
        assert not (folder / FILE).exists()


@pytest.mark.parametrize(
    ("seconds", "wanted"),
    [(0, "0 s"), (89, "89 s"), (120, "2 min"), (5340, "89 min"), (9e3, "2.5 h")],
)
def test_durations(seconds, wanted):
    assert progress.duration(seconds) == wanted


def test_a_line_in_the_log_every_five_seconds(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in progress.track("maml: update", 100, 300, lambda: ", loss 0.5"):
        clock[0] += 0.3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == pytest.approx(200 * 0.3 / 5, abs=1)
    assert lines[0] == "maml: update 117 of 300, loss 0.5, 55 s left"
    read = progress.read_line([lines[0], "a warning"])
    assert read == progress.Line(117, 300, 55, "maml: update 117 of 300, loss 0.5")
    read = progress.read_line(["profile: point 7 of 12, 3 min left"])
    assert read == progress.Line(7, 12, 180, "profile: point 7 of 12")
    assert progress.read_line(["maml s seed 0: nRMSE 0.5 after 5 of 6 steps"]) is None


def test_what_is_listed_is_told_of(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    def records() -> Iterator[int]:
        for number in range(4):
            clock[0] += 4
            yield number

    assert progress.listed("study: record", records(), 4) == [0, 1, 2, 3]
    said = capsys.readouterr().err.splitlines()
    assert said == ["study: record 2 of 4, 8 s left", "study: record 4 of 4, 0 s left"]


def test_short_work_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert [*progress.track("maml: update", 0, 3, str)] == [0, 1, 2]
    assert capsys.readouterr().err == ""
