"""`python -m pipeline <command>`: one command per rule of the workflow."""

import os
import sys
import traceback

from pipeline.jobs.process import (
    SILENT,
    die_with_parent,
    escape_what_encoding_lacks,
    hold_log,
    is_job,
)
from pipeline.jobs.worker import hand_over

if __name__ == "__main__":
    die_with_parent()  # before anything slow is imported: an orphan would overwrite new records
    os.environ.setdefault(*SILENT)
    if is_job():
        hold_log()
        hand_over()
    os.environ["MPLBACKEND"] = "agg"  # that of a notebook around this process is not here
    escape_what_encoding_lacks()

    try:
        from pipeline.cli import main

        main()
    except ModuleNotFoundError as missing:
        importer = [frame for frame, _ in traceback.walk_tb(missing.__traceback__)][-1]
        if importer.f_globals["__name__"].partition(".")[0] not in ("pipeline", "__main__"):
            raise  # an import of a library's or of the user's own
        print(
            f"error: the package `{missing.name}` is not installed. The commands need "
            "`pip install '.[workflow]'`; `pip install .` is the library alone.",
            file=sys.stderr,
        )
        sys.exit(2)
    except KeyboardInterrupt:  # while modules are loaded; commands end by themselves
        sys.exit(130)
