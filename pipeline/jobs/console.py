"""What a person sees while Snakemake runs: a line for each job as it starts, and what failed.

A filter on Snakemake's own logger (`snakemake.logging.logger`, a logger of Python's `logging`). Its
records carry an `event` and that event's fields, as the interface of its logger plugins says. A
plugin itself would have to be a second installed package: Snakemake finds none in the folder of
the workflow, nor in an editable install. Whoever asks Snakemake for its own words (`OWN_WORDS`)
gets those and no filter.

    12 of 45  meta_train METHOD SETTING seeds 0, 1  (3 min left)

The time that is left is that of pipeline/jobs/timing.py.
"""

import locale
import logging
import re
import shlex
import sys
import threading
import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from pipeline.jobs.grid import Job
from pipeline.jobs.timing import Took, seconds_left
from pipeline.runs.progress import duration, last_lines, read_line

# Options of Snakemake with which a person asks for what it says itself.
OWN_WORDS = re.compile(r"--(quiet|verbose|printshellcmds|debug-dag)\b|-[nFfRk]*[qp]")
# Targets and marks, which make nothing that a person asked for.
UNCOUNTED = ("whole_grid", "all", "data_all", "train_all", "mark_stale")
# What Snakemake says at its start and between jobs, by how it begins.
_IDLE = (
    *("Assuming unrestricted shared", "Building DAG", "host:", "Using shell", "Conda environments"),
    *("Singularity containers", "Select jobs to execute", "Reasons:", "    (check individual"),
    *("Removing temporary output", "Complete log", "Job rate limit", "Group jobs", "Elapsed time"),
)
_ASKED_TO_STOP = "Terminating processes on user request"  # after Ctrl-C, or SIGTERM
_COMMAND = re.compile(r"Command '.*' returned", re.DOTALL)  # with the recipe in it
_UNSEEN = (
    *("workflow_started", "job_started", "job_finished", "shellcmd", "progress"),
    *("resources_info", "group_info"),
)


def asked_for_own_words(arguments: Iterable[str]) -> bool:
    """Whether a person asked Snakemake for more, or less, than the lines of this module."""
    return any(OWN_WORDS.match(argument) for argument in arguments)


class Console(logging.Filter):
    """Turns Snakemake's records into lines for people, and leaves its warnings and errors.

    Args:
        own_words: keep account only, and let Snakemake say all it has to say.

    Attributes:
        failed: names of jobs, with their logs.
        finished: rules of which a job has ended well.
    """

    def __init__(self, *, own_words: bool = False) -> None:
        super().__init__()
        self._own_words = own_words
        self.failed: list[str] = []
        self.finished: set[str] = set()
        self._asked_to_stop = False
        self._stats: dict[str, int] = {}  # jobs by rule
        self._began: float | None = None
        self._left: dict[str, Job] = {}  # by log
        self._running: dict[int, tuple[Job, float]] = {}  # by Snakemake's number
        self._known: list[Took] = []
        self._started = 0
        self._most = 1  # jobs seen at a time
        self._lock = threading.Lock()

    def begin(self, jobs: Iterable[Job]) -> None:
        """The first job is about to start; `jobs` are those of the grid."""
        self._left = {job.log: job for job in jobs if not job.done and job.rule in self._stats}
        self._began = time.monotonic()

    def ahead(self, rules: Collection[str]) -> int:
        """How many jobs of these rules Snakemake has."""
        return sum(n for rule, n in self._stats.items() if rule in rules)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether Snakemake shall show a record, which this may have rewritten."""
        event = str(getattr(record, "event", None) or "")
        if isinstance(record.msg, str):  # Snakemake's log has the encoding of the locale
            encoding = locale.getpreferredencoding(False)
            record.msg = record.msg.encode(encoding, "replace").decode(encoding)
        before = record.__dict__.copy()
        with self._lock:
            shown = self._take(event, record)
        if self._own_words:
            record.__dict__.update(before)
            return True
        if record.levelno >= logging.WARNING:
            record.msg = _COMMAND.sub("The command returned", str(record.msg))
            return not self._asked_to_stop  # then the jobs that run end with errors
        return shown and not str(record.msg or "").startswith(_IDLE)

    def _take(self, event: str, record: logging.LogRecord) -> bool:
        """Take account of a record, and say whether people want to see it."""
        if event == "run_info":
            return self._tell_stats(record)
        if event == "job_info":
            return self._began is not None and self._tell_start(record)
        if event == "job_finished":
            self._end(getattr(record, "job_id", -1))
        elif event == "job_error":
            self._fail(record)
        elif str(record.msg or "").startswith(_ASKED_TO_STOP):
            self._asked_to_stop = True
        return event not in _UNSEEN

    def closing(self) -> str:
        """Lines for the end of a run in which something failed."""
        lines = []
        if self._asked_to_stop:  # which ends the jobs that run with an error
            lines = [f"Stopped, with {self._total - len(self._known)} of {self._total} jobs left."]
        elif self.failed:
            not_run = self._total - self._started
            left = f", {not_run} could not start" if not_run > 0 else ""
            lines = [f"{len(self.failed)} of {self._total} jobs failed{left}:"]
            lines += [f"  {one}" for one in self.failed]
        command = shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
        mended = self.failed and not self._asked_to_stop
        after = "Once that is mended, the same command goes on" if mended else "Go on with"
        return "\n".join([*lines, f"{after}: {command}"])

    def ended(self) -> str:
        """A line for the end of a run in which nothing failed."""
        took = time.monotonic() - (self._began or time.monotonic())
        return f"{self._started} jobs done in {duration(took)}."

    def _tell_stats(self, record: logging.LogRecord) -> bool:
        """The table of jobs, once."""
        first = not self._stats
        stats: dict[str, int] = getattr(record, "stats", {})
        self._stats = {rule: n for rule, n in stats.items() if rule not in (*UNCOUNTED, "total")}
        return first

    @property
    def _total(self) -> int:
        return sum(self._stats.values())

    def _tell_start(self, record: Any) -> bool:
        if record.rule_name in UNCOUNTED:
            return False
        job = self._left.pop((record.log or [""])[0], None)
        job = job or Job(record.rule_name, False, label=" ".join(record.wildcards.values()))
        self._running[record.jobid] = (job, time.monotonic())
        self._started += 1
        self._most = max(self._most, len(self._running))
        left = self._seconds_left()
        record.event = None
        width = len(str(self._total))
        record.msg = f"{self._started:{width}} of {self._total}  {job.rule} {job.name}".rstrip()
        if left is not None:
            record.msg += f"  ({duration(left)} left)"
        return True

    def _seconds_left(self) -> float | None:
        now = time.monotonic()
        running: list[tuple[Job, float, float | None]] = []
        known = list(self._known)
        for job, since in self._running.values():
            told = read_line(last_lines(Path(job.log))) if job.output else None
            running.append((job, now - since, told.left if told else None))
            if told:
                known.append(Took(job, now - since + told.left))
        return seconds_left([*self._left.values()], running, known, self._most)

    def _end(self, number: int) -> None:
        if number in self._running:
            job, since = self._running.pop(number)
            self._known.append(Took(job, time.monotonic() - since))
            self.finished.add(job.rule)

    def _fail(self, record: Any) -> None:
        job, _ = self._running.pop(record.jobid, (Job(record.rule_name, False), 0.0))
        log = ", ".join(record.log or ["no log"])
        self.failed.append(f"{job.rule} {job.name}".rstrip() + f": {log}")
        record.shellcmd = record.input = None  # long, and said with `-p`
