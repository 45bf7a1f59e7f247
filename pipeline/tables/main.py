"""The main comparison: setting x (method | untrained | trivial predictor) at the test horizon."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.config.titles import UNTRAINED
from pipeline.runs import records
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns, is_failed
from pipeline.tables.pooling import Pooled, gain, pool

MAIN_COLUMNS = (
    *("setting", "dataset", "simulated", "kind", "label", "status"),
    *("support", "query", "inner_steps", "step", "n_seeds", "n_failed", "n_tasks"),
    *(f"{metric}{suffix}" for metric in records.METRICS for suffix in ("", "_stderr", "_seed_std")),
    *("gain_over_untrained", "gain_over_best_trivial"),
    *("best", "not_worse_than_best", "message"),
)
WORK = ("gradients", "hvps", "accepted", "rejected", "kept_states")
PER_SEED_COLUMNS = (
    *("setting", "dataset", "simulated", "label", "method", "seed", "status", "inner_steps"),
    *("horizon", "n_tasks"),
    *(f"{metric}{suffix}" for metric in records.METRICS for suffix in ("", "_stderr")),
    *("untrained_nrmse", "best_trivial", "best_trivial_nrmse"),
    *("meta_updates", "train_seconds", "test_seconds", *WORK),
    *("target_std", "target_range", "device", "machine", "dtype", "threads", "git_commit"),
    "message",
)


def main_rows(grid: list[SettingRuns]) -> list[Row]:
    """Rows of `main.csv`, see `MAIN_COLUMNS`; errors of methods at step K, of trivial ones at 0.

    Gains are in percent of nRMSE, on the seeds in which the row's own runs succeeded.
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
    """Pool each of `records.METRICS` of a predictor over seeds; failed runs are left out."""
    errors = [runs.task_errors(label, seed, step) for seed in seeds]
    there = [frame for frame in errors if frame is not None]
    return {
        metric: pool([frame[metric].to_numpy(np.float64) for frame in there])
        for metric in records.METRICS
    }


def best_trivial(runs: SettingRuns, seeds: list[int]) -> tuple[str, float]:
    """Name and nRMSE of the trivial predictor with the smallest mean; ("", NaN) without one."""
    means = [(pooled_errors(runs, name, 0, seeds)["nrmse"].mean, name) for name in runs.trivial]
    finite = [pair for pair in means if np.isfinite(pair[0])]
    value, name = min(finite, default=(float("nan"), ""))
    return name, value


def _main_row(runs: SettingRuns, label: str) -> Row:
    kind, step = runs.kind_of(label), runs.horizon_of(label)
    failed = [s for s in runs.seeds if kind == "method" and is_failed(runs.runs[label][s])]
    done = [seed for seed in runs.seeds if seed not in failed]
    pooled = pooled_errors(runs, label, step, done)
    spec = runs.some_run(runs.seeds[0]).spec
    nrmse = pooled["nrmse"]
    row: Row = runs.names | {
        "kind": kind,
        "label": label,
        "status": _status(failed, done, nrmse),
        "support": spec.get("support"),
        "query": spec.get("query"),
        "inner_steps": runs.inner_steps,
        "step": step,
        "n_seeds": len(done),
        "n_failed": len(failed),
        "n_tasks": _n_tasks(runs, done or runs.seeds),
        "message": _message(runs, label, failed, nrmse, step),
    }
    for metric, value in pooled.items():
        row[metric] = value.mean
        row[f"{metric}_stderr"] = value.stderr
        row[f"{metric}_seed_std"] = value.seed_std
    if kind == "method" and done:
        reference = pooled_errors(runs, UNTRAINED, step, done)["nrmse"].mean
        row["gain_over_untrained"] = gain(nrmse.mean, reference)
    if kind != "trivial" and done:
        row["gain_over_best_trivial"] = gain(nrmse.mean, best_trivial(runs, done)[1])
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
        *("target_std", "target_range", "device", "dtype", "threads", "git_commit", "message"),
    )
    row: Row = {key: metrics.get(key) for key in copied}
    row |= {key: (metrics.get("work") or {}).get(key) for key in WORK}
    name, value = best_trivial(runs, [seed])
    untrained = pooled_errors(runs, UNTRAINED, runs.inner_steps, [seed])
    row |= runs.names | {
        "label": label,
        "seed": seed,
        "machine": machine_of(metrics),
        "inner_steps": runs.inner_steps,
        "n_tasks": _n_tasks(runs, [seed]),
        "untrained_nrmse": untrained["nrmse"].mean,
        "best_trivial": name,
        "best_trivial_nrmse": value,
    }
    for metric, pooled in pooled_errors(runs, label, runs.inner_steps, [seed]).items():
        row |= {metric: pooled.mean, f"{metric}_stderr": pooled.stderr}
    return row


def _n_tasks(runs: SettingRuns, seeds: list[int]) -> int | str:
    """Test tasks per seed; `lo-hi` where seeds differ."""
    counts = sorted({int(runs.reference[seed]["task"].nunique()) for seed in seeds})
    return counts[0] if len(counts) == 1 else f"{counts[0]}-{counts[-1]}"


def _status(failed: list[int], done: list[int], nrmse: Pooled) -> str:
    if not done:
        return "failed"
    if nrmse.n_not_finite:
        return "diverged"
    return "partly failed" if failed else "ok"


def _message(runs: SettingRuns, label: str, failed: list[int], nrmse: Pooled, step: int) -> str:
    """What went wrong, seed by seed; empty when nothing did."""
    parts = [
        f"seed {seed}: {runs.runs[label][seed].metrics.get('message') or 'failed'}"
        for seed in failed
    ]
    if nrmse.n_not_finite:
        parts.append(
            f"{nrmse.n_not_finite} of {nrmse.n_values} test tasks have no finite error at "
            f"step {step}"
        )
    return "; ".join(parts)
