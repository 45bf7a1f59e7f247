"""The main comparison: setting x (method | untrained | trivial predictor) at the test horizon."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.config.measures import NUMBERS, Measure
from pipeline.config.titles import UNTRAINED
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns, is_failed
from pipeline.tables.pooling import Pooled, gain, pool

WORK = ("gradients", "hvps", "accepted", "rejected", "kept_states")
SCALES = ("target_std", "target_range")


def main_columns(measure: Measure) -> tuple[str, ...]:
    """Columns of `main.csv`."""
    return (
        *("setting", "dataset", "simulated", "kind", "label", "status"),
        *("support", "query", "inner_steps", "step", "n_seeds", "n_failed", "n_tasks"),
        *(f"{name}{end}" for name in measure.metrics for end in ("", "_stderr", "_seed_std")),
        *("gain_over_untrained", "gain_over_best_trivial"),
        *("best", "not_worse_than_best", "message"),
    )


def per_seed_columns(measure: Measure) -> tuple[str, ...]:
    """Columns of `per_seed.csv`; scales are those of targets that are numbers."""
    return (
        *("setting", "dataset", "simulated", "label", "method", "seed", "status", "inner_steps"),
        *("horizon", "n_tasks"),
        *(f"{name}{end}" for name in measure.metrics for end in ("", "_stderr")),
        *(f"untrained_{measure.name}", "best_trivial", f"best_trivial_{measure.name}"),
        *("meta_updates", "train_seconds", "test_seconds", *WORK),
        *(SCALES if measure is NUMBERS else ()),
        *("device", "machine", "dtype", "threads", "git_commit", "message"),
    )


def main_rows(grid: list[SettingRuns]) -> list[Row]:
    """Rows of `main.csv`, see `main_columns`; errors of methods at step K, of trivial ones at 0.

    Gains are in percent of the primary error, on the seeds in which the row's own runs succeeded.
    """
    return [_main_row(runs, label) for runs in grid for label in runs.predictors]


def per_seed_rows(grid: list[SettingRuns]) -> list[Row]:
    """Rows of `per_seed.csv`, one per run; standard errors are those over its test tasks."""
    return [
        _seed_row(runs, label, seed)
        for runs in grid
        for label in runs.labels
        for seed in runs.seeds
    ]


def pooled_errors(runs: SettingRuns, label: str, step: int, seeds: list[int]) -> dict[str, Pooled]:
    """Pool each error of a predictor over seeds; failed runs are left out."""
    errors = [runs.task_errors(label, seed, step) for seed in seeds]
    there = [frame for frame in errors if frame is not None]
    return {
        metric: pool([frame[metric].to_numpy(np.float64) for frame in there])
        for metric in runs.measure.metrics
    }


def pooled_error(runs: SettingRuns, label: str, step: int, seeds: list[int]) -> Pooled:
    """The primary error of a predictor, pooled over seeds."""
    return pooled_errors(runs, label, step, seeds)[runs.measure.name]


def best_trivial(runs: SettingRuns, seeds: list[int]) -> tuple[str, float]:
    """Name and error of the trivial predictor with the smallest mean; ("", NaN) without one."""
    means = [(pooled_error(runs, name, 0, seeds).mean, name) for name in runs.trivial]
    finite = [pair for pair in means if np.isfinite(pair[0])]
    value, name = min(finite, default=(float("nan"), ""))
    return name, value


def _main_row(runs: SettingRuns, label: str) -> Row:
    kind, step = runs.kind_of(label), runs.horizon_of(label)
    failed = [s for s in runs.seeds if kind == "method" and is_failed(runs.runs[label][s])]
    done = [seed for seed in runs.seeds if seed not in failed]
    pooled = pooled_errors(runs, label, step, done)
    spec = runs.some_run(runs.seeds[0]).spec
    error = pooled[runs.measure.name]
    row: Row = runs.names | {
        "kind": kind,
        "label": label,
        "status": _status(failed, done, error),
        "support": spec.get("support"),
        "query": spec.get("query"),
        "inner_steps": runs.inner_steps,
        "step": step,
        "n_seeds": len(done),
        "n_failed": len(failed),
        "n_tasks": _n_tasks(runs, done or runs.seeds),
        "message": _message(runs, label, failed, error, step),
    }
    for metric, value in pooled.items():
        row[metric] = value.mean
        row[f"{metric}_stderr"] = value.stderr
        row[f"{metric}_seed_std"] = value.seed_std
    if kind == "method" and done:
        reference = pooled_error(runs, UNTRAINED, step, done).mean
        row["gain_over_untrained"] = gain(error.mean, reference)
    if kind != "trivial" and done:
        row["gain_over_best_trivial"] = gain(error.mean, best_trivial(runs, done)[1])
    return row


def machine_of(metrics: Mapping[str, Any]) -> str:
    """Device, system and torch of a run, as far as its record tells machines apart."""
    about = metrics.get("environment") or {}
    torch = f"torch {about['torch']}" if "torch" in about else None
    return ", ".join(
        str(part) for part in (metrics.get("device"), about.get("platform"), torch) if part
    )


def _seed_row(runs: SettingRuns, label: str, seed: int) -> Row:
    run = runs.runs[label][seed]
    metrics = run.metrics
    copied = (
        *("method", "status", "horizon", "meta_updates", "train_seconds", "test_seconds"),
        *(*SCALES, "device", "dtype", "threads", "git_commit", "message"),
    )
    row: Row = {key: metrics.get(key) for key in copied}
    row |= {key: (metrics.get("work") or {}).get(key) for key in WORK}
    name, value = best_trivial(runs, [seed])
    untrained = pooled_error(runs, UNTRAINED, runs.inner_steps, [seed])
    row |= runs.names | {
        "label": label,
        "seed": seed,
        "machine": machine_of(metrics),
        "inner_steps": runs.inner_steps,
        "n_tasks": _n_tasks(runs, [seed]),
        f"untrained_{runs.measure.name}": untrained.mean,
        "best_trivial": name,
        f"best_trivial_{runs.measure.name}": value,
    }
    for metric, pooled in pooled_errors(runs, label, runs.inner_steps, [seed]).items():
        row |= {metric: pooled.mean, f"{metric}_stderr": pooled.stderr}
    return row


def _n_tasks(runs: SettingRuns, seeds: list[int]) -> int | str:
    """Test tasks per seed; `lo-hi` where seeds differ."""
    counts = sorted({int(runs.reference[seed]["task"].nunique()) for seed in seeds})
    return counts[0] if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"


def _status(failed: list[int], done: list[int], error: Pooled) -> str:
    if not done:
        return "failed"
    if error.n_not_finite:
        return "diverged"
    return "partly failed" if failed else "ok"


def _message(runs: SettingRuns, label: str, failed: list[int], error: Pooled, step: int) -> str:
    """What went wrong, seed by seed; empty when nothing did."""
    parts = [
        f"seed {seed}: {runs.runs[label][seed].metrics.get('message') or 'failed'}"
        for seed in failed
    ]
    if error.n_not_finite:
        parts.append(
            f"{error.n_not_finite} of {error.n_values} test tasks have no finite error at "
            f"step {step}"
        )
    return "; ".join(parts)
