"""Progress bars: drawn on a terminal, silent anywhere else."""

import sys
from collections.abc import Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def track(title: str, first: int, total: int) -> Iterator[int]:
    """Yield first, ..., total - 1 under a bar on stderr."""
    if not sys.stderr.isatty():
        yield from range(first, total)
        return
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        bar = progress.add_task(title, total=total, completed=first)
        for number in range(first, total):
            yield number
            progress.advance(bar)
