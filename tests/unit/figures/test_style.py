"""What all figures share: legends that fit, short numbers on axes."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from pipeline.figures import style

SHORT = ["maml", "fomaml", "reptile", "imaml", "amaml"]
LONG = [label for label in style.STYLES if label.endswith("-released")]


@pytest.mark.parametrize("labels", [SHORT, LONG], ids=["short names", "names of variants"])
@pytest.mark.parametrize("count", [1, 3], ids=["one panel", "three panels"])
def test_a_legend_is_as_wide_as_fits(labels, count):
    with style.house_style():
        figure, _ = style.panels(count)
        style.legend(figure, labels)
        FigureCanvasAgg(figure).draw()
    (legend,) = figure.legends  # those that were tried and did not fit are gone
    box, page = legend.get_window_extent(), figure.bbox
    assert len(legend.get_texts()) == len(labels)
    assert page.x0 <= box.x0
    assert box.x1 <= page.x1
    most = 4 if count > 1 else 3
    assert legend._ncols == (most if labels is SHORT else most - 1)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.02, "0.02"),
        (1, "1"),
        (500, "500"),
        (5000, "5000"),
        (20000, "20k"),
        (500000.0, "500k"),
        (1000000.0, "1M"),
        (25000000.0, "25M"),
    ],
)
def test_numbers_under_ticks_are_short(value, text):
    assert style.short_number(value) == text


def test_a_picture_is_made_smaller_and_looks_the_same(tmp_path):
    with style.house_style():
        figure, grid = style.panels(3)
        for axes in grid.flat:
            for k, label in enumerate(SHORT):
                style.draw_line(axes, label, range(20), [k + x**0.5 for x in range(20)])
        style.legend(figure, SHORT)
        style.save(figure, tmp_path / "small")
        figure.savefig(tmp_path / "whole.png", dpi=150)
    small, whole = (tmp_path / f"{name}.png" for name in ("small", "whole"))
    assert small.stat().st_size < 0.7 * whole.stat().st_size
    with Image.open(small) as one, Image.open(whole) as two:
        assert one.size == two.size
        before, after = (np.asarray(image.convert("RGB"), int) for image in (two, one))
    assert np.abs(before - after).max() <= 25  # a tenth of the range, at smoothed edges
    assert np.abs(before - after).mean() < 0.2
