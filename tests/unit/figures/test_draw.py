"""Figures from tables: all files, stable bytes, one style per method, refusals."""

import io
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.config.titles import METHODS, TRIVIAL, UNTRAINED
from pipeline.data.task_sets import build_synthetic_tasks
from pipeline.errors import BadInput
from pipeline.figures import draw
from pipeline.figures import style as figure_style
from pipeline.figures.costs import draw_memory
from pipeline.figures.curves import against_steps, draw_curves
from pipeline.figures.draw import plot_curves
from pipeline.figures.instances import draw_instances, synthetic_settings
from pipeline.figures.norms import draw_norms
from tests import run_records
from tests.table_files import build_with_claims

LABELS = ["maml", "fomaml", "amaml"]
SETTINGS = ["cosmixture-50shot-50val", "simulated-10shot-15val-50steps"]
NAMES = ["curves", "training", "memory", "time", "instances"]
NAMES += ["equal_cost", "ledger", "fidelity_nrmse", "ratings"]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("results")
    run_records.write_grid(
        root,
        methods=LABELS,
        settings=SETTINGS,
        seeds=[3],
        inner_steps=5,
        steps=(0, 1, 5),
        updates=8,
    )
    build_with_claims(root, grid="test", methods=LABELS, settings=SETTINGS, seeds=[3])
    build_synthetic_tasks(
        "cosmixture", root / "tasks" / "cosmixture.parquet",
        seeds=[0, 3], n_train=4, n_test=4, points=40, metadata={},
    )  # fmt: skip
    return root


def table(results: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(results / "tables" / f"{name}.csv")


def test_files_are_complete_and_their_bytes_do_not_depend_on_settings_of_the_user(results):
    def drawn_in(order: list[str]) -> dict[str, bytes]:
        plot_curves(results, tasks_dir=results / "tasks", grid="test", settings=order)
        return {path.name: path.read_bytes() for path in (results / "figures").iterdir()}

    first = drawn_in(SETTINGS)
    assert set(first) == {f"{name}.{suffix}" for name in NAMES for suffix in ("svg", "png")}
    for name, content in first.items():
        assert content.startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
        assert len(content) > 2000
        if name.endswith("png"):  # small enough for git: a palette
            with Image.open(io.BytesIO(content)) as image:
                assert image.mode == "P"
    with matplotlib.rc_context({"font.size": 20, "svg.hashsalt": "other"}):
        second = drawn_in(SETTINGS[::-1])
        assert matplotlib.rcParams["font.size"] == 20
    assert first == second


def test_curves_have_one_panel_per_setting_and_one_line_per_predictor(results):
    curves, main = table(results, "curves"), table(results, "main")
    with figure_style.house_style():
        figure = draw_curves(curves, main, SETTINGS)
    assert len(figure.axes) == 2
    rows = curves[curves["setting"] == SETTINGS[1]]
    axes = figure.axes[1]
    drawn = {line.get_color(): line for line in axes.get_lines()}
    amaml = drawn[figure_style.style_of("amaml").color]
    np.testing.assert_allclose(amaml.get_ydata(), rows.loc[rows["label"] == "amaml", "nrmse"])
    assert list(amaml.get_xdata()) == [0, 1, 5]
    assert axes.get_xlim()[0] < 0  # step 0 is shown
    assert len(axes.get_lines()) == rows["label"].nunique() + 1  # and the trained horizon
    assert "SIMULATED" in axes.get_title()
    (key,) = figure.legends
    assert [text.get_text() for text in key.get_texts()][:3] == [
        METHODS[label] for label in ("maml", "fomaml", "amaml")
    ]


def test_a_diverged_method_does_not_set_the_scale(results):
    curves, main = table(results, "curves"), table(results, "main")
    curves.loc[(curves["label"] == "maml") & (curves["step"] == 5), "nrmse"] = 1e9
    with figure_style.house_style():
        figure = draw_curves(curves, main, SETTINGS)
    assert all(axes.get_ylim()[1] < 3 for axes in figure.axes)


def test_out_of_memory_is_marked_at_its_inner_steps_in_the_methods_colour(results):
    with figure_style.house_style():
        figure = draw_memory(table(results, "costs"))
    crosses = [line for line in figure.axes[0].get_lines() if line.get_marker() == "x"]
    (cross,) = crosses
    assert list(cross.get_xdata()) == [500]
    assert cross.get_color() == figure_style.style_of("maml").color
    assert "out of memory" in [text.get_text() for text in figure.legends[0].get_texts()]


def test_costs_without_a_measurement_say_so(results):
    with figure_style.house_style():
        figure = draw_memory(table(results, "costs").iloc[:0])
    assert [text.get_text() for text in figure.axes[0].texts] == ["no memory was measured"]


def test_instances_show_the_support_points_of_the_first_test_task(results):
    chosen = synthetic_settings(table(results, "main"), SETTINGS)
    assert [row["dataset"] for row in chosen] == ["cosmixture"]
    with figure_style.house_style():
        figure = draw_instances(chosen, results / "tasks", seed=3)
    rows = pd.read_parquet(results / "tasks" / "cosmixture.parquet")
    first = rows[(rows["seed"] == 3) & (rows["split"] == "test")].iloc[:10]
    (points,) = figure.axes[0].get_lines()
    np.testing.assert_allclose(points.get_xydata(), first[["x0", "x1"]])
    assert figure.axes[0].get_aspect() == 1.0
    low, high = figure.axes[1].get_ylim()  # of the colour bar
    assert low <= rows["y"][rows["task"] == first["task"].iloc[0]].min()
    assert high > low


def test_every_method_has_a_style_of_its_own():
    styles = [figure_style.style_of(label) for label in METHODS]
    assert set(METHODS) <= set(figure_style.STYLES)
    assert len({style.color for style in styles}) == len(METHODS)
    assert len({style.marker for style in styles}) == len(METHODS)
    assert {UNTRAINED, *TRIVIAL} <= set(figure_style.STYLES)


def test_an_unknown_method_gets_the_same_spare_style_each_time():
    spare = figure_style.style_of("something_new")
    assert spare == figure_style.style_of("something_new")
    assert spare.color not in {style.color for style in figure_style.STYLES.values()}


def test_a_setting_that_is_not_in_the_tables_is_named(results):
    with pytest.raises(BadInput, match=r"needed alpine-50shot-50val for grid 'test'"):
        plot_curves(
            results, tasks_dir=results / "tasks", grid="test", settings=["alpine-50shot-50val"]
        )


def test_missing_tables_and_task_sets_are_named(results, tmp_path):
    with pytest.raises(BadInput, match=r"main\.csv: cannot be read"):
        plot_curves(tmp_path, tasks_dir=tmp_path, grid="test", settings=SETTINGS)
    with pytest.raises(BadInput, match=r"cosmixture\.parquet"):
        plot_curves(results, tasks_dir=tmp_path, grid="test", settings=SETTINGS)


@pytest.fixture
def crowded(monkeypatch):
    """Tables of two settings, of each of which validation chose another variant of FOMAML."""
    monkeypatch.setattr(draw, "MOST_LINES", 2)
    labels = ["fomaml", "fomaml-outer_lr-0.1", "fomaml-outer_lr-0.2", "reptile", "untrained"]
    rows = [(s, label, n) for s in ("a", "b") for n, label in enumerate(labels)]
    main = pd.DataFrame(rows, columns=["setting", "label", "value"])
    main["kind"] = np.where(main["label"] == "untrained", "untrained", "method")
    choices = main[main["label"].str.startswith("fomaml")].assign(base="fomaml")
    choices["chosen"] = [False, True, False, True, False, False]
    costs = pd.DataFrame({"label": labels, "value": range(5)})
    return {"main": main, "choices": choices, "costs": costs}


def lines_of(tables: dict[str, pd.DataFrame], name: str) -> list[tuple]:
    rows = draw.Given(tables.__getitem__, [], Path()).lines(name)
    return list(
        rows[[c for c in ("setting", "label", "value") if c in rows]].itertuples(index=False)
    )


def test_of_many_variants_each_setting_shows_what_validation_tasks_chose(crowded):
    shown = [tuple(row) for row in lines_of(crowded, "main")]
    assert shown == [
        ("a", "fomaml", 1), ("a", "reptile", 3), ("a", "untrained", 4),
        ("b", "fomaml", 0), ("b", "reptile", 3), ("b", "untrained", 4),
    ]  # fmt: skip


def test_of_many_variants_costs_are_shown_of_the_methods_as_they_are(crowded):
    assert [row.label for row in lines_of(crowded, "costs")] == ["fomaml", "reptile", "untrained"]


def test_of_few_variants_all_are_shown(crowded, monkeypatch):
    monkeypatch.setattr(draw, "MOST_LINES", 4)
    assert len(lines_of(crowded, "main")) == 10
    assert len(lines_of(crowded, "costs")) == 5


def test_of_many_methods_without_variants_all_are_shown(crowded):
    def table(name: str) -> pd.DataFrame:
        if name == "choices":
            raise BadInput("no such table")
        return crowded[name]

    assert len(draw.Given(table, [], Path()).lines("main")) == 10


def test_norms_are_medians_of_stretches_of_the_training():
    updates = np.arange(1, 301)
    tail = np.where(updates % 10 == 0, 50.0, 2.0)  # outliers that a median passes over
    norms = pd.DataFrame(
        {"setting": "a", "label": "fomaml", "update": updates, "norm_median": 1.0,
         "norm_largest": tail, "largest_share": 0.25}
    )  # fmt: skip
    main = pd.DataFrame([{"setting": "a", "dataset": "alpine", "inner_steps": 5}])
    with figure_style.house_style():
        figure = draw_norms(norms, main, ["a"])
    (line,) = figure.axes[0].get_lines()
    np.testing.assert_array_equal(line.get_xdata(), np.arange(10, 301, 10))
    np.testing.assert_array_equal(line.get_ydata(), 2.0)


def test_long_names_of_settings_are_broken_and_stay_apart():
    """Titles of neighbours that touch cannot be read."""
    name = "ml-1m-10shot-15val-50steps-validation_tasks-100-offset-gaussian_items"
    settings = [name, name.replace("10shot", "20shot"), name.replace("10shot", "30shot")]
    main = pd.DataFrame({"setting": settings, "dataset": "ml-1m", "inner_steps": 50})
    with figure_style.house_style():
        figure, grid = against_steps(main, settings, "nRMSE", height=2.6)
        figure.draw_without_rendering()
    left, middle, right = (axes.title.get_window_extent() for axes in grid)
    assert left.x1 < middle.x0
    assert middle.x1 < right.x0
    assert "".join(grid[0].get_title().splitlines()[1:]) == name.removeprefix("ml-1m-")
