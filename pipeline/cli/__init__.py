"""The command line. Exit status: 0 done, 2 bad input with one message, 1 anything else.

Commands import what they need when they run: `--help` and the data commands start without
torch, and only `log-tracking` loads mlflow.
"""

import inspect
import re
import sys
import time
from typing import NoReturn

import typer

from pipeline.cli import data, own, plan, project, report, results, status, studies, training, use
from pipeline.errors import BadInput, of_system
from pipeline.jobs.process import check_memory_limit, is_job, tell_done

_OUT_OF_MEMORY = re.compile("can't allocate memory|out of memory", re.IGNORECASE)

app = typer.Typer(
    name="pipeline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="A-MAML and its baselines: one command per step, from raw archives to tables. "
    "The workflow calls the same commands (`snakemake --cores 2`); each can be run by hand.",
)


def _help(doc: str | None) -> str:
    """A docstring with one line a paragraph: the terminal's width alone wraps it."""
    paragraphs = inspect.cleandoc(doc or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for group in (project, own, plan, status, data, training, studies, results, report, use):
    for command in group.COMMANDS:
        name = command.__name__.replace("_", "-")
        app.command(name, help=_help(command.__doc__))(command)


def main() -> None:
    """Run a command; bad input ends with status 2 and its message, not a traceback.

    So does what the system refuses of a path. An `OSError` without its number is a library's own.
    """
    started = time.monotonic()
    try:
        check_memory_limit("".join(sys.argv[1:2]))
        app(prog_name="python -m pipeline")
    except SystemExit as end:
        if is_job() and not end.code:
            tell_done(time.monotonic() - started)
        raise
    except BadInput as error:
        _refuse(error)
    except OSError as error:
        if error.errno is None:
            raise
        _refuse(of_system(error))
    except (MemoryError, RuntimeError) as error:  # torch has no class of its own for it
        if not (isinstance(error, MemoryError) or _OUT_OF_MEMORY.search(str(error))):
            raise
        first = (str(error).splitlines() or [""])[0]
        print(
            f"error: out of memory ({first or 'nothing more was said'}). Give the job more of it, "
            "lift its limit, or let fewer jobs run at a time; the same command goes on.",
            file=sys.stderr,
        )
        sys.exit(1)


def _refuse(error: BadInput) -> NoReturn:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(2)
