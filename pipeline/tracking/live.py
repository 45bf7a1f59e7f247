"""Runs in MLflow while they train: one process beside the jobs follows their progress files.

Jobs know nothing of it (pipeline/runs/progress.py), so no store that is slow or away costs a
training anything: what could not be logged in time is logged later, by this process or by
`log-tracking` from the record. Where all trainings are short, mlflow is not even imported.
"""

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from pipeline.runs.progress import FILE, is_written, whole_lines
from pipeline.tracking.experiment import PARENT_TAG, Experiment, opened, parent_run
from pipeline.tracking.store import set_environment

if TYPE_CHECKING:  # importing mlflow takes seconds: only a call pays for it
    from mlflow.entities import Run

EVERY_S = 5.0
PATIENCE_S = 10.0  # the first run is logged when it has trained so long
AWAY_S = 30.0  # until a store that could not be reached is tried again
LAST_S = 5.0  # for jobs to end after their workflow
ROWS = 2000  # of a run that wait for a store; older ones are left to the record
NO_METRIC = ("clock", "update", "seconds")  # of a row


@dataclass
class Followed:
    """A run that is trained.

    Attributes:
        start: the first line of its progress file.
        offset: bytes of the file that were read.
        rows: of the curve, that were not logged yet.
        state: `running`, `whole` (its record is), `failed`, `killed`.
        run: its id in the store, None before it is there.
        told: the state that the store knows.
        steps: of each history, that the store has.
    """

    folder: Path
    start: dict[str, Any] = field(default_factory=dict)
    offset: int = 0
    rows: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=ROWS))
    state: str = "running"
    run: str | None = None
    told: str = ""
    steps: dict[str, set[int]] = field(default_factory=dict)

    def look(self) -> None:
        """Read what was written since the last look."""
        try:
            with (self.folder / FILE).open("rb") as handle:
                first = handle.readline()
                start = next(whole_lines([first.decode()]), None)
                if start is None:
                    return
                if start != self.start:  # started, or started again
                    self._begin(start, len(first))
                handle.seek(self.offset)
                new = handle.read()
                new = new[: new.rfind(b"\n") + 1]
                self.offset += len(new)
                alive = is_written(handle)
        except FileNotFoundError:
            if self.start:
                self.state = "whole" if (self.folder / "spec.json").is_file() else "killed"
            return
        ended = None
        for line in whole_lines(new.decode().splitlines(keepends=True)):
            if "update" in line:
                self.rows.append(line)
            ended = line.get("ended", ended)
        if ended or not alive:
            self.state = ended or "killed"

    def _begin(self, start: dict[str, Any], offset: int) -> None:
        if start["recipe"] != self.start.get("recipe"):
            self.run, self.steps = None, {}
        self.start, self.offset, self.state, self.told = start, offset, "running", ""
        self.rows.clear()

    def again(self) -> None:
        """The store knows nothing of it any more: tell all from the start."""
        self.start, self.run, self.told, self.steps = {}, None, "", {}
        self.look()


def log_live(
    results_dir: Path,
    *,
    uri: str,
    grid: str,
    methods: list[str],
    settings: list[str],
    seeds: list[int],
    parent: int | None = None,
    every: float = EVERY_S,
    patience: float = PATIENCE_S,
) -> None:
    """Log runs of a grid while they train, until the process that started this one ends.

    A run has the status RUNNING; then that of its record, FAILED when its job failed, or KILLED.
    A line on stderr tells that the store cannot be reached, and when it can again.

    Args:
        results_dir: such as `results/quickstart`.
        uri, grid, methods, settings, seeds: as in `log_tracking`.
        parent: number of the process; None: whichever started this one.
        every: seconds between looks.
        patience: seconds that the first run trains before it is logged.
    """
    Live(results_dir, uri, grid, [*product(methods, settings, seeds)], patience).follow(
        os.getppid() if parent is None else parent, every
    )


class Live:
    """The runs of a grid that are in training, and what the store was told of them."""

    def __init__(
        self,
        results_dir: Path,
        uri: str,
        grid: str,
        cells: list[tuple[str, str, int]],
        patience: float,
    ) -> None:
        self.results_dir = results_dir
        self.uri = uri
        self.grid = grid
        self.patience = patience
        self.runs = [
            Followed(results_dir / "runs" / label / setting / str(seed))
            for label, setting, seed in cells
        ]
        self._begun = False
        self._away_until = 0.0
        self._stop = False

    def follow(self, parent: int, every: float) -> None:
        """Look and log until the parent ends, or this process is asked to."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask_to_stop)
        os.nice(10)  # trainings come first
        due = 0.0
        while os.getppid() == parent and not self._stop:
            if time.monotonic() >= due:
                self.step()
                due = time.monotonic() + every
            time.sleep(min(every, 0.5))
        self.end()

    def _ask_to_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop = True

    def step(self) -> None:
        """One look at all runs; and what is new goes to the store, if that can be reached."""
        for run in self.runs:
            run.look()
        now = time.monotonic()
        if not self._begun:
            waited = (time.time() - run.start["time"] for run in self._in_training())
            self._begun = any(seconds >= self.patience for seconds in waited)
        if self._begun and now >= self._away_until and any(self._news()):
            self._try()

    def end(self) -> None:
        """Tell the store that runs in training were killed, after their jobs have ended."""
        limit = time.monotonic() + LAST_S
        while True:
            for run in self.runs:
                run.look()
            if time.monotonic() >= limit or not any(self._in_training()):
                break
            time.sleep(0.2)
        for run in self._in_training():
            run.state = "killed"
        if self._begun:
            self._try(last=True)

    def _in_training(self) -> Iterator[Followed]:
        return (run for run in self.runs if run.start and run.state == "running")

    def _news(self) -> Iterator[Followed]:
        return (run for run in self.runs if run.start and (run.rows or run.told != run.state))

    def _try(self, last: bool = False) -> None:
        try:
            set_environment()
            with opened(self.uri, self.grid) as experiment:
                parent = parent_run(experiment, self.grid)
                for run in list(self._news()):
                    self._tell(experiment, parent, run)
                if last:
                    whole = all((run.folder / "spec.json").is_file() for run in self.runs)
                    status = "FINISHED" if whole else "KILLED"
                    experiment.client.set_terminated(parent.info.run_id, status)
                elif parent.info.status != "RUNNING":
                    experiment.client.update_run(parent.info.run_id, "RUNNING")
        except Exception as error:  # whatever a store may raise: no training depends on it
            if not self._away_until:
                first = (str(error).splitlines() or [""])[0]
                print(
                    f"{self.uri}: {first} Trainings go on; what is missing is logged later.",
                    file=sys.stderr,
                    flush=True,
                )
            self._away_until = time.monotonic() + AWAY_S
            return
        if self._away_until:
            print(f"{self.uri}: reached again.", file=sys.stderr, flush=True)
            self._away_until = 0.0

    def _tell(self, experiment: Experiment, parent: "Run", run: Followed) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._log(experiment, parent, run)
        except MlflowException as error:
            # the store was exchanged, or a person deleted the run
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            run.again()

    def _log(self, experiment: Experiment, parent: "Run", run: Followed) -> None:
        from mlflow.entities import Metric

        from pipeline.tracking.replay import WHOLE

        client = experiment.client
        known = client.get_run(run.run) if run.run else self._found(experiment, parent, run)
        run.run = known.info.run_id
        if WHOLE not in known.data.tags:
            begun = known.info.start_time
            metrics = [
                Metric(key, row[key], begun + int(row["seconds"] * 1000), row["update"])
                for row in run.rows
                for key in row.keys() - NO_METRIC
                if row[key] is not None and row["update"] not in run.steps.setdefault(key, set())
            ]
            for first in range(0, len(metrics), 1000):
                client.log_batch(run.run, metrics=metrics[first : first + 1000])
            for metric in metrics:
                run.steps[metric.key].add(metric.step)
            if run.state == "whole":
                self._complete(experiment, run)
            elif run.state != "running":
                client.set_terminated(run.run, run.state.upper())
            elif known.info.status != "RUNNING":  # it goes on
                client.update_run(run.run, "RUNNING")
        run.rows.clear()
        run.told = run.state

    def _found(self, experiment: Experiment, parent: "Run", run: Followed) -> "Run":
        """The run in the store: one of its recipe that is not whole, or a new one."""
        from pipeline.tracking.content import Content, flat, identity, run_name
        from pipeline.tracking.replay import WHOLE, log_params, logged_steps, start_run, unfinished

        client, spec = experiment.client, run.start["spec"]
        name = run_name(spec)
        runs = client.search_runs([experiment.id], f"attributes.run_name = '{name}'")
        begun = unfinished(runs, run.start["recipe"])
        for other in runs:  # of another recipe, and never to be whole
            if other is not begun and "recipe" in other.data.tags and WHOLE not in other.data.tags:
                client.delete_run(other.info.run_id)
        if begun:
            run.steps = logged_steps(experiment, begun.info.run_id, begun.data.metrics)
            client.set_tag(begun.info.run_id, PARENT_TAG, parent.info.run_id)
            return begun
        start = int(run.start["time"] * 1000)
        new = start_run(
            experiment, parent, Content(name, "RUNNING", start, start, tags=identity(spec))
        )
        log_params(experiment, new, dict(flat(spec)))
        return new

    def _complete(self, experiment: Experiment, run: Followed) -> None:
        """Log what the record has beyond the curve; `log-tracking` adds what is made later."""
        from pipeline.runs.records import read_reference, read_run, reference_file
        from pipeline.tracking.content import run_content
        from pipeline.tracking.replay import complete

        record = read_run(run.folder)
        known = experiment.client.get_run(str(run.run))
        reference = reference_file(self.results_dir, record.spec["setting"], record.spec["seed"])
        rows = read_reference(reference) if reference.is_file() else None
        content = run_content(record, rows, None, start=known.info.start_time)
        complete(experiment, known, content, None)
