"""The command line. Exit status: 0 done, 2 bad input with one message, 1 anything else.

Commands import what they need when they run: `--help` and the data commands start without
torch, and only `log-tracking` loads mlflow.
"""

import sys
import time
from typing import NoReturn

import typer

from pipeline.cli import data, own, plan, project, report, results, studies, training, use
from pipeline.errors import BadInput, of_system
from pipeline.jobs.process import is_job

app = typer.Typer(
    name="pipeline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A-MAML and its baselines: one command per step, from raw archives to tables. "
    "The workflow calls the same commands (`snakemake --cores 2`); each can be run by hand.",
)
for group in (project, own, plan, data, training, studies, results, report, use):
    for command in group.COMMANDS:
        app.command(command.__name__.replace("_", "-"))(command)


def main() -> None:
    """Run a command; bad input ends with status 2 and its message, not a traceback.

    So does what the system refuses of a path. An `OSError` without its number is a library's own.
    """
    started = time.monotonic()
    try:
        app(prog_name="python -m pipeline")
    except SystemExit as end:
        if is_job() and not end.code:  # the last line of its log, which `status` reads
            print(f"done in {time.monotonic() - started:.1f} s", file=sys.stderr)
        raise
    except BadInput as error:
        _refuse(error)
    except OSError as error:
        if error.errno is None:
            raise
        _refuse(of_system(error))


def _refuse(error: BadInput) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
