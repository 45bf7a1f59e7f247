"""Whole files or none: write beside, then rename; and digests of what lies on disk."""

import errno
import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_CHUNK = 1 << 20


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it over `path` if the block succeeds.

    The temporary file is removed when the block raises, so `path` is either the old
    whole file or the new whole one; after a power cut, too: it is on the disk before its name is.

    Raises:
        OSError: naming `path`, where nothing can be written there.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield beside
        _put_on_disk(beside)
        beside.replace(path)
        with suppress(OSError):  # a file system that cannot say so of folders
            _put_on_disk(path.parent)
    except OSError as error:
        if error.filename == str(beside):
            error.filename = str(path)
        raise
    finally:
        with suppress(OSError):  # where it could not be written
            beside.unlink(missing_ok=True)


def _put_on_disk(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


_TEMPORARY = re.compile(r"\..+\.(\d+)\.tmp(-journal)?")  # of `replacing`, and what SQLite adds


def remove_leftovers(tops: Iterable[Path], here: Path) -> None:
    """Delete temporary files of killed processes: in `tops`, below them, and in `here`."""
    for path in (*here.glob(".*.tmp*"), *(p for top in tops for p in top.rglob(".*.tmp*"))):
        if (found := _TEMPORARY.fullmatch(path.name)) and not _runs(int(found[1])):
            path.unlink(missing_ok=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 `text` to `path`, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as sorted, indented JSON: the same value gives the same bytes."""
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """The one text of a value, as files hold it."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n"


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: when it holds no JSON.
    """
    return parse_json(path.read_text(encoding="utf-8"))


def parse_json(text: str) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: when it is none.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("brackets within brackets, too deep to read") from None


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Hexadecimal digest of a file's bytes."""
    digest = hashlib.new(algorithm)
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
