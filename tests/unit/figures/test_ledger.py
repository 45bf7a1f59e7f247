"""Figures of fidelity: curves over meta-updates, and test errors against fidelity."""

import numpy as np
import pandas as pd
import pytest

from pipeline.figures import style
from pipeline.figures.ledger import draw_fidelity_nrmse, draw_ledger

SETTINGS = ["cosmixture-50shot-50val", "simulated-10shot-15val-50steps"]
LABELS = {"fomaml": (2.0, 0.4), "amaml": (0.01, 0.2)}  # relative error, nRMSE


@pytest.fixture
def training() -> pd.DataFrame:
    rows = [
        (setting, label, update, np.nan if update == 50 else 0.9, error if update != 50 else np.nan)
        for setting in SETTINGS
        for label, (error, _) in LABELS.items()
        for update in (1, 50, 100)
    ]
    return pd.DataFrame(rows, columns=["setting", "label", "update", "cosine", "relative_error"])


@pytest.fixture
def main() -> pd.DataFrame:
    rows = [(setting, label, nrmse) for setting in SETTINGS for label, (_, nrmse) in LABELS.items()]
    table = pd.DataFrame(rows, columns=["setting", "label", "nrmse"])
    return table.assign(kind="method", dataset=table["setting"].str.split("-").str[0])


def test_the_ledger_has_two_panels_per_setting_and_only_measured_updates(training, main):
    with style.house_style():
        figure = draw_ledger(training, main, SETTINGS)
    assert len(figure.axes) == 4
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["CosMixture\n50shot-50val", "SIMULATED ratings\n10shot-15val-50steps"]
    cosine = next(axes for axes in figure.axes if "cosine" in axes.get_ylabel())
    error = next(axes for axes in figure.axes if axes.get_ylabel() == "relative error")
    fomaml, amaml = error.get_lines()[:2]
    np.testing.assert_allclose(fomaml.get_xydata(), [[1, 2.0], [100, 2.0]])
    np.testing.assert_allclose(amaml.get_ydata(), [0.01, 0.01])
    assert len(error.get_lines()) == 3  # and the line of an error as large as the gradient
    np.testing.assert_allclose(cosine.get_lines()[0].get_ydata(), [0.9, 0.9])


def test_negative_cosines_are_in_the_panel(training, main):
    training.loc[0, "cosine"] = -0.7
    with style.house_style():
        figure = draw_ledger(training, main, SETTINGS[:1])
    assert figure.axes[0].get_ylim()[0] < -0.7


def test_a_point_per_method_and_setting_in_a_row_per_kind(training, main):
    with style.house_style():
        figure = draw_fidelity_nrmse(training, main, SETTINGS)
    assert [axes.get_title() for axes in figure.axes] == [
        *("synthetic: 1 setting", "synthetic: 1 setting", "ratings: 1 setting"),
        "ratings: 1 setting",
    ]
    errors, cosines = figure.axes[:2]
    np.testing.assert_allclose(errors.get_lines()[0].get_xydata(), [[2.0, 2.0]])
    np.testing.assert_allclose(errors.get_lines()[1].get_xydata(), [[0.01, 1.0]])
    np.testing.assert_allclose(cosines.get_lines()[0].get_xydata(), [[0.9, 2.0]])
    assert errors.get_xscale() == "log"
    with style.house_style():
        assert len(draw_fidelity_nrmse(training, main, SETTINGS[:1]).axes) == 2


def test_methods_without_a_test_error_have_no_point(training, main):
    with style.house_style():
        figure = draw_fidelity_nrmse(training, main.assign(nrmse=np.nan), SETTINGS)
    assert figure.axes[0].texts[0].get_text() == "no method has a fidelity and a test error"
