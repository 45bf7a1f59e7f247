"""How a grid stands, as text for a terminal."""

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.jobs.grid import RULES
from pipeline.jobs.plan_text import WIDTH
from pipeline.jobs.status import STATES, Standing
from pipeline.runs.progress import duration

MOST = 12  # jobs that are named one by one


def status_text(grid: str, found: Sequence[Standing], left: float | None, *, alive: bool) -> str:
    """A table of steps and methods, and the jobs that run, failed or were stopped.

    Args:
        left: seconds until all is done, where that is known.
        alive: whether a Snakemake works in this folder.
    """
    out = io.StringIO()
    console = Console(file=out, width=WIDTH, color_system=None, highlight=False)
    console.print(_counts("step", [(one.job.rule, one) for one in found]))
    training = [(one.job.label, one) for one in found if one.job.rule == "meta_train"]
    console.print(_counts("meta-training by method", training))
    running = [one for one in found if one.state == "running"]
    failed = [one for one in found if one.state == "failed"]
    stopped = [one for one in found if one.told and one not in (*running, *failed)]
    for title, some in (("running", running), ("failed", failed), ("stopped", stopped)):
        if some:
            console.print(_named(title, some))
    console.print(_sentence(grid, found, left, alive), soft_wrap=True)
    lines = (line.rstrip() for line in out.getvalue().splitlines())
    return "\n".join(lines) + "\n"


def _counts(title: str, named: Sequence[tuple[str, Standing]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(title, min_width=34, no_wrap=True)
    for head in ("jobs", *STATES):
        table.add_column(head, justify="right")
    names = dict.fromkeys(name for name, _ in named)
    ordered = [*(rule for rule in RULES if rule in names), *(n for n in names if n not in RULES)]
    for name in ordered:
        states = [one.state for own, one in named if own == name]
        counts = [str(states.count(state) or "") for state in STATES]
        table.add_row(name, str(len(states)), *counts)
    return table


def _named(title: str, some: Sequence[Standing]) -> Table:
    """The jobs of one state, with how far they are or where their logs lie."""
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column(title, overflow="fold")
    table.add_column("log" if title == "failed" else "how far", overflow="fold")
    if title == "running":
        table.add_column("left", justify="right", no_wrap=True)
    for one in some[:MOST]:
        cells = [f"{one.job.rule} {one.job.name}"]
        if title == "failed":
            cells.append(one.job.log)
        else:
            cells.append(one.told.rpartition(": ")[2])
        if title == "running":
            cells.append("" if one.left is None else duration(one.left))
        table.add_row(*cells)
    if len(some) > MOST:
        table.add_row(f"and {len(some) - MOST} more")
    return table


def _sentence(grid: str, found: Sequence[Standing], left: float | None, alive: bool) -> str:
    counts = {state: sum(one.state == state for one in found) for state in STATES}
    parts = [f"{n} {state}" for state, n in counts.items() if n and state != "done"]
    said = f"Grid '{grid}': {counts['done']} of {len(found)} jobs done"
    said += "".join(f", {part}" for part in parts) + "."
    if counts["done"] == len(found):
        return said
    if left is None:
        said += " Time left: not known before a job of each long step has said how far it is."
    else:
        said += f" About {duration(left)} left."
    return said + ("" if alive else " No Snakemake works here now.")
