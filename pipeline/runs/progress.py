"""How far a job is: a bar on a terminal, lines in a log, `progress.jsonl` in a run's folder.

A log has a line every five seconds: `TITLE: update 120 of 300, loss 0.0312, 3 min left`.

The file is for whoever looks on while a job trains (`status`, `log-live`): it is there from the
job's start until its record is whole, and in no recipe, record or version. A line is one JSON
object:

    {"recipe", "label", "setting", "seed", "updates", "spec", "time", "pid"}   the first: who, of
        how many updates, the recipe itself, and when this process started, in seconds since 1970
    {"clock", "update", "seconds", "meta_loss", "gradient_norm", "validation_nrmse", ...}   a row
        of the curve every two seconds, and every one that was validated; `clock` are monotonic
        seconds; a value that is not finite is null
    {"trained": true}   training has ended, the meta-test and the record are left
    {"ended": "failed"}   the job ended without a record; "killed": it was asked to stop

The writer holds a kernel lock on the file, which goes when its process goes, however that ends.
A last line without its end is one being written.
"""

import fcntl
import json
import math
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

FILE = "progress.jsonl"
EVERY_S = 2.0
LINE_S = 5.0
EARLIER_ROWS = 200  # of the curve of a training that goes on
SHOWN = ("update", "seconds", "meta_loss", "gradient_norm")
VALIDATION = "validation_"  # begins the name of the error on validation tasks


T = TypeVar("T")


def track(
    title: str, first: int, total: int, said: Callable[[], str] | None = None
) -> Iterator[int]:
    """Yield first, ..., total - 1 under a bar on stderr, where that is a terminal.

    Args:
        said: what lines in a log tell beside the numbers, such as `, loss 0.0312`; None: no lines.
    """
    if not sys.stderr.isatty():
        lines = Lines(title, total, first)
        for number in range(first, total):
            yield number
            if said is not None:
                lines.tell(number + 1, said)
        return
    from rich.console import Console  # a tenth of a second that a log does not need
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        bar = progress.add_task(title, total=total, completed=first)
        for number in range(first, total):
            yield number
            progress.advance(bar)


def listed(title: str, items: Iterable[T], total: int) -> list[T]:
    """The list of `items`, told of as they come; about `total` are expected."""
    lines, found = Lines(title, total), []
    for item in items:
        found.append(item)
        lines.tell(len(found))
    return found


class Lines:
    """Lines on stderr, one in `LINE_S` seconds at most, with the time that is left at this pace.

    Args:
        done: how many were done before this process started.
        unit: of the numbers.
    """

    def __init__(self, title: str, total: int | None, done: int = 0, unit: str = "") -> None:
        self.title, self.total, self.unit = title, total, unit
        self._first, self._started = done, time.monotonic()
        self._due = self._started + LINE_S

    def tell(self, done: int, said: Callable[[], str] = str) -> None:
        """So many are done."""
        now = time.monotonic()
        if now < self._due:
            return
        self._due = now + LINE_S
        of, left = "", ""
        if self.total is not None:
            of = f" of {self.total}"
            if done > self._first:
                pace = (now - self._started) / (done - self._first)
                left = f", {duration(pace * max(self.total - done, 0))} left"
        text = f"{self.title} {done}{of}{self.unit}{said()}{left}"
        with suppress(OSError):  # a log on a full disk
            print(text, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in the unit that reads well."""
    for limit, unit, scale in ((90.0, "s", 1.0), (5400.0, "min", 60.0)):
        if seconds < limit:
            return f"{seconds / scale:.0f} {unit}"
    return f"{seconds / 3600.0:.1f} h"


TAIL = 4096  # bytes of a log's end that are looked at


def last_lines(log: Path) -> list[str]:
    """The last lines of a log; none where there is none."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, handle.seek(0, os.SEEK_END) - TAIL))
            return handle.read().decode(errors="replace").splitlines()
    except OSError:
        return []


_LINE = re.compile(r" (\d+) of (\d+)\b.*, ([\d.]+) (s|min|h) left$")
_UNITS = {"s": 1.0, "min": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Line:
    """What a line of `Lines` says: `text` without the time, which is `left`, in seconds."""

    done: int
    total: int
    left: float
    text: str


def read_line(lines: Iterable[str]) -> Line | None:
    """The last of the lines that `Lines` wrote."""
    for line in reversed([*lines]):
        if found := _LINE.search(line):
            left = float(found[3]) * _UNITS[found[4]]
            return Line(int(found[1]), int(found[2]), left, line[: found.start(3) - 2])
    return None


class ProgressFile:
    """Writes the file of one run. What cannot be written is left out: training goes on.

    Args:
        folder: of the run.
        start: entries of the first line, without `time` and `pid`.
    """

    def __init__(self, folder: Path, start: Mapping[str, Any]) -> None:
        self.path = folder / FILE
        self._start = {**start, "time": time.time(), "pid": os.getpid()}
        self._handle: IO[str] | None = None
        self._waiting: list[Mapping[str, float]] = []
        self._due = 0.0

    def open(self, earlier: Sequence[Mapping[str, float]] = ()) -> None:
        """Start the file anew; `earlier` are rows of the curve that a checkpoint brought back."""
        with suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.unlink(missing_ok=True)  # whoever reads the old one sees that this is another
            self._handle = self.path.open("w", encoding="utf-8")
            with suppress(OSError):  # a file system without such locks
                fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            some = earlier[:: max(1, len(earlier) // EARLIER_ROWS)]
            self._write(self._start, *map(_shown, some))

    def note(self, row: Mapping[str, float]) -> None:
        """Tell of an update: now, or with the next line that is due."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + EVERY_S
            self._write(*map(_shown, self._waiting), {"clock": now, **_shown(row)})
            self._waiting = []
        elif any(math.isfinite(row[key]) for key in row if key.startswith(VALIDATION)):
            self._waiting.append(row)

    def trained(self) -> None:
        """Tell that training has ended."""
        self._write(*map(_shown, self._waiting), {"trained": True})
        self._waiting = []

    def close(self, ended: str | None) -> None:
        """Delete the file when the record is whole (None); else say how the job ended."""
        if ended:
            self._write({"ended": ended})
        else:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        if self._handle is not None:
            with suppress(OSError):
                self._handle.close()
            self._handle = None

    def _write(self, *lines: Mapping[str, Any]) -> None:
        if self._handle is None:
            return
        try:
            self._handle.write("".join(f"{json.dumps(line)}\n" for line in lines))
            self._handle.flush()
        except OSError as error:  # a full disk, say
            print(f"{self.path}: {error}; the training goes on without it", file=sys.stderr)
            handle, self._handle = self._handle, None
            with suppress(OSError):
                handle.close()


@contextmanager
def reported(files: Sequence[ProgressFile]) -> Iterator[None]:
    """Close the files of a job as it ends: with its records whole, or by whatever is raised."""
    ended: str | None = "failed"
    try:
        yield
        ended = None
    except (SystemExit, KeyboardInterrupt):
        ended = "killed"
        raise
    finally:
        for file in files:
            file.close(ended)


def _shown(row: Mapping[str, float]) -> dict[str, float | None]:
    shown = (key for key in row if key in SHOWN or key.startswith(VALIDATION))
    return {key: row[key] if math.isfinite(row[key]) else None for key in shown}


def whole_lines(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    """The objects of the lines that are whole."""
    for line in lines:
        with suppress(ValueError):
            if line.endswith("\n") and isinstance(entry := json.loads(line), dict):
                yield entry


def is_written(handle: IO[Any]) -> bool:
    """Whether the process that writes an open progress file lives."""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False
