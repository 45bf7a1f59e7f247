"""The equal-cost figure: three panels per setting, what stands in them, and empty ones."""

import numpy as np
import pandas as pd
import pytest

from pipeline.figures import style
from pipeline.figures.costs import draw_equal_cost

SETTINGS = ["cosmixture-50shot-50val", "alpine-50shot-50val"]


@pytest.fixture
def table() -> pd.DataFrame:
    rows = [
        {
            "setting": setting,
            "dataset": setting.split("-")[0],
            "label": label,
            "update": update,
            "process_seconds": 2.0 * update,
            "gradient_equivalents": 30.0 * update,
            "validation_nrmse": error / update,
            "test_nrmse": error if update == 20 else None,
            "test_nrmse_stderr": 0.1 if update == 20 else None,
            "peak_bytes": 3e6 if update == 20 else None,
        }
        for setting in SETTINGS
        for label, error in (("fomaml", 0.5), ("amaml", 0.4))
        for update in (10, 20)
    ]
    return pd.DataFrame(rows)


def drawn(table: pd.DataFrame):
    with style.house_style():
        return draw_equal_cost(table)


def test_a_row_of_three_panels_per_setting(table):
    figure = drawn(table)
    assert len(figure.axes) == 3 * len(SETTINGS)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == ["CosMixture, 50shot-50val", "", "", "Alpine, 50shot-50val", "", ""]
    labels = [axes.get_xlabel().split("\n")[0] for axes in figure.axes]
    assert labels[-3:] == [
        *("process seconds of training", "gradient equivalents", "peak memory (MB)"),
    ]
    (box,) = figure.legends
    assert [text.get_text() for text in box.get_texts()] == ["FOMAML", "A-MAML"]


def test_lines_are_the_errors_against_each_cost(table):
    seconds, equivalents, _ = drawn(table).axes[:3]
    for axes, cost in ((seconds, [20.0, 40.0]), (equivalents, [300.0, 600.0])):
        (fomaml, amaml) = axes.get_lines()
        np.testing.assert_allclose(fomaml.get_xdata(), cost)
        np.testing.assert_allclose(amaml.get_ydata(), [0.04, 0.02])
        assert fomaml.get_color() == style.style_of("fomaml").color
        assert axes.get_xscale() == "log"


def test_points_are_test_errors_with_standard_errors_against_megabytes(table):
    bar, point, *_ = drawn(table).axes[2].get_lines()
    np.testing.assert_allclose(point.get_xydata(), [[3.0, 0.5]])
    np.testing.assert_allclose(bar.get_xydata(), [[3.0, 0.4], [3.0, 0.6]])


def test_a_grid_without_profiles_or_finished_methods_says_so(table):
    unmeasured = drawn(table.assign(peak_bytes=np.nan)).axes[2]
    assert unmeasured.texts[0].get_text() == "no memory was measured"
    (axes,) = drawn(table.iloc[:0]).axes
    assert axes.texts[0].get_text() == "no method finished"


def test_a_single_early_error_does_not_press_the_others_flat(table):
    table.loc[(table["label"] == "fomaml") & (table["update"] == 10), "validation_nrmse"] = 1e6
    table = pd.concat([table, table[table["label"] == "amaml"].assign(label="maml")])
    low, high = drawn(table).axes[0].get_ylim()
    assert low < 0.02
    assert high < 1.0
