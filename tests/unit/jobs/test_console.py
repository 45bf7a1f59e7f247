"""Lines for people out of Snakemake's records."""

import logging
from pathlib import Path
from typing import Any

import pytest

from pipeline.jobs import console
from pipeline.jobs.console import Console, asked_for_own_words
from pipeline.jobs.grid import Job

RUN = "results/ci/runs/{}/cos/block_0.json"
STATS = {"meta_train": 2, "build_tables": 1, "all": 1, "total": 4}


def train(label: str) -> Job:
    output = RUN.format(label)
    return Job("meta_train", False, label=label, setting="cos", output=output, seeds=(0, 1))


JOBS = [
    train("maml"),
    train("amaml"),
    Job("build_tables", False, output="results/ci/tables/s.json"),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


def record(event: str | None, msg: str = "", level: int = logging.INFO, **fields: Any) -> Any:
    made: Any = logging.LogRecord("snakemake", level, "", 0, msg, (), None)
    made.event = event
    made.__dict__.update(fields)
    return made


def start(number: int, job: Job) -> Any:
    fields = {"rule_name": job.rule, "wildcards": {}, "log": [job.log], "jobid": number}
    return record("job_info", **fields)


def begun(**options: Any) -> Console:
    made = Console(**options)
    assert made.filter(record("run_info", "Job stats:", stats=STATS))
    made.begin(JOBS)
    return made


def test_a_line_for_each_job_with_number_and_time_left(clock: list[float]) -> None:
    shown = begun()
    first = start(7, JOBS[0])
    assert shown.filter(first)
    assert first.msg == "1 of 3  meta_train maml cos seeds 0, 1", "nothing is known yet"
    clock[0] += 60
    assert not shown.filter(record("job_finished", "Finished", job_id=7))
    second = start(8, JOBS[1])
    assert shown.filter(second)
    assert second.msg == "2 of 3  meta_train amaml cos seeds 0, 1  (63 s left)"
    clock[0] += 60
    shown.filter(record("job_finished", "Finished", job_id=8))
    third = start(9, JOBS[2])
    shown.filter(third)
    assert third.msg == "3 of 3  build_tables  (3 s left)"
    shown.filter(record("job_finished", job_id=9))
    assert shown.ended() == "3 jobs done in 2 min."


def test_a_running_job_tells_the_time_left_in_its_log(
    clock: list[float], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = begun()
    shown.filter(start(1, JOBS[0]))
    clock[0] += 10
    log = Path(JOBS[0].log)
    log.parent.mkdir(parents=True)
    log.write_text("maml cos: update 10 of 100, loss 0.5, 90 s left\n")
    second = start(2, JOBS[1])
    shown.filter(second)
    wall = (90 + 100 + 3) / 2  # two at a time; the other method as long as this one
    assert f"({wall / 60:.0f} min left)" in second.msg


def test_what_failed_is_named_with_its_log_and_the_command(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        console.sys, "argv", ["/bin/snakemake", "--cores", "2", "--config", "a=b c"]
    )
    shown = begun()
    shown.filter(start(1, JOBS[0]))
    fields = {"rule_name": "meta_train", "jobid": 1, "log": [JOBS[0].log]}
    failed = record("job_error", "Error", logging.ERROR, input=["x"], shellcmd="long", **fields)
    assert shown.filter(failed)
    assert failed.shellcmd is None
    said = record(None, "Command 'python --spec {\n}' returned non-zero exit status 2.", 40)
    assert shown.filter(said)
    assert said.msg == "The command returned non-zero exit status 2."
    lines = shown.closing().splitlines()
    assert lines[0] == "1 of 3 jobs failed, 2 could not start:"
    assert lines[1] == f"  meta_train maml cos seeds 0, 1: {JOBS[0].log}"
    assert lines[2].endswith("goes on: snakemake --cores 2 --config 'a=b c'")


def test_jobs_that_ctrl_c_ends_have_not_failed(
    clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console.sys, "argv", ["/bin/snakemake", "--cores", "2"])
    shown = begun()
    shown.filter(start(1, JOBS[0]))
    shown.filter(record("job_finished", job_id=1))
    shown.filter(start(2, JOBS[1]))
    fields = {"rule_name": "meta_train", "jobid": 2, "log": [JOBS[1].log]}
    assert shown.filter(record("job_error", "Error", logging.ERROR, **fields))
    words = "Terminating processes on user request, this might take some time."
    assert shown.filter(record(None, words))
    assert not shown.filter(record(None, "At least one job did not complete", logging.ERROR))
    assert shown.closing().splitlines() == [
        "Stopped, with 2 of 3 jobs left.",
        "Go on with: snakemake --cores 2",
    ]


def test_a_dry_run_shows_the_table_once_and_no_job() -> None:
    shown = Console()
    assert shown.filter(record("run_info", "Job stats:", stats=STATS))
    assert not shown.filter(start(1, JOBS[0]))
    assert not shown.filter(record("run_info", "Job stats:", stats=STATS))
    for idle in ("Building DAG of jobs...", "Reasons:\n    (check", "Select jobs to execute..."):
        assert not shown.filter(record(None, idle))
    assert shown.filter(record(None, "Nothing to be done (all requested files are present)."))
    assert shown.filter(record(None, "Building DAG failed", logging.ERROR))


def test_own_words_are_left_alone() -> None:
    shown = begun(own_words=True)
    one = start(1, JOBS[0])
    one.msg = " Rule: meta_train"
    assert shown.filter(one)
    assert (one.event, one.msg) == ("job_info", " Rule: meta_train")
    assert shown.filter(record(None, "Select jobs to execute..."))
    shown.filter(record("job_finished", job_id=1))
    assert shown.finished == {"meta_train"}


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        ("--cores 2", False),
        ("-n", False),
        ("-np", True),
        ("-p --cores 1", True),
        ("--quiet host", True),
        ("-q rules", True),
        ("--verbose", True),
        ("--resources gpu=1 --printshellcmds", True),
        ("results/ci-quick/tables.csv --config grid=quick", False),
    ],
)
def test_who_asked_for_own_words(arguments: str, asked: bool) -> None:
    assert asked_for_own_words(arguments.split()) is asked


def test_what_the_locale_lacks_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snakemake's log file has the encoding of the locale."""
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ascii")
    for made in (begun(), begun(own_words=True)):
        said = record(None, "1.002 \u00b1 0.006")
        assert made.filter(said)
        assert said.msg == "1.002 ? 0.006"
