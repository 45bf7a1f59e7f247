"""What MLflow is told of a run: values that cannot be drawn, long curves, sources of data."""

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.data.sets import SOURCES
from pipeline.runs.evaluate import empty_rows
from pipeline.runs.records import read_reference, read_run, reference_file
from pipeline.tracking.content import MAX_POINTS, Content, content_digest, run_content
from tests import run_records

SETTING = "simulated-10shot-15val-50steps"
NOTHING = empty_rows()  # no reference


def steps_of(content: Content, key: str) -> list[int]:
    return [point.step for point in content.points if point.key == key]


def test_values_that_no_chart_can_show_are_counted(tmp_path: Path) -> None:
    directory = run_records.write_one(tmp_path, "maml", SETTING, 0, steps=(0, 5, 50), updates=20)
    record = read_run(directory)
    rows, curve = record.test_rows, record.curve
    first = rows.index[(rows["predictor"] == "meta_init") & (rows["step"] == 5)][0]
    rows.loc[first, "nrmse"] = np.nan  # one task diverged
    curve.loc[[3, 4], "gradient_norm"] = np.inf

    content = run_content(record, NOTHING, None)

    assert content.tags["non_finite"] == "nrmse: 1, gradient_norm: 2"
    assert steps_of(content, "nrmse") == [0, 50]
    assert len(steps_of(content, "gradient_norm")) == 18


def test_long_histories_are_thinned_evenly(tmp_path: Path) -> None:
    directory = run_records.write_one(tmp_path, "amaml", SETTING, 0, n_tasks=2, updates=5000)
    steps = steps_of(run_content(read_run(directory), NOTHING, None), "meta_loss")

    assert len(steps) == MAX_POINTS
    assert (steps[0], steps[-1]) == (1, 5000)
    assert max(np.diff(steps)) <= 6


@pytest.mark.parametrize("dataset", ["ml-100k", "simulated", "alpine"])
def test_data_names_where_it_came_from(tmp_path: Path, dataset: str) -> None:
    directory = run_records.write_one(tmp_path, "amaml", f"{dataset}-10shot", 0, updates=5)
    data = run_content(read_run(directory), NOTHING, None).data

    assert data is not None
    assert data.name == dataset
    if dataset == "ml-100k":
        assert json.loads(data.source) == {"url": SOURCES[dataset].urls[0]}
    else:
        assert data.source_type == "code", "made here, not downloaded"


def test_untrained_figure_of_the_summary_does_not_end_its_history(tmp_path: Path) -> None:
    directory = run_records.write_one(tmp_path, "amaml", SETTING, 0, updates=5)
    reference = read_reference(reference_file(tmp_path, SETTING, 0))
    content = run_content(read_run(directory), reference, None)
    both = steps_of(content, "untrained_nrmse") + steps_of(content, "untrained_nrmse_beyond")
    assert both == list(run_records.STEPS)


def test_digest_follows_content_not_times(tmp_path: Path) -> None:
    paths = [tmp_path / "a", tmp_path / "b"]
    paths[0].write_text("one", encoding="utf-8")
    first = content_digest(paths)
    paths[0].touch()
    assert content_digest(paths) == first
    paths[1].write_text("", encoding="utf-8")
    assert content_digest(paths) != first, "a file that appeared counts"
