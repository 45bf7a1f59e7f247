"""Obtain an archive: from the user's own folder, else from its official addresses over HTTP.

A download is tried again with growing waits and goes on where it stopped. The bytes so far lie in
`OUT.part`; `OUT.part.json` says which address they came from and the server's validator (ETag or
date), so that bytes of two versions are never joined.
"""

import shutil
import sys
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import requests
import urllib3
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from pipeline.data.cards import RatingSet
from pipeline.data.isolated import Ended, isolated
from pipeline.data.ratings import check_archive
from pipeline.data.simulated import write_simulated
from pipeline.errors import BadInput
from pipeline.files import file_digest, read_json, replacing, write_json

_CHUNK = 1 << 13  # what a broken connection can lose at most
_REASON_LENGTH = 160
SECONDS = 3600.0  # that all tries of an address may take; what has come by then is kept
_LINE_S = 5.0  # between lines in a log
_WAIT = wait_exponential_jitter(multiplier=0.5, max=10.0, jitter=0.5)
_PASSING_STATUS = {408, 425, 429, 500, 502, 503, 504}


def obtain(
    source: RatingSet,
    out: Path,
    *,
    raw_dir: Path | None,
    retries: int,
    timeout_s: float,
    allow_unverified_tls: bool = False,
    simulated: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Put the archive of `source` at `out`, whole or not at all, once its content is judged.

    A file in `raw_dir` under any of `source.local_names` is copied: the first whose content is
    that of `source`. Otherwise each address is tried in turn; a download must match the archive's
    checksum where one is known.

    Args:
        raw_dir: folder of archives put there by hand; None: there is no such folder.
        retries: tries per address, at least 1.
        timeout_s: seconds without an answer that end a try.
        allow_unverified_tls: where no address gives it, those whose certificate cannot be verified
            are tried once more without; the content is judged all the same.
        simulated: parameters of `simulated.draw_ratings`, for the simulated data set.

    Returns:
        Where it is from (`from`), and `tls: not verified` where that was so.

    Raises:
        BadInput: what is in `raw_dir` is another archive, or it is neither there nor at any
            address; names every address with its error, and where to put the file by hand.
    """
    faults = []
    for local in _locals(source, raw_dir):
        try:
            _judge(source, local)
        except BadInput as fault:
            faults.append(fault)
            continue
        _copy(local, out)
        return {"from": str(local)}
    if faults:
        raise faults[0]
    if not source.urls:
        write_simulated(out, **(simulated or {}))
        return {"from": "simulated"}
    failures: dict[str, str] = {}
    unverified: list[str] = []
    for url in source.urls:
        try:
            part = fetch(url, out, attempts=retries, timeout_s=timeout_s, largest=source.largest)
        except Unfetched as error:
            failures[url] = str(error)
            unverified += [url] * error.is_tls
            continue
        if _accepted(source, part, out, url, failures):
            return {"from": url}
    for url in unverified if allow_unverified_tls else ():
        print(
            f"{url}: its certificate is NOT verified, as data.allow_unverified_tls says; what it "
            "sends is judged by its content.",
            file=sys.stderr,
        )
        try:
            part = fetch(
                url,
                out,
                attempts=retries,
                timeout_s=timeout_s,
                largest=source.largest,
                verify=False,
            )
        except Unfetched as error:
            failures[url] += f"; without verifying: {error}"
            continue
        if _accepted(source, part, out, url, failures):
            return {"from": url, "tls": "not verified"}
    raise _unobtainable(
        source, out, raw_dir, failures, may_help=bool(unverified) and not allow_unverified_tls
    )


def _judge(source: RatingSet, archive: Path) -> None:
    """Refuse an archive whose content is not that of `source`; the official checksum says it is."""
    if source.md5 is None or file_digest(archive, "md5") != source.md5:
        check_archive(source, archive)


def _accepted(source: RatingSet, part: Path, out: Path, url: str, failures: dict[str, str]) -> bool:
    """Take over a download, or tell what is wrong with it and delete it."""
    fault = _fault(source, part)
    if fault is None:
        try:
            _judge(source, part)
        except BadInput as error:
            fault = str(error).removeprefix(f"{part}: ")
    if fault is None:
        part.replace(out)
        return True
    part.unlink()
    failures[url] = fault
    return False


def _locals(source: RatingSet, raw_dir: Path | None) -> list[Path]:
    """The files in the user's folder that have an accepted name."""
    candidates = [raw_dir / name for name in source.local_names] if raw_dir else []
    return [path for path in candidates if path.is_file()]


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
    source: RatingSet,
    out: Path,
    raw_dir: Path | None,
    failures: Mapping[str, str],
    *,
    may_help: bool,
) -> BadInput:
    """Build the one error for an archive that could not be had."""
    names = " or ".join(f"'{name}'" for name in source.local_names)
    looked = f"not in {raw_dir} (looked for {names})" if raw_dir else "no raw_dir was given"
    advice = f"\n{source.advice}." if source.advice else ""
    if may_help:
        advice += (
            "\nWhere only a certificate stands in the way, `allow_unverified_tls: true` under "
            "`data` in params.yaml tries without verifying it; the content is judged all the same."
        )
    tried = "\n".join(f"  {url}: {said}" for url, said in failures.items())
    return BadInput(
        f"{out}: the archive of {source.title} could not be had: {looked}, and no address gave "
        f"it:\n{tried}\nGet the archive by hand, name it {names}, put it "
        f"into {raw_dir or 'a folder'}, or name the folder that holds it with "
        f"`--config raw_dir=FOLDER`.{advice}"
    )


# One file over HTTP.


class Unfetched(requests.RequestException):
    """Why an address gave no file; `is_tls`: its certificate could not be verified."""

    def __init__(self, said: str, *, is_tls: bool = False) -> None:
        super().__init__(said)
        self.is_tls = is_tls


def fetch(
    url: str, out: Path, *, attempts: int, timeout_s: float, largest: int, verify: bool = True
) -> Path:
    """Download `url` completely to `part_of(out)` and return that path.

    In a process of its own: no host name, header or trickle of bytes takes longer than `SECONDS`.

    Args:
        largest: bytes that it may have.
        verify: the server's certificate.

    Raises:
        Unfetched: the last try's error. What has arrived stays in the part.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    given = (url, out, attempts, timeout_s, largest, verify)
    try:
        for said, is_tls in isolated(_fetch_alone, *given, seconds=SECONDS, quiet=False):
            raise Unfetched(said, is_tls=is_tls)
    except Ended as error:
        raise Unfetched(str(error)) from None
    _note_of(out).unlink(missing_ok=True)
    return part_of(out)


def _fetch_alone(
    url: str, out: Path, attempts: int, timeout_s: float, largest: int, verify: bool
) -> Iterator[tuple[str, bool]]:
    """Yield what went wrong, if anything did."""
    tries = Retrying(
        stop=stop_after_attempt(max(attempts, 1)),
        wait=_WAIT,
        retry=retry_if_exception(_may_pass),
        reraise=True,
    )
    if not verify:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
    try:
        tries(_attempt, url, out, timeout_s, largest, verify)
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk, say
        said = short_reason(error)
        if "CA certificate bundle" in said:
            said += " (correct or unset REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE)"
        yield said, isinstance(error, requests.exceptions.SSLError)


def part_of(out: Path) -> Path:
    """Return where the bytes of an unfinished download of `out` lie."""
    return out.with_name(f"{out.name}.part")


def short_reason(error: BaseException) -> str:
    """Return one line that says why: the innermost of a chain of wrapped exceptions."""
    seen: set[int] = set()
    while id(error) not in seen:
        seen.add(id(error))
        inner = [getattr(error, "reason", None), *error.args, error.__cause__, error.__context__]
        error = next((e for e in inner if isinstance(e, BaseException)), error)
    if isinstance(error, requests.HTTPError):
        return str(error)[:_REASON_LENGTH]
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:_REASON_LENGTH]


def _note_of(out: Path) -> Path:
    return out.with_name(f"{out.name}.part.json")


def _may_pass(error: BaseException) -> bool:
    """Tell errors that another try can mend from those that it cannot."""
    if isinstance(error, requests.HTTPError):
        return error.response is not None and error.response.status_code in _PASSING_STATUS
    if isinstance(error, requests.exceptions.SSLError):
        return False  # an expired certificate stays expired
    return isinstance(
        error,
        requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError,
    )


def _attempt(url: str, out: Path, timeout_s: float, largest: int, verify: bool) -> None:
    """Try once, going on from the part if there is one of the same address and version."""
    part, note = part_of(out), _note_of(out)
    start, validator = _resumable(url, part, note)
    headers = {"Accept-Encoding": "identity"}  # a range counts the bytes as stored
    if start:
        # If-Range: a file that has changed since is sent whole, with status 200.
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    with requests.get(
        url, headers=headers, stream=True, timeout=timeout_s, verify=verify
    ) as response:
        if response.status_code == 206 and _continues(response, start, validator):
            _receive(response, part, start, largest)
            return
        if response.status_code == 200:
            # In this order, so that no crash leaves old bytes under the new validator.
            part.unlink(missing_ok=True)
            # what comes packed is unpacked here, and its ranges would count other bytes
            kept = None if _is_packed(response) else _validator(response.headers)
            write_json(note, {"url": url, "validator": kept})
            _receive(response, part, 0, largest)
            return
        if not start or response.status_code not in (206, 416):
            text = f"HTTP {response.status_code} {response.reason or ''}".strip()
            raise requests.HTTPError(text, response=response)
        if response.headers.get("Content-Range") == f"bytes */{start}":
            return  # nothing is left to send: the part is the whole file
    # The server cannot go on from this part: forget it, and ask for the whole file.
    note.unlink()
    _attempt(url, out, timeout_s, largest, verify)


def _resumable(url: str, part: Path, note: Path) -> tuple[int, str]:
    """Return how many bytes can be kept, and the validator of the version they are of."""
    size = part.stat().st_size if part.is_file() else 0
    try:
        known = read_json(note) if note.is_file() else {}
    except ValueError:  # unreadable: from the start
        known = {}
    if not size or not isinstance(known, dict) or known.get("url") != url:
        return 0, ""
    validator = known.get("validator")
    return (size, validator) if isinstance(validator, str) and validator else (0, "")


def _is_packed(response: requests.Response) -> bool:
    return response.headers.get("Content-Encoding", "identity").strip().lower() != "identity"


def _validator(headers: Mapping[str, str]) -> str | None:
    """Return what names this version of the file; a weak ETag does not name its bytes."""
    etag = headers.get("ETag", "")
    return etag if etag.startswith('"') else headers.get("Last-Modified")


def _continues(response: requests.Response, start: int, validator: str) -> bool:
    """Tell whether the body goes on at byte `start` of the same version."""
    begins = response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    return begins and not _is_packed(response) and _validator(response.headers) in (None, validator)


def _receive(response: requests.Response, part: Path, start: int, largest: int) -> None:
    """Write the body behind the first `start` bytes of the part."""
    length = response.headers.get("Content-Length", "")
    total = start + int(length) if length.isdecimal() and not _is_packed(response) else None
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
    )
    console = Console(stderr=True)
    due = time.monotonic() + _LINE_S
    with (
        Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress,
        part.open("r+b" if start else "wb") as handle,
    ):
        handle.seek(start)
        handle.truncate()
        shown = progress.add_task(response.url, total=total, completed=start)
        for chunk in response.iter_content(_CHUNK):
            if handle.tell() + len(chunk) > largest:
                handle.truncate(0)
                raise requests.RequestException(f"more than {largest:,} bytes")
            handle.write(chunk)
            progress.advance(shown, len(chunk))
            if progress.disable and time.monotonic() >= due:  # a log, not a terminal
                due = time.monotonic() + _LINE_S
                of = f" of {total / 1e6:.1f}" if total else ""
                text = f"{response.url}: {handle.tell() / 1e6:.1f}{of} MB"
                print(text, file=sys.stderr, flush=True)
