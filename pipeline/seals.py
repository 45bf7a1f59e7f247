"""Files that carry a digest of their own bytes, so that damage is found by whoever reads them.

A sealed file holds, anywhere in it and once, the text `sealed:sha256:` and 64 hexadecimal digits:
the SHA-256 of the whole file as it is with these 64 digits set to zeros. JSON has it as the value
of a key, Parquet in its footer, safetensors in its metadata, a checkpoint as its first line. So a
flipped bit is found wherever it is, by hashing bytes: nothing is decoded, and no second file has
to be there. What cannot carry a seal (CSV, SVG, an archive) is listed with its digest in a sealed
file beside it, under `files`.
"""

import hashlib
import mmap
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import BadInput
from pipeline.files import file_digest, json_text, parse_json, replacing, write_text

KEY = "seal"
_MARK = b"sealed:sha256:"
_ZEROS = b"0" * 64
BLANK = (_MARK + _ZEROS).decode()  # what writers put in; `sealing` fills it

DAMAGED = "damaged: its bytes are not those that were written"
NO_SEAL = "no seal in it: damaged, of an earlier version, or not made here"


class Damaged(BadInput):
    """A file whose bytes are not those that were written; `fault` says so without its path."""

    def __init__(self, path: Path, fault: str) -> None:
        self.fault = fault
        super().__init__(
            f"{path}: {fault}; needed the file as the pipeline wrote it. Give the same `snakemake` "
            "command again, which makes it anew, or correct the path."
        )


@contextmanager
def sealing(path: Path) -> Iterator[Path]:
    """`replacing` for a file in which the block has written `BLANK`: that becomes its seal.

    Raises:
        ValueError: when the block has written none.
    """
    with replacing(path) as beside:
        yield beside
        with beside.open("r+b") as handle, mmap.mmap(handle.fileno(), 0) as data:
            at = data.rfind(BLANK.encode())
            if at < 0:
                raise ValueError(f"{path}: nothing to seal: `seals.BLANK` was not written")
            digest = hashlib.sha256(data).hexdigest()
            data[at + len(_MARK) : at + len(BLANK)] = digest.encode()


def seal_fault(data: bytes) -> str | None:
    """What is wrong with the bytes of a sealed file; None where they are those written."""
    view, at = memoryview(data), data.rfind(_MARK)
    if at < 0:
        return NO_SEAL
    while at >= 0:  # the text may stand in what the file holds, too
        start, end = at + len(_MARK), at + len(BLANK)
        digest = hashlib.sha256(view[:start])
        digest.update(_ZEROS)
        digest.update(view[end:])
        if digest.hexdigest().encode() == data[start:end]:
            return None
        at = data.rfind(_MARK, 0, at)
    return DAMAGED


def sealed_bytes(path: Path) -> bytes:
    """The bytes of a sealed file, verified.

    Raises:
        Damaged: when they are not those that were written.
        OSError: when there is no such file.
    """
    data = path.read_bytes()
    if fault := seal_fault(data):
        raise Damaged(path, fault)
    return data


def is_whole(path: Path) -> bool:
    """Whether a sealed file is there as it was written."""
    return path.is_file() and seal_fault(path.read_bytes()) is None


def write_sealed(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object with its seal: the same value gives the same bytes."""
    text = json_text({**value, KEY: BLANK})
    with sealing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def read_sealed(path: Path) -> dict[str, Any]:
    """Read what `write_sealed` wrote.

    Raises:
        Damaged: when the bytes are not those that were written.
        ValueError: when they are no JSON object.
    """
    return parse_sealed(sealed_bytes(path))


def parse_sealed(data: bytes) -> dict[str, Any]:
    """The object of a sealed JSON file, without its seal."""
    value = parse_json(data.decode("utf-8"))
    if not isinstance(value, dict):
        raise ValueError("no JSON object")
    return {name: of for name, of in value.items() if name != KEY}


# What cannot carry a seal.


def sha256(data: bytes) -> str:
    """Hexadecimal digest of bytes."""
    return hashlib.sha256(data).hexdigest()


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of files by name, for the key `files` of a sealed file beside them."""
    return {path.name: file_digest(path) for path in sorted(paths)}


# Evidence in git carries no seals: digests lie beside it, as `sha256sum -c` reads them.


def sums_file(file: Path) -> Path:
    """Where the digests of a file of evidence lie; of a setting's two files, of both."""
    return file.with_name(f"{file.stem.removesuffix('.runs')}.sha256")


@contextmanager
def summing(sums: Path) -> Iterator[Callable[[Mapping[str, Path]], None]]:
    """Hand on what tells the digests of files before they get their names, in this block.

    They are noted first, beside those of before: after a kill either stands for a file.
    """
    lines: list[str] = []

    def tell(files: Mapping[str, Path]) -> None:
        known = _known(sums) or set()
        lines.extend(f"{file_digest(path)}  {name}" for name, path in sorted(files.items()))
        before = [place for name in files if (place := sums.with_name(name)).is_file()]
        kept = [line for path in before if (line := f"{file_digest(path)}  {path.name}") in known]
        write_text(_noted(sums), _text([*lines, *kept]))

    yield tell
    write_text(sums, _text(lines))
    _noted(sums).unlink(missing_ok=True)


def summed_bytes(file: Path) -> bytes:
    """The bytes of a file of evidence, verified where its digest is known.

    Raises:
        Damaged: when they are not those that were written.
        OSError: when there is no such file.
    """
    data, known = file.read_bytes(), _known(sums_file(file))
    if known is not None and f"{sha256(data)}  {file.name}" not in known:
        raise Damaged(file, f"{DAMAGED}, as {sums_file(file).name} has them")
    return data


def _known(sums: Path) -> set[str] | None:
    """Lines of digests; None where there are none, as of evidence of before."""
    files = [path for path in (sums, _noted(sums)) if path.is_file()]
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in files]
    return {line for text in texts for line in text.splitlines()} if files else None


def _text(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _noted(sums: Path) -> Path:
    return sums.with_name(f".{sums.name}.next")


def listed_fault(folder: Path, files: Mapping[str, str]) -> str | None:
    """What is wrong with files of which `digests` is known; None where they are as they were."""
    for name, digest in files.items():
        path = folder / name
        if not path.is_file():
            return f"no {name}"
        if file_digest(path) != digest:
            return f"{name}: {DAMAGED}"
    return None
