"""Run records with errors laid down per task, for comparisons between settings and grids."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pandas as pd

from pipeline.jobs.restore import keep_finished
from tests import run_records

Errors = Callable[[str, str, int, int], Sequence[float] | None]


def write(
    root: Path,
    errors: Errors,
    *,
    methods: Iterable[str],
    settings: dict[str, int],
    seeds: Iterable[int],
    steps: Iterable[int] = (0, 5),
) -> Path:
    """Write one grid and its evidence.

    Args:
        root: `results/{grid}`.
        errors: nRMSE per test task of (label, setting, seed, step); None of a failed run.
        settings: trained horizon K by setting.
    """
    methods, seeds, steps = list(methods), list(seeds), list(steps)
    for setting, inner_steps in settings.items():
        for seed in seeds:
            given = {
                label: {step: errors(label, setting, seed, step) for step in steps}
                for label in methods
            }
            n = max(len(e) for own in given.values() for e in own.values() if e is not None)
            for label, own in given.items():
                frames = [run_records.task_rows("untrained", step, [9.0] * n) for step in steps]
                frames.append(run_records.task_rows("global_mean", 0, [5.0] * n))
                frames += [
                    run_records.task_rows("meta_init", step, e)
                    for step, e in own.items()
                    if e is not None
                ]
                run_records.write_one(
                    *(root, label, setting, seed),
                    rows=pd.concat(frames, ignore_index=True),
                    failed=all(e is None for e in own.values()),
                    inner_steps=inner_steps,
                    updates=4,
                )
    keep_finished(root, methods=methods, settings=list(settings), seeds=seeds)
    return root
