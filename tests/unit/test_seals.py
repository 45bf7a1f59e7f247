"""A sealed file: any flipped bit is found, wherever it is, and in the seal as well."""

import json
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.data import schemas
from pipeline.errors import BadInput
from pipeline.runs.training import load_checkpoint, save_checkpoint
from pipeline.runs.weights import read_arrays, write_arrays
from pipeline.seals import (
    BLANK,
    Damaged,
    digests,
    is_whole,
    listed_fault,
    read_sealed,
    sealed_bytes,
    sealing,
    write_sealed,
)

FLIPS = 200  # of each kind of file; the first and last bytes always
ABOUT = {"spec": "{}", "n": 3}


def write_rows(path: Path) -> None:
    columns = {"task": np.arange(300), "item": np.arange(300) % 50, "y": np.ones(300)}
    schemas.write_rows(path, columns, schemas.RATING_TASKS, ABOUT)


def write_weights(path: Path) -> None:
    write_arrays(path, {"theta": np.arange(40.0)}, {"a": "b", "c": "d", "initialisation": "{}"})


def read_state(path: Path) -> object:
    """As whoever reads a checkpoint: damage is said, and the run starts anew."""
    if (state := load_checkpoint(path, "recipe")) is None:
        raise Damaged(path, "none")
    return state


KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "a.json": (lambda path: write_sealed(path, {"é": [1.5, None], "z": "text"}), read_sealed),
    "a.parquet": (write_rows, lambda path: schemas.read_rows(path, schemas.RATING_TASKS)),
    "b.parquet": (write_rows, schemas.read_metadata),
    "a.safetensors": (write_weights, read_arrays),
    "a.pt": (lambda path: save_checkpoint(path, "recipe", {"n": 1}), read_state),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_flipped_bit_is_found(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write, read = KINDS[name]
    path = tmp_path / name
    write(path)
    read(path)
    whole = path.read_bytes()
    draw = random.Random(name)
    seal = whole.find(BLANK[:14].encode())
    ends = [*range(12), *range(len(whole) - 12, len(whole)), *range(seal, seal + len(BLANK))]
    for at in ends + [draw.randrange(len(whole)) for _ in range(FLIPS)]:
        changed = bytearray(whole)
        changed[at] ^= 1 << draw.randrange(8)
        path.write_bytes(changed)
        with pytest.raises(Damaged):
            read(path)
    for cut in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"\0"):
        path.write_bytes(cut)
        with pytest.raises(Damaged):
            read(path)
    path.write_bytes(whole)
    read(path)
    capsys.readouterr()


@pytest.mark.parametrize("name", [name for name in KINDS if not name.endswith(".pt")])
def test_the_same_content_gives_the_same_bytes(name: str, tmp_path: Path) -> None:
    write, _ = KINDS[name]
    for folder in ("a", "b"):
        write(tmp_path / folder / name)
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    write_sealed(tmp_path / "a.json", {"b": 1, "a": [1.5, None]})
    assert read_sealed(tmp_path / "a.json") == {"b": 1, "a": [1.5, None]}
    arrays = {"b": np.arange(3), "a": np.ones((2, 2))}
    write_arrays(tmp_path / "a.safetensors", arrays, {"said": "so"})
    found, about = read_arrays(tmp_path / "a.safetensors")
    assert about == {"said": "so"}
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)


def test_content_that_looks_like_a_seal_does_no_harm(tmp_path: Path) -> None:
    value = {"a": BLANK, "z": BLANK.replace("0", "1"), "zz": BLANK[:20]}
    write_sealed(tmp_path / "a.json", value)
    assert is_whole(tmp_path / "a.json")
    assert read_sealed(tmp_path / "a.json")["zz"] == BLANK[:20]
    text = (tmp_path / "a.json").read_text().replace('"zz"', '"zy"')
    (tmp_path / "a.json").write_text(text)
    assert not is_whole(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["", "{}", json.dumps({"seal": "sealed:sha256:"})])
def test_a_file_without_a_seal_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(BadInput, match=r"a\.json: .*snakemake"):
        read_sealed(tmp_path / "a.json")


def test_no_file_is_left_where_nothing_was_sealed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="nothing to seal"), sealing(tmp_path / "a") as beside:
        beside.write_text("no seal")
    assert list(tmp_path.iterdir()) == []


def test_a_seal_is_that_of_the_whole_file(tmp_path: Path) -> None:
    """As another program would compute it: `sed` to zeros, then `sha256sum`."""
    import hashlib

    write_sealed(tmp_path / "a.json", {"a": 1})
    data = sealed_bytes(tmp_path / "a.json").decode()
    digest = json.loads(data)["seal"].removeprefix("sealed:sha256:")
    assert hashlib.sha256(data.replace(digest, "0" * 64).encode()).hexdigest() == digest


def test_listed_files(tmp_path: Path) -> None:
    for name in ("a.csv", "b.svg"):
        (tmp_path / name).write_text(name)
    listed = digests(tmp_path.iterdir())
    assert listed_fault(tmp_path, listed) is None
    (tmp_path / "a.csv").write_text("a.csw")
    assert listed_fault(tmp_path, listed) == (
        "a.csv: damaged: its bytes are not those that were written"
    )
    (tmp_path / "a.csv").unlink()
    assert listed_fault(tmp_path, listed) == "no a.csv"
