"""`norms.csv`: how the norms of the tasks' meta-gradients are spread in a meta-batch, in training.

A grid has it where a method scales them (`training.aggregate`), and of all its methods. Heavy
tails show in the largest over the median, and in the share of the sum of squares that one task
holds: the direction of a plain mean is then that task's.
"""

import numpy as np

from pipeline.runs.recipe import outer_loop
from pipeline.runs.records import NORMS, kept_updates, thinned
from pipeline.tables.files import Row
from pipeline.tables.grid import SettingRuns

NORM_COLUMNS = ("setting", "label", "update", "n_seeds", *NORMS)


def norm_rows(grid: list[SettingRuns]) -> list[Row]:
    """Rows of `norms.csv`: means over seeds, and over the updates since the row before.

    [] where no method scales its tasks' meta-gradients. A run that was kept before norms were
    measured has no row.
    """
    runs = [run for of in grid for by_seed in of.runs.values() for run in by_seed.values()]
    if all(outer_loop(run.spec)["aggregate"] == "mean" for run in runs):
        return []
    rows = []
    for of in grid:
        for label in of.labels:
            curves = [run.curve for run in of.runs[label].values()]
            keep = kept_updates(curves)
            thin = [thinned(curve, keep).set_index("update") for curve in curves]
            for update in keep:
                here = [frame.loc[update, list(NORMS)] for frame in thin if update in frame.index]
                values = np.array(here, dtype=float)
                values = values[np.isfinite(values).all(axis=1)]
                if len(values):
                    row: Row = {"setting": of.setting, "label": label, "update": update}
                    means = map(float, values.mean(axis=0))
                    rows.append(
                        row | {"n_seeds": len(values)} | dict(zip(NORMS, means, strict=True))
                    )
    return rows
