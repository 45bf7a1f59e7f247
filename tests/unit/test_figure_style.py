"""What all figures share: legends that fit, short numbers on axes."""

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pipeline import figure_style

SHORT = ["maml", "fomaml", "reptile", "imaml", "amaml"]
LONG = [label for label in figure_style.STYLES if label.endswith("-released")]


@pytest.mark.parametrize("labels", [SHORT, LONG], ids=["short names", "names of variants"])
@pytest.mark.parametrize("count", [1, 3], ids=["one panel", "three panels"])
def test_a_legend_is_as_wide_as_fits(labels, count):
    with figure_style.house_style():
        figure, _ = figure_style.panels(count)
        figure_style.legend(figure, labels)
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
    assert figure_style.short_number(value) == text
