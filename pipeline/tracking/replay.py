"""Replay of finished runs into MLflow: a view for people, rebuilt from `results/` at any time.

One experiment per grid; in it a run with the grid's name, which has the figures and tables of the
grid, and below that one run per method x setting x seed. The default store, `sqlite:///mlflow.db`
with its artifacts in `mlartifacts/`, is what a plain `mlflow ui` in the project's root opens; both
may be deleted. A run that was logged while it trained (pipeline/tracking/live.py), or whose replay
broke off, is completed.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import track

from pipeline.config.measures import Measure
from pipeline.errors import BadInput
from pipeline.runs.records import (
    FILES,
    measure_in_recipe,
    read_reference,
    read_run,
    reference_file,
)
from pipeline.seals import read_sealed
from pipeline.tracking.content import (
    Content,
    content_digest,
    grid_files,
    run_content,
    run_figures,
)
from pipeline.tracking.experiment import PARENT_TAG, Experiment, address_of, opened, parent_run
from pipeline.tracking.store import runs_by_name

if TYPE_CHECKING:  # importing mlflow takes seconds: only a call pays for it
    from mlflow.entities import Run

METRICS_A_CALL, PARAMS_A_CALL = 1000, 100  # MLflow refuses more
WHOLE = "content_digest"  # the tag that a run has when all of its record is logged


def log_tracking(
    results_dir: Path,
    *,
    uri: str,
    grid: str,
    methods: list[str],
    settings: list[str],
    seeds: list[int],
    progress: bool | None = None,
) -> dict[str, Any]:
    """Make the experiment `grid` show exactly the finished runs of a grid.

    A run whose record was logged before is left alone, one whose record changed is replaced,
    and one that left the grid is deleted. Calls on one SQLite store take turns.

    Args:
        results_dir: such as `results/quickstart`.
        uri: `sqlite:///FILE` or `http(s)://` of an MLflow server.
        grid: name of the experiment.
        methods, settings, seeds: the grid; `methods` are labels of params.yaml.
        progress: draw a progress bar on stderr; None: when stderr is a terminal.

    Returns:
        `experiment`, how many runs were `logged` (new), `completed` (logged before in part),
        `replaced`, `unchanged`, `removed`, how many of the grid are `missing`: not finished; and
        `page`, the address of the table of all runs; `stored`, the size of each file in
        `mlartifacts/` by its path from the project's folder.

    Raises:
        BadInput: no results, an unreadable record, or a store that cannot be used.
    """
    if not results_dir.is_dir():
        raise BadInput(
            f"{results_dir}: found no such folder; needed the results of grid '{grid}'. "
            "Run `snakemake` first."
        )
    kinds = ("logged", "completed", "replaced", "unchanged", "removed", "missing")
    counts = dict.fromkeys(kinds, 0)
    shown = sys.stderr.isatty() if progress is None else progress
    cells = list(product(methods, settings, seeds))
    with opened(uri, grid, _measure(results_dir, cells)) as experiment:
        parent = parent_run(experiment, grid)
        known = runs_by_name(experiment.client, experiment.id)
        logged: list[Path] = []
        bar = track(cells, "MLflow", console=Console(stderr=True), disable=not shown)
        for label, setting, seed in bar:
            directory = results_dir / "runs" / label / setting / str(seed)
            old = known.pop(f"{label}/{setting}/{seed}", [])
            if not (directory / "spec.json").is_file():
                counts["missing"] += 1
                # one that was logged live may be in training
                known[f"{label}/{setting}/{seed}"] = [r for r in old if WHOLE in r.data.tags]
                continue
            profile = results_dir / "profile" / f"{label}.json"
            reference = reference_file(results_dir, setting, seed)
            files = [directory / name for name in FILES]
            digest = content_digest([*files, reference, profile])
            run = _keep_one(experiment, old, digest)
            if run is None:
                cost = read_sealed(profile) if profile.is_file() else None
                record, rows = read_run(directory), read_reference(reference)
                content = run_content(record, rows, cost)
                begun = unfinished(old, content.tags["recipe"])
                if begun:
                    content = run_content(record, rows, cost, start=begun.info.start_time)
                run = begun or start_run(experiment, parent, content)
                for other in old:
                    if other.info.run_id != run.info.run_id:
                        experiment.client.delete_run(other.info.run_id)
                complete(experiment, run, content, digest)
                counts["completed" if begun else "replaced" if old else "logged"] += 1
            else:
                counts["unchanged"] += 1
                if run.data.tags.get(PARENT_TAG) != parent.info.run_id:
                    experiment.client.set_tag(run.info.run_id, PARENT_TAG, parent.info.run_id)
            logged += [] if experiment.artifacts is None else _files(experiment, run)
            logged += _attach(experiment, run, run_figures(results_dir))
        known[grid] = [run for run in known.get(grid, []) if run.info.run_id != parent.info.run_id]
        logged += _attach(experiment, parent, grid_files(results_dir))
        experiment.client.set_terminated(parent.info.run_id)
        for left in known.values():
            for run in left:
                experiment.client.delete_run(run.info.run_id)
            counts["removed"] += len(left)
        top = results_dir.resolve().parents[1]
        stored = {os.path.relpath(path, top): path.stat().st_size for path in sorted(logged)}
        page = address_of(uri, experiment)
        return {"experiment": grid, **counts, "page": page, "stored": stored}


def _measure(results_dir: Path, cells: Iterable[tuple[str, str, int]]) -> Measure | None:
    """Of the errors of a grid's records: it has one; None before any is there."""
    for label, setting, seed in cells:
        spec = results_dir / "runs" / label / setting / str(seed) / "spec.json"
        if spec.is_file():
            return measure_in_recipe(read_sealed(spec))
    return None


def _keep_one(experiment: Experiment, runs: Sequence["Run"], digest: str) -> "Run | None":
    """Return the run that is logged whole under `digest`, and delete every other one then."""
    for run in runs:
        there = experiment.artifacts is None or all(p.is_file() for p in _files(experiment, run))
        if run.data.tags.get(WHOLE) == digest and there:
            for other in runs:
                if other is not run:
                    experiment.client.delete_run(other.info.run_id)
            return run
    return None


def _files(experiment: Experiment, run: "Run") -> list[Path]:
    """What of a run's record lies in a local store."""
    assert experiment.artifacts is not None
    folder = experiment.artifacts / run.info.run_id / "artifacts"
    return [folder / name for name in FILES if not name.endswith(".parquet")]


def unfinished(runs: Sequence["Run"], recipe: str) -> "Run | None":
    """A run of a recipe that was logged in part: live, or by a replay that broke off."""
    for run in runs:
        if run.data.tags.get("recipe") == recipe and WHOLE not in run.data.tags:
            return run
    return None


def start_run(experiment: Experiment, parent: "Run", content: Content) -> "Run":
    """A new run below the parent."""
    tags = content.tags | {PARENT_TAG: parent.info.run_id}
    return experiment.client.create_run(experiment.id, content.start, tags, content.name)


def complete(experiment: Experiment, run: "Run", content: Content, digest: str | None) -> None:
    """Log what a run lacks; its digest comes last, so that what breaks off is completed later."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, RunTag

    client, run_id = experiment.client, run.info.run_id
    there = logged_steps(experiment, run_id, run.data.metrics)
    metrics = [
        Metric(p.key, p.value, p.timestamp, p.step)
        for p in content.points
        if p.step not in there.get(p.key, ())
    ]
    tags = [RunTag(k, v) for k, v in content.tags.items() if run.data.tags.get(k) != v]
    client.log_batch(run_id, tags=tags)
    log_params(experiment, run, content.params)
    for some in _chunks(metrics, METRICS_A_CALL):
        client.log_batch(run_id, metrics=some)
    if content.data and not (run.inputs and run.inputs.dataset_inputs):
        context = InputTag("mlflow.data.context", "training")
        client.log_inputs(run_id, [DatasetInput(Dataset(**asdict(content.data)), [context])])
    for path in content.files:
        client.log_artifact(run_id, path)
    client.set_terminated(run_id, content.status, content.end)
    if digest:
        client.set_tag(run_id, WHOLE, digest)


def log_params(experiment: Experiment, run: "Run", params: Mapping[str, str]) -> None:
    """Log the parameters that a run lacks: they never change."""
    from mlflow.entities import Param

    lacking = [Param(key, value) for key, value in params.items() if key not in run.data.params]
    for few in _chunks(lacking, PARAMS_A_CALL):
        experiment.client.log_batch(run.info.run_id, params=few)


def logged_steps(
    experiment: Experiment, run_id: str, keys: Mapping[str, Any]
) -> dict[str, set[int]]:
    """Steps of each history that a run has."""
    history = experiment.client.get_metric_history
    return {key: {metric.step for metric in history(run_id, key)} for key in keys}


def _chunks(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _attach(
    experiment: Experiment, run: "Run", folders: Mapping[str, Sequence[Path]]
) -> list[Path]:
    """Upload files that are redrawn from the records, where they differ from those uploaded.

    Returns:
        Where they lie in a local store.
    """
    top = experiment.artifacts and experiment.artifacts / run.info.run_id / "artifacts"
    there = [top / folder / path.name for folder, paths in folders.items() for path in paths if top]
    digest = content_digest([path for paths in folders.values() for path in paths])
    known = run.data.tags.get("attached_digest") == digest and all(p.is_file() for p in there)
    if known or not any(folders.values()):
        return there
    for folder, paths in folders.items():
        for path in paths:
            experiment.client.log_artifact(run.info.run_id, path, folder)
    experiment.client.set_tag(run.info.run_id, "attached_digest", digest)
    return there
