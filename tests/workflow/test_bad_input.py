"""Bad input: one clear message, exit status 2, nothing half-written."""

from typing import Any

import pytest

from pipeline.data.sets import SOURCES
from tests.archives import some_ratings, write_archive
from tests.workflow.project import Project

MANY = [{"dataset": "cosmixture", "shots": "150/100", "inner_steps": 5}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"training__meta_update": 5}, "training.meta_update: unknown key"),
        ({"training__outer_lr": "fast"}, "training.outer_lr: found 'fast'"),
        ({"grids__ci__methods": ["maml", "mamel"]}, "grids/ci.yaml: methods: found 'mamel'"),
        ({"grids__ci__settings": MANY}, "a task of cosmixture has at most 200"),
        ({"grid": "cii"}, "grid: found 'cii', no file grids/NAME.yaml. Did you mean `ci`?"),
    ],
)
def test_fault_in_params_ends_before_any_job(
    fresh: Project, change: dict[str, Any], message: str
) -> None:
    fresh.set(**change)
    for command in (["snakemake", "--cores", "1"], ["python", "-m", "pipeline", "check-params"]):
        said = fresh.run(*command, rc=2)
        assert message in said
        assert "Traceback" not in said
    assert not fresh.path("data").exists()
    assert not fresh.path("results").exists()


def test_fault_on_the_command_line(fresh: Project) -> None:
    assert "grid: found 'nope'" in fresh.snakemake("--config", "grid=nope", rc=2)
    assert "gird: unknown key" in fresh.snakemake("--config", "gird=ci", rc=2)


@pytest.mark.parametrize("dataset", ["ml-100k", "ml-1m", "ml-latest-small-2016", "jester-1"])
def test_archive_with_other_content_is_refused(fresh: Project, dataset: str) -> None:
    archives = fresh.path("archives")
    archives.mkdir()
    write_archive(archives / SOURCES[dataset].local_names[0], dataset, some_ratings())
    target = f"data/ratings/{dataset}.parquet"
    said = fresh.snakemake(target, "--config", "grid=ratings", "raw_dir=archives", rc=1)
    log = f"logs/download/{dataset}.log"
    assert log in said
    message = fresh.path(log).read_text()
    assert message.startswith("error: ")
    assert "Traceback" not in message
    assert message in said  # show-failed-logs
    assert not fresh.path(target).exists()
    assert not fresh.path(f"data/raw/{dataset}.zip").exists()
    put = f"archives/{SOURCES[dataset].local_names[0]}"
    direct = ["python", "-m", "pipeline", "build-ratings", dataset, put]
    assert fresh.run(*direct, target, rc=2).startswith("error: ")
