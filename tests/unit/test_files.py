"""Files are whole or not there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.files import (
    file_digest,
    parse_json,
    read_json,
    remove_leftovers,
    replacing,
    write_json,
    write_text,
)


def write_half(path: Path, fault: type[BaseException]) -> None:
    with replacing(path) as beside:
        beside.write_text("half a f")
        raise fault


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError):
        write_half(path, RuntimeError)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_leaves_no_file_where_there_was_none(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "a.txt", KeyboardInterrupt)
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_not_there_before_the_block_ends(tmp_path):
    path = tmp_path / "new/folder/a.txt"
    with replacing(path) as beside:
        beside.write_text("whole")
        assert not path.exists()
        assert beside.parent == path.parent  # a rename within one file system
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a.txt"):
        pass


def test_the_same_value_gives_the_same_bytes(tmp_path):
    write_json(tmp_path / "a.json", {"b": 1, "a": [1.5, None]})
    write_json(tmp_path / "b.json", {"a": [1.5, None], "b": 1})
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert read_json(tmp_path / "a.json") == {"a": [1.5, None], "b": 1}


def test_no_json_that_others_cannot_read(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_text_is_utf8(tmp_path):
    write_text(tmp_path / "a.txt", "± λ")
    assert (tmp_path / "a.txt").read_bytes() == "± λ".encode()
    write_json(tmp_path / "a.json", {"é": 1})
    assert json.loads((tmp_path / "a.json").read_bytes()) == {"é": 1}


def test_digests_of_known_bytes(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert file_digest(path).startswith("ba7816bf8f01cfea")
    assert file_digest(path, "md5") == "900150983cd24fb0d6963f7d28e17f72"
    path.write_bytes(b"a" * (2**20 + 1))  # more than one chunk
    assert file_digest(path, "md5") != file_digest(tmp_path / "a", "sha256")
    path.write_bytes(b"a" * 2**20 + b"b")
    first = file_digest(path)
    path.write_bytes(b"a" * 2**20 + b"c")
    assert file_digest(path) != first


@pytest.mark.parametrize("name", [".", "folder", "file/inside.txt"])
def test_a_place_that_takes_no_file_is_named(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises((IsADirectoryError, FileExistsError)) as refused:
        write_text(Path(name), "text")
    assert refused.value.filename == name.split("/")[0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_the_name_beside_it_is_nobodys_business(tmp_path):
    def vanished() -> None:
        with replacing(tmp_path / "a.txt"):
            pass  # nothing was written, so that there is nothing to rename

    with pytest.raises(FileNotFoundError) as refused:
        vanished()
    assert refused.value.filename == str(tmp_path / "a.txt")


@pytest.mark.parametrize("text", ["", "{", "[" * 9000, "nul"])
def test_what_is_no_json_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"\w"):
        parse_json(text)


def test_what_a_killed_process_left_is_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    left = [f".mlflow.db.{gone.pid}.tmp", f".mlflow.db.{gone.pid}.tmp-journal"]
    deep = tmp_path / "results/a/figures"
    deep.mkdir(parents=True)
    kept = [deep / f".a.svg.{os.getpid()}.tmp", deep / "a.1.tmp", tmp_path / "other/.a.1.tmp"]
    kept[-1].parent.mkdir()
    lost = [*(tmp_path / name for name in left), deep / f".memory.svg.{gone.pid}.tmp"]
    for path in (*kept, *lost):
        path.touch()
    remove_leftovers([tmp_path / "results", tmp_path / "none"], here=tmp_path)
    assert [path.exists() for path in kept] == [True] * 3
    assert not any(path.exists() for path in lost)


def test_a_file_is_on_the_disk_before_its_name_is(tmp_path, monkeypatch):
    """After a power cut a name stands for a whole file."""
    order = []
    fsync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda opened: (order.append("fsync"), fsync(opened))[1])
    monkeypatch.setattr(Path, "replace", lambda a, b: (order.append("rename"), rename(a, b))[1])
    write_text(tmp_path / "a.txt", "text")
    assert order == ["fsync", "rename", "fsync"]
