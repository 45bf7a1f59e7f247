"""Read one member out of a zip archive; say clearly what is wrong with a bad archive."""

import zipfile
import zlib
from pathlib import Path

from pipeline.data.cards import RatingSet
from pipeline.errors import BadInput

_SHOWN_MEMBERS = 8


def remedy(source: RatingSet) -> str:
    """Say how to get a sound archive of `source`."""
    if not source.urls:
        return f"Delete it and let the pipeline write '{source.archive}' again."
    by_hand = (
        f"put the right archive, named '{source.local_names[0]}', into a folder and name that "
        "folder with `--config raw_dir=FOLDER`."
    )
    if source.advice:  # the official address does not serve what is needed
        return f"{by_hand[0].upper()}{by_hand[1:]}"
    return f"Delete it and download it again from {source.urls[0]}, or {by_hand}"


def refusal(source: RatingSet, archive: Path, where: str, found: str, needed: str) -> BadInput:
    """Build the error for `archive`: where, what was found, what was needed, the remedy."""
    place = f"{archive}: {where}" if where else f"{archive}"
    return BadInput(f"{place}: found {found}, but {needed} is needed. {remedy(source)}")


def read_member(source: RatingSet, archive: Path) -> bytes:
    """Return the bytes of `source.member` in the zip `archive`, CRC checked.

    Raises:
        BadInput: no such file, not a zip, damaged or truncated, or the member is missing.
    """
    if not archive.is_file():
        raise refusal(source, archive, "", "no such file", f"the archive of {source.title}")
    try:
        with zipfile.ZipFile(archive) as opened:
            names = opened.namelist()
            if source.member not in names:
                raise refusal(
                    source,
                    archive,
                    "wrong archive",
                    _listed(names),
                    f"'{source.member}' ({source.title})",
                )
            return opened.read(source.member)
    # RuntimeError: an encrypted member; NotImplementedError: an unknown compression method.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise refusal(
            source,
            archive,
            "not a whole zip archive",
            f"{archive.stat().st_size:,} bytes ({str(error) or type(error).__name__})",
            f"an undamaged zip with '{source.member}'",
        ) from error


def read_comment(archive: Path) -> str:
    """Return the comment of the zip `archive` as text."""
    with zipfile.ZipFile(archive) as opened:
        return opened.comment.decode("utf-8", errors="replace")


def _listed(names: list[str]) -> str:
    """Name the first few members of an archive."""
    if not names:
        return "no members"
    more = len(names) - _SHOWN_MEMBERS
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN_MEMBERS])
    return f"{shown} and {more} more" if more > 0 else shown
