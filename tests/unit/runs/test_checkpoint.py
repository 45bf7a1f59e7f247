"""Checkpoints: this recipe's state comes back; anything else is said and left out."""

import io
import pickle

import pytest
import torch

from pipeline.runs.training import load_checkpoint, save_checkpoint
from pipeline.seals import BLANK, sealing

STATE = {
    "trainer": {"theta": torch.linspace(0, 1, 5, dtype=torch.float64), "updates": 3},
    "rows": [(1, 0.5, float("nan")), (2, 0.25, 0.1)],
}


def test_a_state_comes_back_bit_for_bit(tmp_path, capsys):
    path = tmp_path / "new/checkpoint.pt"
    save_checkpoint(path, "recipe", STATE)
    found = load_checkpoint(path, "recipe")
    assert torch.equal(found["trainer"]["theta"], STATE["trainer"]["theta"])
    assert found["trainer"]["updates"] == 3
    assert found["rows"][1] == (2, 0.25, 0.1)
    assert capsys.readouterr().err == ""


def test_a_checkpoint_replaces_the_last(tmp_path):
    path = tmp_path / "checkpoint.pt"
    for updates in (1, 2):
        save_checkpoint(path, "recipe", {"updates": updates})
    assert load_checkpoint(path, "recipe") == {"updates": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_no_checkpoint_is_no_news(tmp_path, capsys):
    assert load_checkpoint(tmp_path / "checkpoint.pt", "recipe") is None
    assert capsys.readouterr().err == ""


def test_another_recipes_checkpoint_is_not_used(tmp_path, capsys):
    save_checkpoint(tmp_path / "c.pt", "one", STATE)
    assert load_checkpoint(tmp_path / "c.pt", "other") is None
    assert "c.pt: checkpoint of another recipe; starting anew" in capsys.readouterr().err


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


WHOLE = saved({"recipe": "recipe", "state": STATE})


class Foreign:
    """Something that a checkpoint must not construct."""


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"garbage",
        b"\x80\x05garbage",
        WHOLE[: len(WHOLE) // 2],
        WHOLE[:-1],
        WHOLE[:100] + bytes(100) + WHOLE[200:],
        pickle.dumps({"recipe": "recipe", "state": {}})[:-3],
        pickle.dumps(Foreign()),
        saved(Foreign()),
        saved({"recipe": "recipe"}),
        saved([1, 2]),
        saved(torch.zeros(3)),
    ],
)
def test_a_corrupt_checkpoint_is_said_and_left_out(content, tmp_path, capsys):
    path = tmp_path / "c.pt"
    with sealing(path) as beside:
        beside.write_bytes(f"{BLANK}\n".encode() + content)
    assert load_checkpoint(path, "recipe") is None
    said = capsys.readouterr().err
    assert said.startswith(f"{path}: unreadable checkpoint (")
    assert said.endswith("; starting anew\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize("at", range(0, len(WHOLE), 97))
def test_any_broken_byte_gives_a_state_or_none(at, tmp_path):
    path = tmp_path / "c.pt"
    changed = WHOLE[:at] + bytes([WHOLE[at] ^ 0xFF]) + WHOLE[at + 1 :]
    with sealing(path) as beside:  # as another version of the library may have written it
        beside.write_bytes(f"{BLANK}\n".encode() + changed)
    found = load_checkpoint(path, "recipe")  # and never a traceback
    assert found is None or isinstance(found, dict)
