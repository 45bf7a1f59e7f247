"""Arrays in a sealed safetensors file: written, and read from verified bytes."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from pipeline.seals import BLANK, KEY, sealed_bytes, sealing

_LENGTH = 8  # bytes that say how long the header is
_ABOUT = "__metadata__"


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, str]) -> None:
    """Write arrays and what is said of them: the same ones give the same bytes."""
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    data = save(whole, {**about, KEY: BLANK})
    header = json.dumps(_header(data), sort_keys=True).encode()  # the library's order varies
    header += b" " * (-len(header) % _LENGTH)
    with sealing(path) as beside, beside.open("wb") as file:
        file.write(len(header).to_bytes(_LENGTH, "little") + header + data[_end(data) :])


def read_arrays(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What `write_arrays` wrote.

    Raises:
        BadInput: when the bytes are not those that were written.
        ValueError: when they are no safetensors.
        OSError: when there is no such file.
    """
    data = sealed_bytes(path)
    try:
        arrays = load(data)
        about = _header(data)[_ABOUT]
    except (SafetensorError, LookupError, TypeError) as error:
        raise ValueError(f"no safetensors: {error}") from error
    return arrays, {name: text for name, text in about.items() if name != KEY}


def _end(data: bytes) -> int:
    return _LENGTH + int.from_bytes(data[:_LENGTH], "little")


def _header(data: bytes) -> dict[str, dict[str, str]]:
    header: dict[str, dict[str, str]] = json.loads(data[_LENGTH : _end(data)])
    return header
