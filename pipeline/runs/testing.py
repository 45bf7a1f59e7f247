"""Meta-test of a trained seed: the rows of its record, and what `metrics.json` says of it."""

import time
from typing import Any

import numpy as np
import pandas as pd

from pipeline.config.measures import NUMBERS
from pipeline.core.interface import Model
from pipeline.runs.evaluate import empty_rows
from pipeline.runs.recipe import flow_time
from pipeline.runs.seed import SeedTraining


def meta_test(seed: SeedTraining, model: Model) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Adapt the trained initialisation to the frozen test tasks.

    Returns:
        Rows of `records.test_rows_schema`, none where it diverged, and the metrics that follow
        from training and rows.
    """
    started = time.perf_counter()
    recipe, episodes = seed.recipe, seed.episodes
    evaluation = recipe["evaluation"]
    inner_steps = recipe["inner_steps"]
    adaptation = {
        "steps": {*evaluation["steps"], inner_steps},
        "lr": evaluation["learning_rate"],
        "optimiser": evaluation["optimiser"],
    }
    test = seed.frozen(episodes.test)
    message = seed.message
    measure = test.measure
    learned = empty_rows(measure)
    if message is None:
        learned = test.adapted("meta_init", model, seed.theta, **adaptation)
        if learned["step"].nunique() < len(adaptation["steps"]):
            message = "meta-test training left the range of floating point"
            learned = empty_rows(measure)
    at_k = learned[learned["step"] == inner_steps]
    metrics = {
        "status": "ok" if message is None else "failed",
        "message": message,
        **{name: recipe[name] for name in ("method", "label", "setting", "dataset", "seed")},
        "inner_steps": inner_steps,
        "horizon": flow_time(recipe["training"]["inner_lr"], inner_steps),
        **{name: _mean(at_k[name]) for name in measure.metrics},
        measure.stderr: _mean(at_k[measure.name].sem(ddof=1) if len(at_k) > 1 else None),
        "meta_updates": seed.updates,
        **seed.chosen,
        "train_seconds": seed.seconds,
        "train_process_seconds": seed.process_seconds,
        "test_seconds": time.perf_counter() - started,
        "work": vars(seed.work),
        **(_scales(seed) if measure is NUMBERS else {}),
        "n_test_tasks": len(episodes.test.tasks),
        "dtype": recipe["dtype"],
    }
    return learned, metrics


def _scales(seed: SeedTraining) -> dict[str, float]:
    return {
        "target_std": seed.episodes.scaling.target_std,
        "target_range": seed.target_range,
    }


def _mean(values: Any) -> float | None:
    """A finite mean for JSON, or None."""
    mean = float(np.mean(values)) if values is not None and np.size(values) else float("nan")
    return mean if np.isfinite(mean) else None
