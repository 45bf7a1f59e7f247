"""How the norms of the tasks' meta-gradients are spread, during training."""

import pandas as pd
from matplotlib.figure import Figure

from pipeline.figures.curves import against_updates, fit_y
from pipeline.figures.style import by_label, draw_line


def draw_norms(norms: pd.DataFrame, main: pd.DataFrame, settings: list[str]) -> Figure:
    """Largest over median above, share of the largest below, against meta-updates.

    Args:
        norms, main: the tables `norms.csv` and `main.csv`.
        settings: one stack of panels each, in this order.
    """
    figure, stacks = against_updates(
        norms, main, settings, "largest norm\nover the median", "share of the\nlargest"
    )
    for above, below, rows in stacks:
        tails = rows.assign(tail=rows["norm_largest"] / rows["norm_median"])
        for label, line in by_label(tails):
            draw_line(above, label, line["update"], line["tail"])
            draw_line(below, label, line["update"], line["largest_share"])
        fit_y(above, tails["tail"])
        below.set_ylim(0, 1.02)
    return figure
