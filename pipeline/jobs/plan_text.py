"""A plan as text for a terminal."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.config.titles import DATASETS, label_title
from pipeline.jobs.plan import HOUR
from pipeline.runs.progress import duration

WIDTH = 100  # of the text, on every terminal and in every file


def plan_text(plan: Mapping[str, Any]) -> str:
    """What `make_plan` returns, for people; columns of times only where there are times."""
    total = plan["total"]
    timed = total["core_hours"] is not None
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, highlight=False)
    console.print(_table("step", [(row["rule"], "", row) for row in plan["rules"]], timed))
    methods = [
        (f"{row['method']} ({label_title(row['method'])})", _span(row["update_seconds"]), row)
        for row in plan["methods"]
    ]
    console.print(_table("meta-training by method", methods, timed, updates=timed))
    datasets = [(DATASETS.get(row["dataset"], row["dataset"]), "", row) for row in plan["datasets"]]
    console.print(_table("meta-training by data set", datasets, timed))
    left = total["jobs"] - total["done"]
    said = f"Grid '{plan['grid']}': {total['jobs']} jobs, {total['done']} done, {left} left"
    if timed:
        said += f": {total['core_hours']:.2f} core-hours, {total['wall_hours']:.2f} hours on "
        said += f"{plan['cores']} core{'s' if plan['cores'] > 1 else ''}"
    console.print(said + ".", soft_wrap=True)
    if longest := total["longest_job"]:
        console.print(f"Longest job: {longest['job']}, {duration(HOUR * longest['hours'])}.")
    lines = (line.rstrip() for line in out.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def _table(
    title: str,
    rows: Sequence[tuple[str, str, Mapping[str, Any]]],
    timed: bool,
    *,
    updates: bool = False,
) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(title, min_width=34, no_wrap=True)
    heads = ["jobs", "done"] + ["ms per meta-update"] * updates + ["projected"] * timed
    for head in heads:
        table.add_column(head, justify="right")
    for name, span, row in rows:
        cells = [name, str(row["jobs"]), str(row["done"])] + [span] * updates
        table.add_row(*cells, *([duration(HOUR * row["core_hours"])] if timed else []))
    return table


def _span(seconds: Sequence[float] | None) -> str:
    if seconds is None:
        return ""
    low, high = (f"{1000 * s:.0f}" if s >= 0.1 else f"{1000 * s:.3g}" for s in seconds)
    return low if low == high else f"{low} to {high}"
