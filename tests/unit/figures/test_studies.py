"""Figures of the studies: lines where the table says, marks where a method failed."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.figures.studies import (
    ERRORS,
    WAYS,
    draw_fidelity,
    draw_noise,
    draw_stability,
    draw_stiffness,
)
from pipeline.figures.style import house_style, save, spread, style_of
from tests.study_records import fidelity_record, noise_record, stability_record, stiffness_entries
from tests.study_records import study_tables as tables


def test_a_failure_is_a_mark_at_its_horizon_and_no_point(tmp_path):
    table = tables(tmp_path, stability=stability_record())["stability"]
    with house_style():
        figure = draw_stability(table)
    assert len(figure.axes) == 2
    for axes in figure.axes:
        marks = {
            line.get_marker(): line for line in axes.get_lines() if line.get_linestyle() == "None"
        }
        assert list(marks["x"].get_xdata()) == [50.0]
        assert marks["x"].get_color() == WAYS["backsolve"][1].style.color
        assert list(marks["^"].get_xdata()) == [50.0]  # 2e15: beyond the panel
        assert marks["^"].get_color() == WAYS["backsolve_float64"][1].style.color
        assert axes.get_ylim() == pytest.approx(ERRORS)
        names = {text.get_text() for text in axes.texts}
        assert {"Chebyshev, discrete", "backsolve, as run"} <= names


def test_fidelity_draws_each_method_in_its_style(tmp_path):
    table = tables(tmp_path, fidelity=fidelity_record())["fidelity"]
    with house_style():
        figure = draw_fidelity(table)
    assert len(figure.axes) == 4
    left, right = figure.axes[:2]
    for axes, column in ((left, "cosine"), (right, "relative_error")):
        (line,) = [
            line
            for line in axes.get_lines()
            if line.get_color() == style_of("fomaml").color and len(line.get_xdata()) == 2
        ]
        rows = table[(table["label"] == "fomaml") & (table["initialisation"] == "untrained")]
        np.testing.assert_allclose(line.get_ydata(), rows[column])


def test_the_measured_inner_steps_are_ticks_thousands_with_a_k(tmp_path):
    table = tables(tmp_path, fidelity=fidelity_record())["fidelity"]
    table["inner_steps"] = table["inner_steps"].replace({100: 5000})
    with house_style():
        figure = draw_fidelity(table)
    for axes in figure.axes:
        assert [tick.get_text() for tick in axes.get_xticklabels()] == ["10", "5k"]


def test_noise_draws_each_cosine_in_its_style(tmp_path):
    table = tables(tmp_path, noise=noise_record())["noise"]
    with house_style():
        figure = draw_noise(table)
    assert len(figure.axes) == 2
    for axes, start in zip(figure.axes, ("untrained", "trained"), strict=True):
        assert start in axes.get_title()
        (line,) = [
            line
            for line in axes.get_lines()
            if line.get_color() == style_of("reptile").color and len(line.get_xdata()) == 2
        ]
        np.testing.assert_allclose(line.get_ydata(), [0.9, 0.8])


def test_stiffness_says_the_exponents():
    with house_style():
        figure = draw_stiffness(pd.DataFrame(stiffness_entries()))
    said = {text.get_text() for text in figure.axes[0].texts}
    assert said == {"RK45: slope 1.00", "Chebyshev: slope 0.50"}


def test_the_same_table_gives_the_same_bytes(tmp_path: Path):
    table = tables(tmp_path, stability=stability_record())["stability"]
    for name in ("one", "two"):
        with house_style():
            save(draw_stability(table), tmp_path / name)
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize(
    ("heights", "wanted"),
    [
        ([0.1, 0.5], [0.1, 0.5]),
        ([0.1, 0.1], [0.1, 0.2]),
        ([1.0, 1.0, 1.0], [0.8, 0.9, 1.0]),
        ([], []),
    ],
)
def test_names_keep_their_distance(heights, wanted):
    assert spread(heights, 0.1) == pytest.approx(wanted)
