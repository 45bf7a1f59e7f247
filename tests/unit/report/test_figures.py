"""Figures inside the page: the drawing where it is small, else a picture."""

import base64
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.report.sections import LARGEST_SVG, data_uri, figure_names


def picture(path: Path, *, colours: int) -> bytes:
    draw = np.random.default_rng(0)
    palette = draw.integers(0, 255, (colours, 3), dtype=np.uint8)
    Image.fromarray(palette[draw.integers(0, colours, (400, 500))]).save(path)
    return path.read_bytes()


def test_a_large_drawing_goes_in_as_its_picture(tmp_path: Path) -> None:
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "a.svg").write_bytes(b" " * (LARGEST_SVG + 1))
    assert data_uri(tmp_path, "a").startswith("data:image/svg+xml"), "no picture is there"
    content = picture(folder / "a.png", colours=4)
    kind, data = data_uri(tmp_path, "a").split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == content
    (folder / "a.svg").write_bytes(b" " * LARGEST_SVG)
    assert data_uri(tmp_path, "a").startswith("data:image/svg+xml")
    assert figure_names(tmp_path) == ["a"]
