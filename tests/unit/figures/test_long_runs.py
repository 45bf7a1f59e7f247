"""Figures of the ablation and of long horizons: what is drawn where, and stable bytes."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from pipeline.config.titles import VARIANTS
from pipeline.figures.ablation import draw_ablation
from pipeline.figures.horizons import draw_horizons
from pipeline.figures.style import STYLES, house_style, save, style_of
from pipeline.tables.ablation import ablation_rows
from pipeline.tables.grid import read_grid
from pipeline.tables.horizons import horizon_rows
from tests import varied_runs
from tests.unit.tables import test_ablation, test_horizons


@pytest.fixture(scope="module")
def ablation(tmp_path_factory) -> pd.DataFrame:
    root = tmp_path_factory.mktemp("results") / "ablation"
    of = {"methods": test_ablation.METHODS, "seeds": [0, 1]}
    settings = {test_ablation.COS: 5, test_ablation.ML: 5}
    varied_runs.write(root, test_ablation.errors, settings=settings, **of)
    return pd.DataFrame(
        ablation_rows("ablation", read_grid(root, settings=settings, **of), root, [])
    )


@pytest.fixture(scope="module")
def horizons(tmp_path_factory) -> pd.DataFrame:
    root = test_horizons.write(tmp_path_factory.mktemp("results") / "horizons")
    return pd.DataFrame(horizon_rows("horizons", test_horizons.read(root)))


def draw(how, table):
    with house_style():
        return how(table)


def test_each_switch_is_a_dot_at_its_effect_filled_where_it_is_sure(ablation):
    figure = draw(draw_ablation, ablation)
    axes = figure.axes[0]
    dots = {
        round(float(line.get_ydata()[0])): line
        for line in axes.get_lines()
        if line.get_linestyle() == "None"
    }
    assert [tick.get_text() for tick in axes.get_yticklabels()] == [
        *("inner objective", "outer optimiser", "iMAML system", "all of the method together")
    ]
    here = ablation[ablation["setting"] == test_ablation.COS]
    drawn = [float(dots[place].get_xdata()[0]) for place in range(4)]
    np.testing.assert_allclose(drawn, here["effect"])
    color = style_of("amaml").color
    assert [dots[place].get_markerfacecolor() for place in (0, 1)] == [color, "white"]
    assert axes.get_xlim()[0] < here["lo"].min()
    assert axes.get_xlim()[1] > here["hi"].max()
    assert "+0.15" in [text.get_text() for text in axes.texts]
    assert len(figure.axes) == 2


def test_an_effect_that_is_undefined_is_said(ablation):
    table = ablation.assign(status="failed")
    table[["effect", "lo", "hi"]] = np.nan
    axes = draw(draw_ablation, table).axes[0]
    assert {text.get_text() for text in axes.texts} == {"failed"}


def test_effects_of_very_different_size_are_all_seen(ablation):
    few = ablation.copy()
    few.loc[few["point"] == "all", ["effect", "lo", "hi"]] *= 100
    scales = [draw(draw_ablation, table).axes[0].get_xscale() for table in (ablation, few)]
    assert scales == ["linear", "symlog"]


@pytest.mark.parametrize(
    ("lowest", "factor"), [(None, 1), (None, 1e6), (-0.6, 1e3)], ids=["linear", "symlog", "both"]
)
def test_ticks_of_effects_are_few_enough_not_to_touch(ablation, lowest, factor):
    table = ablation.copy()
    table.loc[table["point"] == "all", ["effect", "lo", "hi"]] *= factor
    if lowest is not None:
        others = table["point"] != "all"
        table.loc[others, ["effect", "lo", "hi"]] *= 1e-3
        table.loc[table.index[others][:1], "lo"] = lowest
    figure = draw(draw_ablation, table)
    with house_style():
        FigureCanvasAgg(figure).draw()
    for axes in figure.axes:
        left, right = axes.get_xlim()
        shown = [t for t in axes.get_xticklabels() if left <= t.get_position()[0] <= right]
        boxes = [tick.get_window_extent() for tick in shown]
        assert len(boxes) > 2
        assert all(one.x1 < two.x0 for one, two in itertools.pairwise(boxes))


def test_each_trained_horizon_is_a_line_with_its_own_horizon_marked(horizons):
    figure = draw(draw_horizons, horizons)
    assert len(figure.axes) == 4  # two methods: against steps, and against T
    above, below = figure.axes[2:]  # the method with early stopping
    assert above.get_title().endswith("A-MAML RKC")
    lines = [line for line in above.get_lines() if len(line.get_xdata()) == 5]
    assert len(lines) == 6
    solid = [line for line in lines if line.get_linestyle() == "-"]
    wanted = horizons[(horizons["label"] == "amaml_rkc") & (horizons["inner_steps"] == 500)]
    np.testing.assert_allclose(solid[1].get_ydata(), wanted["nrmse"])
    dots = [line.get_xydata()[0].tolist() for line in above.get_lines() if line.get_marker() == "o"]
    np.testing.assert_allclose(dots, [[200, 0.5], [500, 0.25], [2000, 0.375]])
    assert {text.get_text() for text in above.texts} == {"T = 2", "T = 5", "T = 20"}
    assert {text.get_text() for text in below.texts} == {"10 steps"}  # of 10, 100, 1000, 5000
    (line,) = [c for c in below.containers if c.lines[0].get_linestyle() == "-"]
    np.testing.assert_allclose(line.lines[0].get_xydata(), [[2, 1], [5, 2], [20, 3]])


def test_figures_have_the_same_bytes_each_time(ablation, horizons, tmp_path):
    for how, table in ((draw_ablation, ablation), (draw_horizons, horizons)):
        for name in ("first", "second"):
            with house_style():
                save(how(table), tmp_path / name)
        for suffix in ("svg", "png"):
            first, second = (tmp_path / f"{name}.{suffix}" for name in ("first", "second"))
            assert first.read_bytes() == second.read_bytes()


def test_variants_have_the_colour_of_their_method_and_a_line_of_their_own():
    for method in ("imaml", "amaml"):
        variants = VARIANTS[method]
        styles = [STYLES[label] for label in (method, *variants)]
        assert {style.color for style in styles} == {STYLES[method].color}
        assert len({(style.linestyle, style.marker) for style in styles}) == len(styles)
        assert len({style.linestyle for style in styles}) == len(styles)
