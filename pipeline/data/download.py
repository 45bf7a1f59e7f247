"""Obtain an archive: from the user's own folder, else from its official addresses."""

import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

from pipeline.data.cards import RatingSet
from pipeline.data.simulated import write_simulated
from pipeline.data.transfer import fetch, short_reason
from pipeline.errors import BadInput
from pipeline.files import file_digest, replacing


def obtain(
    source: RatingSet,
    out: Path,
    *,
    raw_dir: Path | None,
    retries: int,
    timeout_s: float,
    simulated: Mapping[str, Any] | None = None,
) -> Path:
    """Put the archive of `source` at `out`, whole or not at all.

    A file in `raw_dir` under any of `source.local_names` is copied as it is: what it holds is
    judged after parsing, by `ratings.build_ratings`. Otherwise each address is tried in turn;
    a download must match the archive's checksum where one is known.

    Args:
        raw_dir: folder of archives put there by hand; None: there is no such folder.
        retries: tries per address, at least 1.
        timeout_s: seconds without an answer that end a try.
        simulated: parameters of `simulated.draw_ratings`, for the simulated data set.

    Returns:
        `out`.

    Raises:
        BadInput: the archive is neither in `raw_dir` nor at any address; names every address
            with its error, and where to put the file by hand.
    """
    local = _find_local(source, raw_dir)
    if local is not None:
        _copy(local, out)
        return out
    if not source.urls:
        return write_simulated(out, **(simulated or {}))
    failures = []
    for url in source.urls:
        try:
            part = fetch(url, out, attempts=retries, timeout_s=timeout_s)
        except requests.RequestException as error:
            failures.append(f"  {url}: {short_reason(error)}")
            continue
        fault = _fault(source, part)
        if fault is None:
            part.replace(out)
            return out
        part.unlink()
        failures.append(f"  {url}: {fault}")
    raise _unobtainable(source, out, raw_dir, failures)


def _find_local(source: RatingSet, raw_dir: Path | None) -> Path | None:
    """Return the first accepted file in the user's folder."""
    if raw_dir is None:
        return None
    candidates = [raw_dir / name for name in source.local_names]
    return next((path for path in candidates if path.is_file()), None)


def _copy(local: Path, out: Path) -> None:
    """Copy a file, whole or not at all; a file that already is `out` stays."""
    if out.exists() and local.samefile(out):
        return
    with replacing(out) as beside:
        shutil.copyfile(local, beside)


def _fault(source: RatingSet, part: Path) -> str | None:
    """Say what is wrong with a complete download, if anything is."""
    if source.md5 is not None:
        found = file_digest(part, "md5")
        if found != source.md5:
            return f"the file has md5 {found}, but {source.md5} is needed"
    if not zipfile.is_zipfile(part):
        # Such as the page of a proxy that wants a login, sent with status 200.
        with part.open("rb") as handle:
            return f"not a zip archive, it begins with {handle.read(16)!r}"
    return None


def _unobtainable(
    source: RatingSet, out: Path, raw_dir: Path | None, failures: list[str]
) -> BadInput:
    """Build the one error for an archive that could not be had."""
    names = " or ".join(f"'{name}'" for name in source.local_names)
    looked = f"not in {raw_dir} (looked for {names})" if raw_dir else "no raw_dir was given"
    advice = f"\n{source.advice}." if source.advice else ""
    return BadInput(
        f"{out}: the archive of {source.title} could not be had: {looked}, and no address gave "
        "it:\n" + "\n".join(failures) + f"\nGet the archive by hand, name it {names}, put it "
        f"into {raw_dir or 'a folder'}, or name the folder that holds it with "
        f"`--config raw_dir=FOLDER`.{advice}"
    )
