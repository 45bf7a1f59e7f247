"""How the norms of the tasks' meta-gradients are spread, during training."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.figures.curves import against_updates, fit_y
from pipeline.figures.style import by_label, draw_line

_POINTS = 30  # of a line: meta-batches scatter more than training moves them


def draw_norms(norms: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Largest over median above, share of the largest below, against meta-updates: medians over
    stretches of the training.

    Args:
        norms, main: the tables `norms.csv` and `main.csv`.
        settings: one stack of panels each, in this order.
    """
    figure, stacks = against_updates(
        norms, main, settings, "largest norm\nover the median", "share of the\nlargest"
    )
    for above, below, rows in stacks:
        tails = rows.assign(tail=rows["norm_largest"] / rows["norm_median"])
        drawn = []
        for label, line in by_label(tails):
            smooth = _smooth(line)
            every = max(1, len(smooth) // 8)
            for axes, column in ((above, "tail"), (below, "largest_share")):
                draw_line(axes, label, smooth["update"], smooth[column], markevery=every)
            drawn.append(smooth["tail"])
        fit_y(above, pd.concat(drawn))
        below.set_ylim(0, 1.02)
    return figure


def _smooth(line: pd.DataFrame) -> pd.DataFrame:
    """Medians of stretches of the training, at their last updates."""
    stretch = np.arange(len(line)) * _POINTS // max(len(line), 1)
    columns = {"update": "last", "tail": "median", "largest_share": "median"}
    return line.sort_values("update").groupby(stretch).agg(columns)
