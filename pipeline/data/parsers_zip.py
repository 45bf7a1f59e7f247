"""Read one member out of a zip archive; say clearly what is wrong with a bad archive."""

import zipfile
from pathlib import Path

from pipeline.data.cards import RatingSet
from pipeline.errors import BadInput

_SHOWN_MEMBERS = 8
_SHOWN_CHARACTERS = 60  # of a text that stands in the archive


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
        BadInput: no such file, not a zip, damaged or truncated, the member is missing or larger
            than `source.largest`.
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
            size = opened.getinfo(source.member).file_size  # no more than that is unpacked
            if size > source.largest:
                needed = f"at most {source.largest:,} bytes"
                raise refusal(source, archive, source.member, f"{size:,} bytes", needed)
            return opened.read(source.member)
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # what a damaged zip can raise is not listed anywhere
        raise refusal(
            source,
            archive,
            "not a whole zip archive",
            f"{archive.stat().st_size:,} bytes ({clip(str(error)) or type(error).__name__})",
            f"an undamaged zip with '{source.member}'",
        ) from None


def read_comment(archive: Path) -> str:
    """Return the comment of the zip `archive` as text."""
    with zipfile.ZipFile(archive) as opened:
        return opened.comment.decode("utf-8", errors="replace")


def _listed(names: list[str]) -> str:
    """Name the first few members of an archive."""
    if not names:
        return "no members"
    more = len(names) - _SHOWN_MEMBERS
    shown = ", ".join(f"'{clip(name)}'" for name in names[:_SHOWN_MEMBERS])
    return f"{shown} and {more} more" if more > 0 else shown


def clip(text: str) -> str:
    """A text of the archive's as one short line that a terminal can show."""
    short = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
    return "".join(character if character.isprintable() else "�" for character in short)
