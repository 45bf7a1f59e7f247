"""The time that is left, from jobs that have ended or say how far they are."""

import pytest

from pipeline.jobs.grid import Job
from pipeline.jobs.timing import SHORT_S, Took, expected, seconds_left


def train(label: str, setting: str = "s") -> Job:
    return Job("meta_train", False, label=label, setting=setting, dataset="d")


KNOWN = [Took(train("maml"), 10), Took(train("amaml"), 100), Took(train("amaml", "t"), 300)]


@pytest.mark.parametrize(
    ("job", "wanted"),
    [
        (train("amaml", "t"), 300),
        (train("amaml", "u"), 200),  # the same method elsewhere says more than the same setting
        (train("imaml", "s"), 55),
        (train("imaml", "u"), 410 / 3),  # the same data set
        (Job("build_tables", False), SHORT_S),
        (Job("profile_cost", False, label="maml"), None),
    ],
)
def test_a_job_takes_what_the_most_alike_took(job: Job, wanted: float | None) -> None:
    assert expected(job, KNOWN) == pytest.approx(wanted)


def test_jobs_share_the_cores() -> None:
    waiting = [train("maml"), train("amaml")]
    assert seconds_left(waiting, [], KNOWN, 2) == (10 + 100) / 2
    running = [(train("amaml", "t"), 250.0, None), (train("maml", "t"), 5.0, 400.0)]
    assert seconds_left([], running, KNOWN, 1) == 50 + 400
    assert seconds_left([], running, KNOWN, 2) == 400, "the longest sets a bound"
    assert seconds_left([], [(train("maml"), 99.0, None)], KNOWN, 1) == 0


def test_nothing_known_of_a_long_rule_is_nothing_known() -> None:
    assert seconds_left([train("maml")], [], [], 1) is None
    assert seconds_left([], [(train("maml"), 5.0, None)], [], 1) is None
    assert seconds_left([Job("build_tables", False)], [], [], 1) == SHORT_S
