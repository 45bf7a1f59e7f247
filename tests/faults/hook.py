"""Loaded by every Python process of a project that it is copied into, as `sitecustomize`.

`FAULT_AT=before:PATTERN` kills the process just before a finished file takes the place of one whose
path fits the pattern, `after:PATTERN` just after, `FAULT_AT=begun:PATTERN` when it begins to write
one. Only once for a folder: the mark `.fault` says that it was done.
"""

import fnmatch
import os
import signal
from pathlib import Path
from typing import Any

_WHEN, _, _PATTERN = os.environ.get("FAULT_AT", "").partition(":")
_MARK = Path(__file__).resolve().with_name(".fault")


def _fits(path: Any) -> bool:
    return fnmatch.fnmatch(os.fspath(path), f"*{_PATTERN}")


def _strike() -> None:
    try:
        os.close(os.open(_MARK, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


if _WHEN:
    _replace = os.replace

    def replace(source: Any, target: Any, **options: Any) -> None:
        if _fits(target) and _WHEN == "before":
            _strike()
        _replace(source, target, **options)
        if _fits(target) and _WHEN == "after":
            _strike()

    os.replace = replace
    if _WHEN == "begun":
        import builtins
        import io

        _open = io.open

        def opened(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            found = _open(file, mode, *rest, **options)
            if "w" in mode and not isinstance(file, int):
                path = Path(os.fspath(file))
                is_begun = path.name.startswith(".") and path.suffix == ".tmp"
                if is_begun and _fits(path.with_name(path.name[1:].rsplit(".", 2)[0])):
                    _strike()
            return found

        builtins.open = io.open = opened
