"""What MLflow shows of one run record: parameters, tags, metric histories, times, data set.

Plain values only; `pipeline/tracking/replay.py` hands them to a store. The x axis of a history is
its step: meta-test training steps for `nrmse`, `untrained_nrmse` and their `*_beyond`,
meta-updates for `meta_loss`, `gradient_norm`, `validation_nrmse` and the fidelity of the
meta-gradient (`cosine`, `relative_error`, `own_*`), inner steps for `cost_*`; single figures have
step 0. Of classes `log_loss` stands where `nrmse` does.

MLflow's tables show the last value of a history. That of `nrmse` is at the setting's K inner
steps, as in tables/main.csv; what more steps give is `nrmse_beyond`.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.measures import measure_in
from pipeline.config.titles import kind_said
from pipeline.data.sets import SOURCES
from pipeline.files import file_digest
from pipeline.runs.recipe import digest
from pipeline.runs.records import FIDELITY, FILES, RunRecord, measure_of_curve

LAYOUT = "3"  # part of every digest: raise it when what is logged changes
MAX_POINTS = 1000  # per history; the whole curve stays in the record
WORK = ("meta_updates", "train_seconds", "train_process_seconds", "test_seconds")
CURVES = ("meta_loss", "gradient_norm")
TABLES = ("main.csv", "main.md", "per_seed.csv", "summary.json")
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Point:
    """One value of a metric history; `timestamp` in milliseconds since 1970."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class DataSet:
    """The data a run was made from: `source` is JSON, `profile` JSON of what is known of it."""

    name: str
    digest: str
    source_type: str
    source: str
    profile: str


@dataclass(frozen=True)
class Content:
    """Everything of one run that a store is told; times in milliseconds since 1970."""

    name: str
    status: str  # FINISHED or FAILED
    start: int
    end: int
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)
    data: DataSet | None = None
    files: list[Path] = field(default_factory=list)


def content_digest(paths: Iterable[Path]) -> str:
    """Name the bytes of the files that exist among `paths`: a change means logging again."""
    total = hashlib.sha256(LAYOUT.encode())
    for path in paths:
        if path.is_file():
            total.update(f"{path.name}\0{file_digest(path)}\0".encode())
    return total.hexdigest()[:32]


def grid_files(results_dir: Path) -> dict[str, list[Path]]:
    """Figures and main tables of a grid, by artifact folder."""
    tables = [results_dir / "tables" / name for name in TABLES]
    return {
        "figures": sorted((results_dir / "figures").glob("*.png")),
        "tables": [path for path in tables if path.is_file()],
    }


def run_figures(results_dir: Path) -> dict[str, list[Path]]:
    """The figure in which each run is a curve; all of them hundreds of times would fill disks."""
    curves = results_dir / "figures" / "curves.png"
    return {"figures": [curves] if curves.is_file() else []}


def run_content(
    record: RunRecord,
    reference: pd.DataFrame | None,
    profile: Mapping[str, Any] | None,
    start: int | None = None,
) -> Content:
    """Describe one finished run.

    Args:
        reference: rows of what it is compared with, if they are there.
        profile: the cost profile of its label, if there is one.
        start: when it started, where that is known; milliseconds since 1970.
    """
    spec, metrics = record.spec, record.metrics
    # a touched or copied file is newer than the run, so the oldest one tells when it ended
    end = int(min((record.directory / name).stat().st_mtime for name in FILES) * 1000)
    if start is None:
        took = sum(_finite(metrics.get(key)) or 0.0 for key in ("train_seconds", "test_seconds"))
        start = end - int(took * 1000)
    rows = record.test_rows if reference is None else pd.concat([record.test_rows, reference])
    points, lost = _finite_points(
        [
            *_test_points(rows, spec["inner_steps"], end),
            *_update_points(record.curve, start),
            *_cost_points(profile, end),
            *_scalar_points(metrics, end),
        ]
    )
    failed = metrics["status"] != "ok"
    return Content(
        name=run_name(spec),
        status="FAILED" if failed else "FINISHED",
        start=start,
        end=end,
        tags=identity(spec) | _tags(record, lost),
        params=dict(flat(spec)),
        points=points,
        data=_data_set(record),
        files=[record.directory / name for name in FILES if not name.endswith(".parquet")],
    )


def run_name(spec: Mapping[str, Any]) -> str:
    """Name of a run in MLflow, and of its folder below `runs/`."""
    return f"{spec['label']}/{spec['setting']}/{spec['seed']}"


def identity(spec: Mapping[str, Any]) -> dict[str, str]:
    """Tags that are known as soon as a run starts; by `recipe` it is found again."""
    names = {key: str(spec[key]) for key in ("method", "label", "setting", "seed", "dataset")}
    return {
        "rule": "meta_train",
        "recipe": digest(dict(spec)),
        **names,
        "mlflow.source.name": "python -m pipeline meta-train",
        "mlflow.source.type": "LOCAL",
    }


def _tags(record: RunRecord, lost: Mapping[str, int]) -> dict[str, str]:
    spec, metrics = record.spec, record.metrics
    error = measure_in(metrics).name
    note = (
        f"`{spec['label']}` on `{spec['setting']}`, seed {spec['seed']}. Step axis: meta-test "
        f"training steps for `{error}`, `untrained_{error}` and `*_beyond`; meta-updates for "
        f"`meta_loss`, `gradient_norm`, `validation_{error}`, `cosine`, `relative_error`, `own_*`; "
        "inner steps for `cost_*`."
    )
    if metrics["status"] != "ok":
        note = f"**Failed:** {metrics.get('message')}\n\n{note}"
    tags = {
        "status": metrics["status"],
        "data_fingerprint": metrics.get("data", {}).get("fingerprint"),
        "device": metrics.get("device"),
        "git_commit": metrics.get("git_commit"),
        "message": metrics.get("message"),
        "non_finite": ", ".join(f"{key}: {count}" for key, count in lost.items()),
        "mlflow.source.git.commit": metrics.get("git_commit"),
        "mlflow.note.content": note,
    }
    return {key: str(value) for key, value in tags.items() if value not in (None, "")}


def flat(value: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    """Yield the leaves of a recipe as `training.outer_lr`-like keys and texts."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value)


def _update_points(curve: pd.DataFrame, start: int) -> Iterable[Point]:
    """Histories against meta-updates, thinned evenly, first and last kept."""
    sparse = (measure_of_curve(curve).validation, *FIDELITY)  # null where not measured
    for key in (*CURVES, *sparse):
        given = curve[["update", "seconds", key]]
        if key in sparse:
            given = given.dropna()
        rows = np.linspace(0, len(given) - 1, min(len(given), MAX_POINTS)).round().astype(int)
        for update, seconds, value in given.iloc[rows].itertuples(index=False):
            yield Point(key, float(value), start + int(seconds * 1000), int(update))


def _test_points(test_rows: pd.DataFrame, inner_steps: int, end: int) -> Iterable[Point]:
    """Means over the test tasks, of the run and of the other predictors."""
    error = measure_in(map(str, test_rows)).name
    groups = test_rows.groupby(["predictor", "step"])[[error]]
    means = groups.mean(skipna=False).reset_index()  # one diverged task is no mean to show
    names = {"meta_init": error, "untrained": f"untrained_{error}"}
    # the comparison page opens on the metric that was logged first
    first = means.sort_values("predictor", key=lambda column: column != "meta_init", kind="stable")
    for row in first.to_dict("records"):
        kind = kind_said(row["predictor"])
        other = "_".join(part for part in (kind, row["predictor"], error) if part)
        name = names.get(row["predictor"], other)
        if row["step"] > inner_steps:
            name = f"{name}_beyond"
        yield Point(name, row[error], end, int(row["step"]))


def _cost_points(profile: Mapping[str, Any] | None, end: int) -> Iterable[Point]:
    for entry in (profile or {}).get("entries", []):
        if entry["status"] == "ok":
            steps = int(entry["inner_steps"])
            yield Point("cost_seconds", entry["seconds"], end, steps)
            if entry.get("peak_bytes") is not None:
                yield Point("cost_peak_mb", entry["peak_bytes"] / _MEGABYTE, end, steps)


def _scalar_points(metrics: Mapping[str, Any], end: int) -> Iterable[Point]:
    """Final figures at the setting's inner steps, and the work of the run.

    They have step 0, which the UI draws as bars. What is a history is not among them.
    """
    work = {key: metrics.get(key) for key in WORK} | (metrics.get("work") or {})
    measure = measure_in(metrics)
    _, *others = measure.metrics  # the first has a history
    final = {key: metrics.get(key) for key in (*others, measure.stderr)}
    for key, value in (final | {f"work_{key}": value for key, value in work.items()}).items():
        if value is not None:
            yield Point(key, value, end, 0)


def _finite_points(points: Iterable[Point]) -> tuple[list[Point], dict[str, int]]:
    """Split off what no chart can show, counted by metric."""
    kept: list[Point] = []
    lost: dict[str, int] = {}
    for point in points:
        if math.isfinite(point.value):
            kept.append(point)
        else:
            lost[point.key] = lost.get(point.key, 0) + 1
    return kept, lost


def _data_set(record: RunRecord) -> DataSet:
    data = record.metrics.get("data") or {}
    name = record.spec["dataset"]
    if name in SOURCES and SOURCES[name].urls:
        kind, source = "http", json.dumps({"url": SOURCES[name].urls[0]})
    else:  # made here
        kind, source = "code", json.dumps({"tags": {"mlflow.source.name": "pipeline/data"}})
    return DataSet(
        name=name,
        # the fingerprint in full is in a tag: MLflow takes at most 36 characters
        digest=str(data.get("fingerprint") or record.spec.get("episodes"))[:36],
        source_type=kind,
        source=source,
        profile=json.dumps(data, sort_keys=True),
    )


def _finite(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None
